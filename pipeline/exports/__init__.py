"""Pack sets in the formats that others train from: Megatron, nanoGPT, Hugging Face `datasets`.

What was removed from a set and its padding are left out where the format has no mask for them.
"""
