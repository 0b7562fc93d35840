"""Engines that turn texts into token ids: the reference (`tokenizers`) and a faster one with the same ids."""
