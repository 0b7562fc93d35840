"""Token ids and speed beside `tokenizers`: all text of ../shared/data, then MB/s on one core.

    python -m benchmarks.tokenise [--proof-mb 1000] [--speed-mb 16] [--runs 5] [--jobs 2]

Proof: the ids of our engine against those of `tokenizers` with `encode_special_tokens=True`, the file as it was
published, on every text of the shared data (extracted pages, gold texts, evaluation sets, language, toxicity, spam
and quality sets; character-set samples decoded, wrong bytes as U+FFFD). Documents that hold the name of an added token
that we neutralise and the library does not are compared with the library after the same tokens were marked special;
their number is reported.

Speed: extracted pages, spread over all of them, on one core, in alternating runs. `ours` is a column of texts to
offsets and ids, the table of words empty at each run's start; `ours_step` is `tokenise_table` with the default share
of documents verified; `tokenizers` is `encode_batch_fast` in batches of 256 strings, made beforehand, with the
time to read `ids` left out. MB are UTF-8 bytes.

Hostile: seconds and peak memory of single documents, each in a process of its own. Leak: resident memory while batch
after batch of new words is encoded. Writes benchmarks/results/tokenise.json.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.engines import reference
from pipeline.engines.encoder import Encoder, Tally
from pipeline.tokenise import tokenise_table
from tests.pipeline.engines.tools import gpt2_file

from .common import ROOT, SHARED, alternate, medians, start_seconds, write
from .texts import real_texts

TOKENIZERS = {
    "gpt2": "",
    "llama3": "llama3_tokenizer.json",
    "qwen3": "qwen3_tokenizer.json",
    "deepseek": "deepseek_tokenizer.json",
    "olmo_neox": "allenai_gpt-neox-olmo-dolma-v1_5.json",
    "dolma2": "allenai_dolma2.json",
}
BATCH = 256
_BATCH_CHARS = 1 << 21


def tokenizer_file(name: str, folder: Path) -> Path:
    """The tokenizer.json; GPT-2's is made in `folder` from its encoder.json and vocab.bpe."""
    if TOKENIZERS[name]:
        return SHARED / "tokenizers" / TOKENIZERS[name]
    return gpt2_file(SHARED / "tokenizers", folder / "gpt2.json")


def _strings(value: Any) -> Iterator[str]:
    """All texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if isinstance(value.get("b64"), str):
            yield _decoded(base64.b64decode(value["b64"]), str(value.get("encoding_dir")))
            return
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding, "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def shared_texts() -> Iterator[tuple[str, str]]:
    """(file, text) of everything in ../shared/data that is text; of the pages what our extraction gives."""
    for text in real_texts()["text"].to_pylist():
        yield "html", text or ""
    for path in sorted(SHARED.rglob("*")):
        name = path.relative_to(SHARED).as_posix()
        if not path.is_file() or name.startswith(("tokenizers/", "warc/")) or name.endswith(".warc.gz"):
            continue
        if name.endswith(".jsonl.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    text = "\n".join(_strings(json.loads(line)))
                    yield name, text.encode("utf-8", "replace").decode()
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.namelist()):
                    yield name, archive.read(member).decode("utf-8", "replace")
        else:
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _batches(limit: int) -> Iterator[list[str]]:
    batch: list[str] = []
    size = total = 0
    for _, text in shared_texts():
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARS:
            yield batch
            total += size
            batch, size = [], 0
            if total >= limit:
                return
    yield batch


def _plain_library(path: Path) -> Any:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(path))
    plain.encode_special_tokens = True
    return plain


def proof(name: str, limit: int) -> dict[str, Any]:
    """Compare all ids for one tokenizer."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        path = tokenizer_file(name, Path(folder))
        tok, plain = load_tokenizer(path), _plain_library(path)
        encoder, tally = Encoder(tok, "fast", 0.0), Tally()
        ordinary = {t.content for t in plain.get_added_tokens_decoder().values() if not t.special}
        neutralised = sorted(ordinary & set(tok.control))
        counts = {"documents": 0, "tokens": 0, "mismatches": 0, "documents_with_neutralised_names": 0}
        different: list[str] = []
        for texts in _batches(limit):
            offsets, ids = encoder.encode(
                pa.chunked_array([pa.array(texts, pa.large_string())]), eos=False, tally=tally
            )
            held = [any(one in text for one in neutralised) for text in texts]
            expected = [np.array(e.ids, np.uint32) for e in plain.encode_batch_fast(texts, add_special_tokens=False)]
            for row in np.flatnonzero(held):
                (expected[row],) = reference.encode([texts[row]], tok)
            for row, want in enumerate(expected):
                if not np.array_equal(want, ids[offsets[row] : offsets[row + 1]]):
                    counts["mismatches"] += 1
                    different.append(texts[row][:80])
            counts["documents"] += len(texts)
            counts["tokens"] += len(ids)
            counts["documents_with_neutralised_names"] += sum(held)
    print(f"{name}: {counts}, {tally.bytes / 1e6:.0f} MB", flush=True)
    return {
        **counts,
        "bytes": tally.bytes,
        "fallback_documents": tally.fallback_documents,
        "fallback_bytes": tally.fallback_bytes,
        "fallback_share": tally.fallback_bytes / max(1, tally.bytes),
        "first_different": different[:3],
    }


