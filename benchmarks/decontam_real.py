"""The contamination that is really there: all real text of ../shared/data against all its benchmarks, by all methods.

    python -m benchmarks.decontam_real [--list FILE] [--no-write]

Collections: web pages (`html`, extracted; `warc`, genuine crawl files, extracted; `dclm`, `chinesewebtext`: texts of
web pages), and other real text (`mail`, `books`, `wikipedia`, `sentences` of news and web, `posts` of social media).
`--list FILE` writes each pair of a text and an item that any method names, with the item and the matched text beside
it, for reading. What a reader found (a language model, no person) is in benchmarks/decontam_labels.jsonl, one line a
pair: `true` (who reads this text has read the item: its question, or what makes it one), `arguable` (a whole passage or
question stands there, but from a common source or as a common phrase), `false` (they share words), and why. The
precision of a method is the share of true among its pairs, arguable ones as neither. Read were all pairs in web pages,
all that the default method called dirty elsewhere, and a sample of 60, drawn by a hash, of those that only other
methods called dirty (`sample`); these count for the unread ones too in `estimated`.
Writes benchmarks/results/decontam_real.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decontam.index import build_index
from decontam.items import read_items
from decontam.methods import all_methods, default_methods
from decontam.scan import scan

from .common import ROOT, SHARED, write
from .texts import FOLDER, RECIPE, real_texts

LABELS = Path(__file__).parent / "decontam_labels.jsonl"
Key = tuple[str, str, str]
"""Collection, document, item."""
LABEL = ("true", "arguable", "false")
WEB = ("html", "warc", "dclm", "chinesewebtext")
SPAN, AROUND = 1000, 120
"""Bytes of a match that are listed, and around it."""


def lines(name: str) -> list[dict[str, Any]]:
    """A file of ../shared/data."""
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def keyed(names: list[str], texts: Any) -> pa.Table:
    """document, text: a name that comes again gets a number."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        unique.append(f"{name}#{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return pa.table({"document": unique, "text": pa.chunked_array([pa.array(texts, pa.large_string())])})


def warc_texts() -> pa.Table:
    """Pages of the genuine crawl files, extracted once; files that cannot be read are left out by the run."""
    folder = FOLDER.parent / "benchmark-warcs"
    if not list((folder / "run").glob("02-*/kept/*.parquet")):
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / "texts.yaml"
        recipe.write_text(RECIPE.replace("PAGES", str(SHARED / "warc" / "real")))
        command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--output", str(folder / "run"), "--quiet"]
        subprocess.run([*command, "--inline"], check=True, cwd=ROOT)
    files = sorted((folder / "run").glob("02-*/kept/*.parquet"))
    return pa.concat_tables([pq.read_table(file, columns=["url", "text"]) for file in files])


def books() -> Iterator[tuple[str, str]]:
    """Textbooks, speeches and NLTK's web texts."""
    for name in ("openstax_cnxml", "openstax_md"):
        for number, row in enumerate(lines(f"quality/{name}")):
            yield f"{name}/{number}", row["text"]
    for name in ("webtext", "inaugural"):
        with zipfile.ZipFile(SHARED / "quality" / "nltk" / f"{name}.zip") as archive:
            for member in sorted(archive.namelist()):
                if member.endswith(".txt"):
                    yield member, archive.read(member).decode("utf-8", "replace")


def wikipedia() -> Iterator[tuple[str, str]]:
    """WikiText's articles: each begins with a line ` = Title = `."""
    for part in ("valid", "test"):
        text = (SHARED / "quality" / f"wikitext2_{part}.txt").read_text(encoding="utf-8")
        for number, article in enumerate(re.split(r"(?m)^(?= = [^=])", text)):
            yield f"wikitext2_{part}/{number}", article


def collections() -> Iterator[tuple[str, pa.Table]]:
    """Name and (document, text) of each."""
    html = real_texts()
    yield "html", keyed(html["url"].to_pylist(), html["text"].to_pylist())
    warc = warc_texts()
    yield "warc", keyed([url or "" for url in warc["url"].to_pylist()], warc["text"].to_pylist())
    for name, file, column in (
        ("dclm", "dclm_human_agreement", "text"),
        ("chinesewebtext", "chinesewebtext_sample", "raw_content"),
    ):
        rows = lines(f"quality/{file}")
        yield (
            name,
            keyed(
                [f"{file}/{i}" for i in range(len(rows))], [row.get(column) or row.get("text") or "" for row in rows]
            ),
        )
    mail = lines("spam/spamassassin_part")
    yield "mail", keyed([row["id"] for row in mail], [row["raw"] for row in mail])
    for name, made in (("books", books), ("wikipedia", wikipedia)):
        yield name, keyed(*map(list, zip(*made(), strict=True)))  # type: ignore[arg-type]
    for name, files in (
        ("sentences", ("lid/eld_bench", "lid/lingua_sentences75")),
        ("posts", ("toxicity/davidson", "toxicity/olid_train", "toxicity/cold_zh")),
    ):
        found = [
            (f"{file.split('/')[1]}/{i}", row.get("text") or row.get("TEXT") or "")
            for file in files
            for i, row in enumerate(lines(file))
        ]
        yield name, keyed([one for one, _ in found], [text for _, text in found])


class Label(NamedTuple):
    """What the reader, a language model, said of a pair."""

    label: str
    sampled: bool


