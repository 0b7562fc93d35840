"""Imports every bundled stage and step, so that it registers itself: a new filter is one new file in `filters/`."""

import importlib
import pkgutil

import decontam.stage
import dedup.exact
import dedup.lines
import dedup.minhash
import dedup.substrings
import filters
import mixtures.dsir
import mixtures.selection_steps
import mixtures.step
import pipeline.extract.stage
import pipeline.funnel
import pipeline.packstep
import pipeline.tokensteps
import pretrain.step

for _module in sorted(module.name for module in pkgutil.iter_modules(filters.__path__)):
    importlib.import_module(f"filters.{_module}")
