"""Our filters' decisions beside datatrove's, document by document.

    python -m benchmarks.filter_parity [--texts FOLDER] [--limit N]

Every page of ../shared/data/html, extracted by our engine. datatrove (`make peers`) decides in its own environment
and exports the words that spaCy split; ours decide twice: with the same words (`same_words`: any difference is
listed and must be explained) and with their own (`own_words`: how often another idea of a word changes a decision).
C4 splits sentences, not words: for it `same_words` has datatrove's count of sentences, and `other_text` counts
kept documents whose edited text differs. Writes benchmarks/results/filter_parity.json.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.c4 import C4Documents, C4Lines
from filters.fineweb_quality import FineWebQuality
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.kernels.columns import Spans, Text, text_of
from filters.rules import RuleFilter
from pipeline.stage import DROP_REASON

from .common import write
from .texts import FOLDER, PEER, real_texts, write_ipc

REASONS = {
    "gopher_repetition": {
        "empty": "min_chars", "dup_para_frac": "max_dup_para_share", "dup_para_char_frac": "max_dup_para_char_share",
        "dup_line_frac": "max_dup_line_share", "dup_line_char_frac": "max_dup_line_char_share",
        **{f"top_{n}_gram": f"max_top_{n}gram_char_share" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"max_dup_{n}gram_char_share" for n in range(5, 11)},
    },
    "gopher_quality": {
        "gopher_short_doc": "min_words", "gopher_long_doc": "max_words",
        "gopher_below_avg_threshold": "min_mean_word_chars", "gopher_above_avg_threshold": "max_mean_word_chars",
        "gopher_too_many_hashes": "max_hashes_per_word", "gopher_too_many_ellipsis": "max_ellipses_per_word",
        "gopher_too_many_bullets": "max_bullet_line_share",
        "gopher_too_many_end_ellipsis": "max_ellipsis_line_share",
        "gopher_below_alpha_threshold": "min_alpha_word_share", "gopher_enough_stop_words": "min_stop_words",
    },
    "fineweb_quality": {
        "empty": "min_lines", "line_punct_ratio": "min_terminal_line_share", "short_line_ratio": "max_short_line_share",
        "char_dup_ratio": "max_dup_line_char_share", "list_ratio": "max_newlines_per_word",
    },
}  # fmt: skip
"""Their reason: ours."""

Measure = Callable[[Text, Spans], pa.Array]


def stages() -> dict[str, tuple[RuleFilter, Measure]]:
    """Our filters with the function that scores given words."""
    repetition, quality, fineweb = GopherRepetition(), GopherQuality(), FineWebQuality()
    return {
        "gopher_repetition": (repetition, repetition.measure),
        "gopher_quality": (quality, lambda text, words: quality.measure(text, None, words)),
        "fineweb_quality": (fineweb, fineweb.measure),
    }


def peer_decisions(docs: pa.Table, python: Path = PEER) -> pa.Table:
    """datatrove's reasons and word spans for each text."""
    script = Path(__file__).parent / "peers" / "datatrove_filters.py"
    with tempfile.TemporaryDirectory() as folder:
        texts, out = Path(folder) / "texts.arrow", Path(folder) / "out.arrow"
        write_ipc(docs.select(["text"]), texts)
        subprocess.run([str(python), str(script), "decide", str(texts), str(out)], check=True)
        with pa.OSFile(str(out)) as source:
            return pa.ipc.open_file(source).read_all()


def reasons(stage: RuleFilter, score: pa.Array) -> list[str | None]:
    """Why a filter drops each document, None where it keeps it."""
    table = pa.table({"text": pa.array([""] * len(score), pa.large_string()), "lang": pa.nulls(len(score))})
    table = table.append_column(stage.score_field(stage.score_column, score.type), score)
    found: list[str | None] = stage(table)[DROP_REASON].to_pylist()
    return found