def labels() -> dict[Key, Label]:
    """By pair. Raises SystemExit for a line that is none."""
    out = {}
    for number, line in enumerate(LABELS.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if row["label"] not in LABEL:
            raise SystemExit(f"{LABELS.name}, line {number}: {row['label']!r} is none of {', '.join(LABEL)}")
        out[row["collection"], row["document"], row["item"]] = Label(row["label"], row.get("sample", False))
    return out


def pairs_of(collection: str, docs: pa.Table, index: Any, methods: list[Any]) -> dict[Key, Any]:
    """(collection, document, item) -> {method: gravest verdict}, and where the first match lies."""
    hits = scan(docs["text"], index, methods)
    names = docs["document"].take(hits["row"]).to_pylist()
    out: dict[Key, Any] = {}
    for name, hit in zip(names, hits.to_pylist(), strict=True):
        pair = out.setdefault(
            (collection, name, hit["item"]), {"row": hit["row"], "start": hit["start"], "end": hit["end"], "by": {}}
        )
        if pair["by"].get(hit["method"]) != "dirty":
            pair["by"][hit["method"]] = hit["verdict"]
    return out


def precision(true: float, false: float) -> float | None:
    """True among true and false; None where there is neither."""
    return round(true / (true + false), 3) if true + false else None


def judged(held: list[Key], known: dict[Key, Label]) -> dict[str, Any]:
    """Counts of labels among pairs, precision of those that were read, and estimated with the sample's weight."""
    counts = Counter(known[key].label if key in known else "unread" for key in held)
    sample = Counter(known[key].label for key in held if key in known and known[key].sampled)
    weight = 1 + counts["unread"] / sample.total() if sample else 1.0
    true, false = (counts[one] + (weight - 1) * sample[one] for one in ("true", "false"))
    return {
        "pairs": len(held), "texts": len({key[:2] for key in held}), **{one: counts[one] for one in LABEL},
        "unread": counts["unread"], "precision": precision(counts["true"], counts["false"]),
        "estimated": precision(true, false),
    }  # fmt: skip


def table(pairs: dict[Key, Any], known: dict[Key, Label], levels: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """By method and level: see `judged`."""
    out: dict[str, Any] = {}
    for method in all_methods():
        out[method] = {
            " or ".join(level): judged([key for key, pair in pairs.items() if pair["by"].get(method) in level], known)
            for level in levels
        }
    return out


def write_list(path: Path, pairs: dict[Key, Any], items: pa.Table, docs: dict[str, pa.Table]) -> None:
    """Each pair for reading."""
    known = labels() if LABELS.is_file() else {}
    row_of = {name: i for i, name in enumerate(items["item"].to_pylist())}
    with path.open("w", encoding="utf-8") as file:
        for key, pair in pairs.items():
            collection, name, item = key
            one = items.slice(row_of[item], 1).to_pylist()[0]
            raw = docs[collection]["text"][pair["row"]].as_py().encode()
            end = min(pair["end"], pair["start"] + SPAN) + AROUND
            near = raw[max(pair["start"] - AROUND, 0) : end].decode("utf-8", "ignore")
            label = known[key].label if key in known else None
            record = {
                "collection": collection, "document": name, "item": item, "label": label, "by": pair["by"],
                "question": one["question"], "answer": one["answer"], "passage": (one["passage"] or "")[:SPAN],
                "choices": one["choices"], "text": near,
            }  # fmt: skip
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def found(root: Path = SHARED) -> tuple[dict[Key, Any], pa.Table, dict[str, pa.Table]]:
    """All pairs that any method names, the items, and the collections."""
    items = read_items(root / "evals", on_error="skip")
    index = build_index(items)
    methods = [made() for made in all_methods().values()]
    docs = dict(collections())
    pairs: dict[Key, Any] = {}
    for name, one in docs.items():
        pairs |= pairs_of(name, one, index, methods)
    return pairs, items, docs


def main() -> None:
    """Scan, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", type=Path, help="write all pairs for reading to this file")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    pairs, items, docs = found()
    if options.list:
        write_list(options.list, pairs, items, docs)
        print(f"{len(pairs)} pairs: {options.list}")
        return
    known = labels()
    web = {key: pair for key, pair in pairs.items() if key[0] in WEB}
    other = {key: pair for key, pair in pairs.items() if key[0] not in WEB}
    said = {key: known[key].label if key in known else "unread" for key in pairs}
    benchmarks: dict[str, Counter[str]] = defaultdict(Counter)
    for key, label in said.items():
        benchmarks[key[2].split("/")[0]][label] += 1
    default = default_methods()[0].name
    value = {
        "collections": {
            name: {"texts": len(one), "megabytes": round(pc.sum(pc.binary_length(one["text"])).as_py() / 1e6, 1)}
            for name, one in docs.items()
        },
        "items": len(items),
        "default": default,
        "web_pages": table(web, known, (("dirty",), ("dirty", "suspect"))),
        "other_text": table(other, known, (("dirty",),)),
        "by_benchmark": {name: dict(counts) for name, counts in sorted(benchmarks.items())},
        "true": [
            {"document": key[1], "item": key[2], "by": pair["by"]}
            for key, pair in pairs.items()
            if said[key] == "true"
        ],
        "false_dirty_of_default": [{"document": key[1], "item": key[2]} for key, pair in web.items()
                                   if pair["by"].get(default) == "dirty" and said[key] == "false"],
    }  # fmt: skip
    print(json.dumps(value, indent=1, ensure_ascii=False))
    if not options.no_write:
        write("decontam_real", value, ("numpy", "numba", "pyarrow"))


if __name__ == "__main__":
    main()