def _sample(megabytes: float) -> pa.ChunkedArray:
    """Pages spread evenly over all sources, about so many MB."""
    texts = real_texts()["text"].combine_chunks().cast(pa.large_string())
    share = max(1.0, texts.nbytes / (megabytes * 1e6))
    rows = np.unique((np.arange(int(len(texts) / share)) * share).astype(np.int64))
    return pa.chunked_array([texts.take(pa.array(rows))])


def _ours(encoder: Encoder, column: pa.ChunkedArray) -> None:
    assert encoder.fast is not None
    encoder.fast.forget()
    for begin in range(0, len(column), BATCH):
        encoder.fast.encode(column.slice(begin, BATCH), eos=True)


def _step(encoder: Encoder, tok: LoadedTokenizer, docs: pa.Table) -> None:
    assert encoder.fast is not None
    encoder.fast.forget()
    for begin in range(0, docs.num_rows, BATCH):
        tokenise_table(docs.slice(begin, BATCH), tok, encoder=encoder)


def _theirs(tok: LoadedTokenizer, batches: list[list[str]]) -> None:
    for batch in batches:
        tok.tokenizer.encode_batch_fast(batch, add_special_tokens=False)


def speed(megabytes: float, runs: int) -> dict[str, Any]:
    """MB/s of each tokenizer, ours and the library's, in alternating runs on one core."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    column = _sample(megabytes)
    docs = pa.table({"id": [f"{i:032x}" for i in range(len(column))], "text": column})
    strings = column.to_pylist()
    size = sum(len(text.encode()) for text in strings) / 1e6
    batches = [strings[begin : begin + BATCH] for begin in range(0, len(strings), BATCH)]
    found: dict[str, Any] = {"megabytes": round(size, 2), "documents": len(strings)}
    with tempfile.TemporaryDirectory() as folder:
        for name in TOKENIZERS:
            tok = load_tokenizer(tokenizer_file(name, Path(folder)))
            encoder = Encoder(tok, "fast")
            parts = {
                "ours": partial(_ours, encoder, column),
                "ours_step": partial(_step, encoder, tok, docs),
                "tokenizers": partial(_theirs, tok, batches),
            }
            seconds = alternate(parts, runs)
            rates = {part: size / one for part, one in medians(seconds).items()}
            found[name] = {
                "seconds": seconds,
                "mb_per_s": {part: round(rate, 2) for part, rate in rates.items()},
                "over_tokenizers": {p: round(rates[p] / rates["tokenizers"], 1) for p in ("ours", "ours_step")},
            }
            print(f"{name}: {found[name]['mb_per_s']}, {found[name]['over_tokenizers']}", flush=True)
    os.sched_setaffinity(0, before)
    return found


_HOSTILE = {
    "a million spaces": "' ' * 1_000_000",
    "a million spaces and a word": "' ' * 1_000_000 + 'word'",
    "one word of 10 MB": "'a' * 10_000_000",
    "one word of 10 MB at random": "''.join(random.Random(1).choices('abcdefghij', k=10_000_000))",
    "a million of é not composed": "'e\\u0301' * 1_000_000",
    "200 000 lines of one letter": "'a\\n' * 200_000",
    "5 million characters of pages": "('The miller ground 12 sacks, and left. ' * 140_000)[:5_000_000]",
}
_PROGRAM = """
import random, sys, time
import pyarrow as pa
from pipeline.bpe import load_tokenizer
from pipeline.engines.encoder import Encoder
encoder = Encoder(load_tokenizer(sys.argv[1]), "fast")
text = TEXT
column = pa.array([text], pa.large_string())

