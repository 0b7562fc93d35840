"""The WARC source: inputs -> sources -> splits -> batches of pages (`schema.PAGE`) with every other record counted."""

from .engines import Engine
from .framing import Skip
from .inputs import list_sources
from .reader import DEFAULT_ENGINE, PageBatch, read_pages
from .splits import RecordSplit, Source, Split, plan_record_splits, plan_splits

__all__ = [
    "DEFAULT_ENGINE",
    "Engine",
    "PageBatch",
    "RecordSplit",
    "Skip",
    "Source",
    "Split",
    "list_sources",
    "plan_record_splits",
    "plan_splits",
    "read_pages",
]
