"""Pages a second from WARC to documents, one worker each, on the same real pages: Gristmill, bare loops, datatrove.

The WARC holds every fourth page of the shared set wcxb. Gristmill runs its `extract` step inline (reader,
extraction in its guarded child, Parquet written); a bare loop reads the same file with FastWARC, decodes
with the same function and calls the engine with the same options, and writes nothing; datatrove 0.10.1
runs WarcReader + Trafilatura + JsonlWriter with its defaults in `.venv-peers` (make peers). All count pages attempted.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from .common import ROOT, SHARED, medians, write

PEER = ROOT / ".venv-peers" / "bin" / "python"
RUNS = 5


def subset(target: Path, step: int = 4) -> int:
    """Write every `step`-th response of wcxb to a WARC file; returns how many."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    count = 0
    with open(SHARED / "html" / "wcxb.warc.gz", "rb") as source, open(target, "wb") as out:
        for number, record in enumerate(
            ArchiveIterator(source, record_types=WarcRecordType.response, parse_http=False)
        ):
            if number % step == 0:
                record.write(out)
                count += 1
    return count


def gristmill(warc: Path, output: Path, engine: str) -> dict[str, Any]:
    """The extract step, in a process of its own; imports and child start-up apart."""
    code = (
        "import json,sys,time\n"
        "from pathlib import Path\n"
        "from pipeline.progress import Progress\n"
        "from pipeline.recipe import build\n"
        "from pipeline.run import execute\n"
        "from pipeline.runner import InlineRunner\n"
        "from pipeline.extract import extract_html\n"
        "warc, out, engine, warm = sys.argv[1:]\n"
        "steps = [{'extract': {'engine': engine}}]\n"
        "run = lambda w, o: execute(build({'source': {'warc': {'inputs': [w]}}, 'steps': steps}), Path(o), InlineRunner(), Progress(quiet=True))\n"
        "start = time.perf_counter(); run(warm, out + '-warm'); warmed = time.perf_counter() - start\n"
        "start = time.perf_counter(); result = run(warc, out); seconds = time.perf_counter() - start\n"
        "print(json.dumps({'seconds': seconds, 'start_s': warmed, 'rows': result.steps[0].manifest['rows'], 'pages': result.steps[0].manifest['documents_read']}))\n"
    )
    warm = warc.with_name("warm.warc.gz")
    done = subprocess.run(
        [sys.executable, "-c", code, str(warc), str(output), engine, str(warm)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def bare(warc: Path, engine: str) -> dict[str, Any]:
    """Reading, decoding and extracting every page in a plain loop."""
    code = (
        "import json,sys,time\n"
        "from fastwarc.warc import ArchiveIterator, WarcRecordType\n"
        "from pipeline.extract.charset import decode\n"
        "warc, engine = sys.argv[1:]\n"
        "if engine == 'trafilatura':\n"
        "    from trafilatura import bare_extraction\n"
        "    one = lambda html, url: bare_extraction(html, url=url, include_comments=False, include_tables=True, with_metadata=True)\n"
        "else:\n"
        "    from resiliparse.extract.html2text import extract_plain_text\n"
        "    one = lambda html, url: extract_plain_text(html, main_content=True)\n"
        "start = time.perf_counter(); n = 0\n"
        "for record in ArchiveIterator(open(warc, 'rb'), record_types=WarcRecordType.response):\n"
        "    html = decode(record.reader.read(), record.http_headers.get('Content-Type') if record.http_headers else None).text\n"
        "    one(html, record.headers.get('WARC-Target-URI')); n += 1\n"
        "print(json.dumps({'seconds': time.perf_counter() - start, 'pages': n}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(warc), engine], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


def datatrove(warc: Path, output: Path) -> dict[str, Any]:
    """The peer's run."""
    folder = warc.parent / "peer-input"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(warc, folder / warc.name)
    command = [str(PEER), str(ROOT / "benchmarks" / "peers" / "datatrove_extract.py"), str(folder), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and write `results/crawl.json`."""
    if not PEER.exists():
        sys.exit("datatrove is not here: make peers")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warc = folder / "pages.warc.gz"
        pages = subset(warc)
        subset(folder / "warm.warc.gz", step=400)
        raw: dict[str, list[Any]] = {}
        for run in range(RUNS):
            for engine in ("trafilatura", "resiliparse"):
                raw.setdefault(f"gristmill_{engine}", []).append(
                    gristmill(warc, folder / f"out-{engine}-{run}", engine)
                )
                raw.setdefault(f"bare_{engine}", []).append(bare(warc, engine))
            raw.setdefault("datatrove", []).append(datatrove(warc, folder / f"peer-{run}"))
            print(f"run {run + 1}: " + ", ".join(f"{k} {v[-1]['seconds']:.1f} s" for k, v in raw.items()), flush=True)
        same = pq.read_table(folder / "out-trafilatura-0" / "01-extract" / "kept").num_rows
    seconds = medians({k: [one["seconds"] for one in v] for k, v in raw.items()})
    rate = {k: round(pages / v, 1) for k, v in seconds.items()}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    value = {
        "pages": pages,
        "peer": "datatrove 0.10.1: WarcReader, Trafilatura (its defaults), JsonlWriter; tasks=1, workers=1; its own trafilatura",
        "pages_per_second": rate,
        "ratios": {
            "trafilatura / datatrove (bar 1.5)": round(rate["gristmill_trafilatura"] / rate["datatrove"], 2),
            "resiliparse / datatrove (bar 10)": round(rate["gristmill_resiliparse"] / rate["datatrove"], 2),
            "trafilatura / bare loop (bar 0.9)": round(rate["gristmill_trafilatura"] / rate["bare_trafilatura"], 3),
            "resiliparse / bare loop (bar 0.75)": round(rate["gristmill_resiliparse"] / rate["bare_resiliparse"], 3),
        },
        "documents": {"gristmill_trafilatura": same, "datatrove": raw["datatrove"][0]["documents"]},
        "largest_child_rss_mb": round(children),
        "raw": raw,
        "measured": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
    }
    write("crawl", value, ("trafilatura", "resiliparse", "fastwarc", "pyarrow"))
    print(json.dumps(value["ratios"], indent=1))


if __name__ == "__main__":
    main()
