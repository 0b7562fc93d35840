"""datatrove's filters over texts, in its own environment.

    python datatrove_filters.py decide TEXTS.arrow OUT.arrow
    python datatrove_filters.py time TEXTS.arrow RUNS

`decide` writes a row a text: the reason of each filter for dropping it (null = kept, "error" where it raised), and
the words that it split, as byte spans; for C4 also the text that it left and the sentences that it counted there.
`time` prints a JSON line: CPU seconds of each run in which every text passes all filters, and apart from them those
of the start (imports, filters and the tokenizer, with one text).
"""

import json
import sys
import time
from importlib import metadata

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
)
from datatrove.utils.text import split_into_words


def filters() -> dict:
    """The four heuristic filters of FineWeb's pipeline, by our names; C4's as FineWeb runs it."""
    return {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_quality": FineWebQualityFilter(),
    }


def word_spans(text: str) -> list[list[int]]:
    """Words as [start, end) in bytes of the text."""
    spans, at, byte = [], 0, 0
    for word in split_into_words(text):
        start = text.index(word, at)
        byte += len(text[at:start].encode())
        end = byte + len(word.encode())
        spans.append([byte, end])
        at, byte = start + len(word), end
    return spans


def reason(one, text: str) -> str | None:
    """Why a filter drops a text; None if it keeps it."""
    try:
        result = one.filter(Document(text=text, id=""))
    except (ZeroDivisionError, IndexError, ValueError):  # datatrove raises for texts without words or lines
        return "error"
    return None if result is True else result[1] if isinstance(result, tuple) else "dropped"


def c4(one: C4QualityFilter, text: str) -> dict:
    """C4's reason, the text it left (null if it dropped the document) and the sentences of the lines it left."""
    split, counted = c4_filters.split_into_sentences, []

    def counting(line: str, language: str) -> list[str]:
        found = split(line, language)
        counted.append(len(found))
        return found

    c4_filters.split_into_sentences = counting
    try:
        doc = Document(text=text, id="")
        result = one.filter(doc)
    finally:
        c4_filters.split_into_sentences = split
    kept = result is True
    return {"c4": None if kept else result[1], "c4_text": doc.text if kept else None, "c4_sentences": sum(counted)}


def main() -> None:
    """See the module."""
    with pa.memory_map(sys.argv[2]) as source:
        texts = pa.ipc.open_file(source).read_all()["text"].to_pylist()
    ours = filters()
    if sys.argv[1] == "decide":
        rows = [{"spans": word_spans(t), **{name: reason(one, t) for name, one in ours.items()}} for t in texts]
        for row, text in zip(rows, texts, strict=True):
            row |= c4(ours["c4"], text)
        more = [("c4_text", pa.large_string()), ("c4_sentences", pa.int64())]
        kinds = pa.schema([("spans", pa.list_(pa.list_(pa.int64()))), *((n, pa.string()) for n in ours), *more])
        table = pa.Table.from_pylist(rows, kinds)
        with pa.OSFile(sys.argv[3], "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return
    reason(ours["gopher_quality"], "The first text starts the tokenizer. " * 20)
    started = time.process_time()
    seconds = []
    for _ in range(int(sys.argv[3])):
        start = time.process_time()
        for text in texts:
            for one in ours.values():
                reason(one, text)
        seconds.append(time.process_time() - start)
    versions = {p: metadata.version(p) for p in ("datatrove", "spacy")}
    print(json.dumps({"seconds": seconds, "start_s": started, "versions": versions}))


if __name__ == "__main__":
    main()