def compare(docs: pa.Table, peer: pa.Table) -> dict[str, dict[str, Any]]:
    """Per filter: documents, drops, disagreements with the same words and with our own."""
    text = text_of(docs["text"])
    words = text.spans(peer["spans"].to_pylist())
    out = {}
    for name, (stage, measure) in stages().items():
        theirs = [REASONS[name].get(r, r) if r else None for r in peer[name].to_pylist()]
        same = reasons(stage, measure(text, words))
        own = stage(docs)[DROP_REASON].to_pylist()
        out[name] = {
            "documents": len(theirs),
            "dropped_by_datatrove": sum(r is not None for r in theirs),
            "same_words": _differences(theirs, same, docs),
            "own_words": {k: v for k, v in _differences(theirs, own, docs).items() if k != "where"},
        }
    return out


C4_REASONS = {
    "lorem_ipsum": "max_lorem_ipsum", "curly_bracket": "max_curly_brackets", "too_few_sentences": "min_sentences",
}  # fmt: skip


def compare_c4(docs: pa.Table, peer: pa.Table) -> dict[str, Any]:
    """As `compare`, for C4's rules as FineWeb runs them (no terminal punctuation)."""
    edited = C4Lines(terminal_punctuation=False)(docs.select(["text"])).drop_columns([DROP_REASON])
    stage = C4Documents()
    score = stage.score(edited)
    theirs = [C4_REASONS.get(r, r) if r else None for r in peer["c4"].to_pylist()]
    fields = {f.name: score.field(f.name) for f in stage.measures} | {
        "sentences": peer["c4_sentences"].combine_chunks()
    }
    same = reasons(stage, pa.StructArray.from_arrays(list(fields.values()), fields=list(stage.measures)))
    texts = zip(edited["text"].to_pylist(), peer["c4_text"].to_pylist(), strict=True)
    own = _differences(theirs, reasons(stage, score), docs)
    return {
        "documents": len(theirs),
        "dropped_by_datatrove": sum(r is not None for r in theirs),
        "other_text": sum(b is not None and a != b for a, b in texts),
        "same_words": _differences(theirs, same, docs),
        "own_words": {k: v for k, v in own.items() if k != "where"},
    }


def _differences(theirs: Sequence[str | None], ours: Sequence[str | None], docs: pa.Table) -> dict[str, Any]:
    decisions = [k for k, (a, b) in enumerate(zip(theirs, ours, strict=True)) if (a is None) != (b is None)]
    other_reasons = [
        k for k, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a is not None and b is not None and a != b
    ]
    pairs = collections.Counter(f"{theirs[k]} / {ours[k]}" for k in decisions)
    return {
        "other_decision": len(decisions),
        "other_reason": len(other_reasons),
        "share_of_other_decisions": len(decisions) / max(1, len(theirs)),
        "theirs_and_ours": dict(pairs.most_common()),
        "where": [
            {"row": k, "url": docs["url"][k].as_py(), "theirs": theirs[k], "ours": ours[k]}
            for k in (decisions + other_reasons)[:20]
        ],
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=FOLDER, help="where extracted texts are kept")
    parser.add_argument("--limit", type=int, help="only so many documents, spread over all")
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    options = parser.parse_args()
    docs = real_texts(options.texts)
    if options.limit and options.limit < docs.num_rows:
        docs = docs.take(list(range(0, docs.num_rows, docs.num_rows // options.limit)))
    docs = docs.combine_chunks()
    peer = peer_decisions(docs)
    result = compare(docs, peer) | {"c4": compare_c4(docs, peer)}
    for name, found in result.items():
        for which in ("same_words", "own_words"):
            print(name, which, {k: v for k, v in found[which].items() if k != "where"}, *found[which].get("where", ()))
    if not options.no_write:
        write("filter_parity", {"documents": docs.num_rows, "filters": result}, ("numpy", "pyarrow", "numba"))


if __name__ == "__main__":
    main()
