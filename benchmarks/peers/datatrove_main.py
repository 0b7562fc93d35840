"""FineWeb's pipeline by datatrove over a folder of WARC files, in one process: from pages to filtered documents.

    python datatrove_main.py WARC_FOLDER WARM_FOLDER OUTPUT_FOLDER LID_MODEL

WarcReader, URLFilter, Trafilatura (precision), LanguageFilter (en), Gopher repetition and quality, C4 without the rule
of terminal punctuation, FineWeb quality, JsonlWriter. The steps are chained as its executor chains them; once over
WARM_FOLDER first, so that lists, models and tokenizers are loaded, and then, timed, over WARC_FOLDER. The executor
itself would load them again. Each filter sees a plain English text before, for of few pages none may reach the last.
Nothing is fetched: LID_MODEL is fastText's lid.176, suffixes come from tldextract's own
list. Prints one JSON line: seconds, pages read, documents that each step passed on, URLs kept, versions.
"""

import gzip
import json
import resource
import sys
import time
from collections import deque
from importlib import metadata
from pathlib import Path

start = time.perf_counter()
from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.extractors import Trafilatura  # noqa: E402
from datatrove.pipeline.filters import (  # noqa: E402
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader  # noqa: E402
from datatrove.pipeline.writers import JsonlWriter  # noqa: E402
from datatrove.utils.lid import FT176LID  # noqa: E402
from loguru import logger  # noqa: E402
from tldextract import TLDExtract  # noqa: E402

PLAIN = "\n".join(
    f"The old mill number {i} stood by the river, and people came to see that it still turned." for i in range(30)
)

TIMEOUT_S = 30
"""For a page, in place of a second: on a busy machine its child would be killed, and started anew, page after page."""


def counted(documents, counts: list[int], at: int):
    for document in documents:
        counts[at] += 1
        yield document


def run(steps: list, warcs: str, output: Path) -> list[int]:
    """Documents that reader and steps passed on, one by one."""
    writer = JsonlWriter(str(output))
    counts = [0] * (len(steps) + 1)
    documents = counted(WarcReader(warcs)(None, 0, 1), counts, 0)
    for number, step in enumerate(steps, 1):
        documents = counted(step(documents, 0, 1), counts, number)
    deque(writer(documents, 0, 1), maxlen=0)
    return counts


def main() -> None:
    """See the module."""
    warcs, warm, output, model = sys.argv[1:]
    logger.remove()
    FT176LID.MODEL_URL = model
    urls = URLFilter()
    urls.tldextractor = TLDExtract(suffix_list_urls=())
    steps = {
        "url": urls,
        "extract": Trafilatura(favour_precision=True, timeout=TIMEOUT_S),
        "language": LanguageFilter(languages="en"),
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_quality": FineWebQualityFilter(),
    }
    for name, step in steps.items():
        if name == "extract":
            step.extract(f"<html><body><p>{PLAIN}</p></body></html>")  # imported here, its child has it from the start
        else:
            step.filter(Document(text=PLAIN, id="", metadata={"url": "https://plain.example/"}))
    run(list(steps.values()), warm, Path(output) / "warm")
    started = time.perf_counter() - start
    wall, cpu = time.perf_counter(), time.process_time()
    counts = run(list(steps.values()), warcs, Path(output) / "kept")
    seconds, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    kept = []
    for path in (Path(output) / "kept").glob("*.jsonl.gz"):
        with gzip.open(path, "rt") as lines:
            kept += [json.loads(line)["metadata"]["url"] for line in lines]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_s": cpu_s,
                "start_s": started,
                "pages": counts[0],
                "passed": dict(zip(steps, counts[1:], strict=True)),
                "kept": sorted(kept),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "versions": {name: metadata.version(name) for name in ("datatrove", "trafilatura", "warcio", "spacy")},
            }
        )
    )


if __name__ == "__main__":
    main()
