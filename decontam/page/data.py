"""The items and matches of an audit as the page carries them: columns in JSON, deflated, in base64.

`head` holds what the list shows and the search reads, one entry an item in each column. What only an opened item
shows lies in blocks of `BLOCK` items, so that the browser reads a block when one of its items is opened. Offsets are
UTF-16 units, as JavaScript counts them; scores have six decimals.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..evidence import VERDICTS

BLOCK = 64
MATCH = (
    "method", "verdict", "score", "part", "document", "url", "record_file", "record_offset", "source", "start", "end",
    "before", "text", "after", "shortened",
)  # fmt: skip
"""What a match has, in this order, before `overlap` (flat: start, end, start, end ...) and `item_overlap`
(such a list for each part)."""
_DIGITS = {name: str(number) for number, name in enumerate(VERDICTS)}
_HOSTILE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def embedded(value: Any) -> str:
    """JSON that can stand inside a script element: no markup can end it, no line separator break it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_HOSTILE)


def packed(value: Any) -> str:
    """JSON of the base64 of the deflated (zlib) JSON of a value."""
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return embedded(base64.b64encode(zlib.compress(raw, 6)).decode("ascii"))


def unpacked(text: str) -> Any:
    """What `packed` was given."""
    return json.loads(zlib.decompress(base64.b64decode(json.loads(text))))


def units(text: str, offsets: Sequence[int]) -> list[int]:
    """Offsets in characters as offsets in UTF-16 units; those outside the text are moved to its ends."""
    inside = [min(max(at, 0), len(text)) for at in offsets]
    if not inside or text.isascii() or len(text.encode("utf-16-le")) == 2 * len(text):
        return inside
    wide = np.frombuffer(text.encode("utf-32-le"), np.uint32) > 0xFFFF
    before = np.concatenate([[0], np.cumsum(wide)])
    return [at + int(before[at]) for at in inside]


def head(items: pa.Table, methods: Sequence[str], groups: Sequence[tuple[str, str]], found: Counter[str]) -> Any:
    """The columns of the list. `groups`: (benchmark, split); `found`: matches by item."""
    number = {group: k for k, group in enumerate(groups)}
    names = _strings(items, "item")
    return {
        "item": names,
        "group": [number[g] for g in zip(_strings(items, "benchmark"), _strings(items, "split"), strict=True)],
        "verdict": "".join(_DIGITS[v] for v in items["verdict"].to_pylist()),
        "score": [_score(v) for v in items["score"].to_pylist()],
        "documents": items["documents"].to_pylist(),
        "copies": items["copies"].to_pylist(),
        "exposure": [_score(v) for v in items["exposure"].to_pylist()],
        "question": _strings(items, "question"),
        "matches": [found[name] for name in names],
        "methods": _by_method(items["by_method"].to_pylist(), methods),
    }


def _by_method(results: list[Any], methods: Sequence[str]) -> dict[str, Any]:
    """The columns of each method; null and verdict 0 where it calls an item clean."""
    columns: dict[str, Any] = {
        name: {key: [None] * len(results) for key in ("score", "documents", "copies")} for name in methods
    }
    verdicts = {name: ["0"] * len(results) for name in methods}
    for row, some in enumerate(results):
        for one in some or ():
            verdicts[one["method"]][row] = _DIGITS[one["verdict"]]
            column = columns[one["method"]]
            column["score"][row] = _score(one["score"])
            column["documents"][row], column["copies"][row] = one["documents"], one["copies"]
    return {name: {"verdict": "".join(verdicts[name]), **columns[name]} for name in methods}


def blocks(items: pa.Table, matches: pa.Table, methods: Sequence[str]) -> Iterable[Any]:
    """What opened items show, `BLOCK` items at a time: choices, answer, passage and matches."""
    rows = _rows_by_item(matches)
    number = {name: k for k, name in enumerate(methods)}
    for start in range(0, items.num_rows, BLOCK):
        part = items.slice(start, BLOCK).to_pylist()
        taken = [rows.get(one["item"], []) for one in part]
        flat = matches.take(pa.array([row for some in taken for row in some], pa.int64())).to_pylist()
        told = iter(flat)
        yield {
            "choices": [one["choices"] for one in part],
            "answer": [one["answer"] for one in part],
            "passage": [one["passage"] for one in part],
            "matches": [[_match(next(told), one, number) for _ in some] for one, some in zip(part, taken, strict=True)],
        }


def _match(match: dict[str, Any], item: dict[str, Any], number: dict[str, int]) -> list[Any]:
    values = {**match, "method": number[match["method"]], "verdict": VERDICTS.index(match["verdict"])}
    values["score"] = _score(match["score"])
    flat = [at for one in match["overlap"] or () for at in (one["start"], one["end"])]
    inside: dict[str, list[int]] = {}
    for one in match["item_overlap"] or ():
        inside.setdefault(one["part"], []).extend((one["start"], one["end"]))
    return [
        *(values[name] for name in MATCH),
        units(match["text"] or "", flat),
        {part: units(_part(item, part), offsets) for part, offsets in inside.items()},
    ]


def _part(item: dict[str, Any], name: str) -> str:
    """The text of a part: question, answer, passage, choice 1, choice 2 ..."""
    text: str | None = item["choices"][int(name.split()[1]) - 1] if name.startswith("choice ") else item[name]
    return text or ""


def _rows_by_item(matches: pa.Table) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(_strings(matches, "item")):
        rows.setdefault(name, []).append(row)
    return rows


def _strings(table: pa.Table, name: str) -> list[str]:
    values = table[name].to_pylist()
    return [v if v is not None else "" for v in values]


def _score(value: float | None) -> float | None:
    """Six decimals; no number (or no finite one) is null."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), 6)
