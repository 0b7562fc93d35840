"""Imports every bundled stage, so that it registers itself."""

import filters.language
import filters.url
import pipeline.extract.stage  # noqa: F401
