"""Imports every bundled stage and step, so that it registers itself."""

import dedup.exact
import filters.language
import filters.url
import pipeline.extract.stage
import pipeline.tokensteps
import pretrain.step
