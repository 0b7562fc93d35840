"""Results of audits that never ran: small tables with hostile texts, drawn from a seed."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from decontam.audit.result import BENCHMARKS, ITEMS, MATCHES, AuditResult

METHODS = ("coverage", "gpt3_13gram", "tulu3_8gram")
MARKUP = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1><!-- &amp; \u2028\u2029 ]]>"
ESCAPES = "NUL \0 and \x1b[31mred\x1b[0m \x9b31m, turned \u202egnirts\u202c end"
ARABIC = "ما هي عاصمة فرنسا؟ باريس ليون"
HAN = "中国的首都是哪个城市 𠀀𠀁 北京"
WORDS = ["river", "stone", "window", "garden", "letter", "music", "winter", "mountain", "silver", "orange", "paper"]


def small_result(
    count: int = 40, *, gate: bool = False, exposure: bool = True, methods: tuple[str, ...] = METHODS
) -> AuditResult:
    """An audit of `count` found items in three benchmark splits; the first ones are hostile."""
    draw = random.Random(7)
    groups = [("alpha", "test"), ("alpha", "validation"), ("be<ta", "te&st")]
    special = [MARKUP, ESCAPES, ARABIC, HAN, "😀 astral 😀 before a word 😀", "A <b>bold</b> question?"]
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number in range(count):
        benchmark, split = groups[number % 3]
        name = f"{benchmark}/{split}/{number}"
        question = special[number] if number < len(special) else " ".join(draw.choices(WORDS, k=12)) + f" {number}"
        verdicts = {m: draw.choice(["dirty", "suspect", "clean"]) for m in methods}
        if set(verdicts.values()) == {"clean"} or number < len(special):
            verdicts[methods[0]] = "dirty"
        results = [
            {"method": m, "verdict": v, "score": draw.random(), "documents": draw.randint(1, 9),
             "copies": draw.randint(1, 5000)}
            for m, v in verdicts.items() if v != "clean"
        ]  # fmt: skip
        mine = next((one for one in results if one["method"] == methods[0]), None)
        choices = [*draw.sample(WORDS, 3), special[number % 6]] if number % 2 else None
        item = {
            "item": name, "benchmark": benchmark, "split": split, "question": question, "choices": choices,
            "answer": choices[number % 4] if choices else f"answer {number} {ESCAPES if number == 2 else ''}",
            "passage": f"passage of {number} {MARKUP} {HAN}" if number % 3 == 0 else None,
            "verdict": mine["verdict"] if mine else "clean", "score": mine["score"] if mine else None,
            "documents": mine["documents"] if mine else 0, "copies": mine["copies"] if mine else 0,
            "exposure": 2.5 * mine["copies"] if mine and exposure else None, "by_method": results,
        }  # fmt: skip
        rows.append(item)
        found += [_match(item, one, k, number, draw) for k, one in enumerate(results)]
    order = {"dirty": 0, "suspect": 1, "clean": 2}
    rows.sort(key=lambda row: order[row["verdict"]])
    place = {row["item"]: k for k, row in enumerate(rows)}
    found.sort(key=lambda one: place[one["item"]])
    counts = list(_counts(rows, groups, methods))
    failed = [{"benchmark": b, "split": s, "limit": 0.05, "share": 0.01 + 0.2 * k, "failed": k > 0}
              for k, (b, s) in enumerate(groups)]  # fmt: skip
    return AuditResult(
        corpus={"inputs": [f"corpus/{MARKUP}", "more"], "kind": "documents", "documents": 1234, "bytes": 5_678_901,
                "tokens": None, "skipped": {"no text": 3}},
        settings={"methods": {m: {"parameter": 0.5} for m in methods}, "default": methods[0],
                  "guard": {"max_items": 20}, "normalisation": {"lowercase": True},
                  "index": {"items": 999, "benchmarks": 3}, "level": "dirty",
                  "mixture": {"web": 2.5} if exposure else None, "versions": {"gristmill": "0"}},
        benchmarks=pa.Table.from_pylist(counts, schema=BENCHMARKS),
        items=pa.Table.from_pylist(rows, schema=ITEMS),
        matches=pa.Table.from_pylist(found, schema=MATCHES),
        unmatchable=["alpha/test/900", "be<ta/te&st/901"],
        gate=failed if gate else [],
    )  # fmt: skip


def empty_result() -> AuditResult:
    """An audit that looked for nothing and found nothing."""
    filled = small_result(3)
    return AuditResult(
        corpus={"inputs": [], "kind": "packs", "documents": 0, "bytes": 0, "tokens": 0, "skipped": {}},
        settings=filled.settings,
        benchmarks=BENCHMARKS.empty_table(),
        items=ITEMS.empty_table(),
        matches=MATCHES.empty_table(),
    )


def _match(item: dict[str, Any], one: dict[str, Any], k: int, number: int, draw: random.Random) -> dict[str, Any]:
    question = item["question"]
    text = f"😀 {question} 😀 trailing{number}"
    low = draw.randint(0, len(question) // 2)
    high = draw.randint(low, len(question))
    inside = [{"part": "question", "start": 0, "end": min(3, len(question))},
              {"part": "question", "start": low, "end": high}]  # fmt: skip
    if item["choices"]:
        inside.append({"part": "choice 4", "start": 1, "end": 4})
    if item["passage"]:
        inside.append({"part": "passage", "start": 8, "end": len(item["passage"])})
    urls = [
        f"https://example.org/{number}?a=<b>&c",
        "javascript://example.org/%0awindow.hacked=1",
        None,
        'https://e.org/"onclick="x',
    ]
    return {
        "item": item["item"], "method": one["method"], "part": "question", "verdict": one["verdict"],
        "score": one["score"], "document": f"{number:032x}", "url": urls[(number + k) % 4],
        "record_file": None if k else f"crawl-{number}.warc.gz", "record_offset": None if k else 10**9 + number,
        "source": f"part.parquet row {number}", "start": number, "end": number + 100, "before": f"before{number} ",
        "text": text, "after": f" after{number} {MARKUP}", "shortened": k == 1,
        "overlap": [{"start": low + 2, "end": high + 2}, {"start": 2, "end": 5}], "item_overlap": inside,
    }  # fmt: skip


def _counts(rows: list[dict[str, Any]], groups: list[tuple[str, str]], methods: tuple[str, ...]) -> Any:
    for k, (benchmark, split) in enumerate(groups):
        members = [row for row in rows if (row["benchmark"], row["split"]) == (benchmark, split)]
        for name in methods:
            verdicts = [one["verdict"] for row in members for one in row["by_method"] if one["method"] == name]
            dirty, suspect, items = verdicts.count("dirty"), verdicts.count("suspect"), 1000 * (k + 1)
            yield {"benchmark": benchmark, "split": split, "method": name, "items": items, "dirty": dirty,
                   "suspect": suspect, "clean": items - dirty - suspect, "unmatchable": k}  # fmt: skip