def memory(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) / 1024

open("/proc/self/clear_refs", "w").write("5")  # the peak starts from here
before = memory("VmRSS")
start = time.perf_counter()
(offsets, ids), _ = encoder.fast.encode(column, eos=True)
seconds = time.perf_counter() - start
print(len(column[0].as_buffer()), len(ids), seconds, memory("VmHWM") - before)
"""


def hostile() -> dict[str, Any]:
    """Seconds and memory (MB over the loaded engine's) of single documents, with Llama 3's tokenizer."""
    found = {}
    path = str(SHARED / "tokenizers" / TOKENIZERS["llama3"])
    for name, text in _HOSTILE.items():
        program = _PROGRAM.replace("TEXT", text)
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr}")
        size, tokens, seconds, memory = map(float, done.stdout.split())
        found[name] = {
            "bytes": int(size),
            "tokens": int(tokens),
            "seconds": round(seconds, 3),
            "peak_mb": round(memory),
        }
    return found


_LEAK = """
import random, sys
import pyarrow as pa
from pipeline.bpe import load_tokenizer
from pipeline.engines.encoder import Encoder, Tally
encoder, tally = Encoder(load_tokenizer(sys.argv[1]), "fast"), Tally()
draw, sizes = random.Random(1), []
for number in range(int(sys.argv[2])):
    words = [format(draw.getrandbits(48), "x") for _ in range(20_000)]
    texts = [" ".join(words[i : i + 200]) for i in range(0, len(words), 200)]
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    encoder.encode(column, eos=True, keys=pa.chunked_array([[str(number * 100 + i) for i in range(100)]]), tally=tally)
    sizes.append(int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6)
print(tally.bytes / 1e6, *(sizes[len(sizes) * k // 10] for k in range(1, 10)), sizes[-1])
"""


def leak(batches: int) -> dict[str, Any]:
    """Resident memory over many batches of words that were never seen before."""
    path = str(SHARED / "tokenizers" / TOKENIZERS["llama3"])
    done = subprocess.run(
        [sys.executable, "-c", _LEAK, path, str(batches)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    megabytes, *sizes = (round(float(one), 1) for one in done.stdout.split())
    return {"batches": batches, "megabytes": megabytes, "resident_mb_by_tenths": sizes}


_START = """
import time
from pathlib import Path
from pipeline.bpe import load_tokenizer
import filters.kernels.columns, numba
tok = load_tokenizer({path!r})
wall, cpu = time.perf_counter(), time.process_time()
from pipeline.engines.encoder import Encoder
Encoder(tok, "fast")
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def main() -> None:
    """Measure and write `results/tokenise.json`."""
    parser = argparse.ArgumentParser(description="Token ids and MB/s beside the library tokenizers")
    parser.add_argument(
        "--proof-mb", type=float, default=1000, help="compare ids on at most so many million characters"
    )
    parser.add_argument("--speed-mb", type=float, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes of the proof")
    parser.add_argument("--leak-batches", type=int, default=2000)
    args = parser.parse_args()
    load_before = os.getloadavg()[0]
    real_texts()
    measured = speed(args.speed_mb, args.runs)
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        proofs = pool.map(partial(proof, limit=int(args.proof_mb * 1e6)), list(TOKENIZERS), chunksize=1)
    value = {
        "load_average": {"before": load_before, "after": os.getloadavg()[0]},
        "ids": dict(zip(TOKENIZERS, proofs, strict=True)),
        "speed": measured,
        "hostile": hostile(),
        "leak": leak(args.leak_batches),
        "first_use": start_seconds(_START.replace("{path!r}", repr(str(SHARED / "tokenizers" / TOKENIZERS["llama3"])))),
    }
    write("tokenise", value, ("tokenizers", "numba", "pyarrow"))


if __name__ == "__main__":
    main()
