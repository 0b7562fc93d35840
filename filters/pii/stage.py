"""Personal data: addresses, phones, payment numbers, national ids and keys, masked, counted or a reason to drop.

Reads `text`; adds `cut_spans` (kind = what was masked) and `pii_counts`, a struct with one int32 a kind.
A compiled prefilter shows where a finder must look (`filters/kernels/pii.py`); most documents pass untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, nearest
from pipeline.schema import require
from pipeline.stage import CUT_SPANS, SPAN, Editor, register

from .find import ALNUM, AT, IPV4, IPV6, KINDS, NUMBER, PEM, PLACEHOLDERS, SHORT, SPELLED, TOKEN, find
from .text import Hit

COUNTS = "pii_counts"
MODES = ("mask", "count", "drop")
FINEWEB_EMAILS = ("email@example.com", "firstname.lastname@example.org")
FINEWEB_IPS = (
    "22.214.171.124",
    "126.96.36.199",
    "188.8.131.52",
    "184.108.40.206",
    "220.127.116.11",
    "18.104.22.168",
)
"""What FineWeb writes in place of addresses (datatrove 0.10.1, PIIFormatter): addresses that nobody answered at."""
_TRIGGERS = {
    "email": AT,
    "ip": IPV4 | IPV6,
    "phone": NUMBER | SHORT,
    "card": NUMBER,
    "iban": NUMBER | ALNUM,
    "national_id": NUMBER | ALNUM,
    "key": TOKEN | PEM,
}


@register
@dataclass(frozen=True, kw_only=True)
class Pii(Editor):
    """Masks e-mail and public IP addresses, phones, cards, IBANs, national ids and keys; or counts, or drops."""

    name: ClassVar[str] = "pii"
    adds: ClassVar[tuple[str, ...]] = (CUT_SPANS, COUNTS)
    sources: ClassVar[tuple[str, ...]] = (
        "Penedo et al. 2024, FineWeb, section 3.6 (e-mail and public IP addresses); https://arxiv.org/abs/2406.17557",
        "IANA IPv4 and IPv6 special-purpose address registries; https://www.iana.org/assignments/iana-ipv4-special-registry",
        "ISO/IEC 7812-1 (cards), ISO 13616 (IBAN), ITU-T E.164 (phones); national ids: filters/pii/national.py",
    )

    kinds: tuple[str, ...] = field(default=KINDS, metadata={"help": f"what to look for: {', '.join(KINDS)}"})
    mode: str = field(
        default="mask",
        metadata={"help": "mask, count (text stays) or drop (documents with any, or above the limits; text stays)"},
    )
    replacement: str = field(
        default="placeholder",
        metadata={"help": "placeholder (<EMAIL>, <IP> ...) or fineweb (its example addresses for e-mail and IP)"},
    )
    spelled: bool = field(
        default=False, metadata={"help": "also `name at example dot com` and `name [at] example.com`"}
    )
    max_per_document: int | None = field(default=None, metadata={"help": "drop documents with more; null = off"})
    max_per_1000_words: float | None = field(
        default=None, metadata={"help": "drop documents with more in 1000 words (split at white space); null = off"}
    )

    def check(self) -> None:
        """As `Stage.check`."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(f"pii: kinds knows no '{kind}'{nearest(kind, KINDS)}; known: {', '.join(KINDS)}")
        if not self.kinds:
            raise ConfigError("pii: kinds is empty; leave the stage out instead")
        if self.mode not in MODES:
            raise ConfigError(f"pii: mode must be one of {', '.join(MODES)}{nearest(self.mode, MODES)}")
        if self.replacement not in ("placeholder", "fineweb"):
            raise ConfigError(f"pii: replacement must be 'placeholder' or 'fineweb', not '{self.replacement}'")
        for option in ("max_per_document", "max_per_1000_words"):
            value = getattr(self, option)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
                raise ConfigError(f"pii: {option} must be a number from 0 on, or null, not {value!r}")

    def __call__(self, docs: pa.Table) -> pa.Table:
        require(docs, self.reads, f"editor '{self.name}'")
        text, spans, counts = self.masked(docs["text"])
        if COUNTS in docs.column_names:
            docs = docs.drop_columns([COUNTS])
        return self.edited(docs.append_column(COUNTS, counts), text, spans)

    def edit(self, docs: pa.Table) -> tuple[pa.Array, pa.Array]:
        """As `Editor.edit`."""
        text, spans, _ = self.masked(docs["text"])
        return text, spans

    def hits(self, data: np.ndarray, offsets: np.ndarray) -> dict[int, list[Hit]]:
        """Hits by document, offsets in bytes of the document; `data` uint8, `offsets` int64[n + 1] into it."""
        from filters.kernels import pii as kernels

        from .keys import PREFIXES

        wanted = SPELLED if self.spelled and "email" in self.kinds else 0
        for kind in self.kinds:
            wanted |= _TRIGGERS[kind]
        prefixes = np.array([int.from_bytes(p.encode(), "big") for p in PREFIXES], np.int64)
        room = (int(offsets[-1] - offsets[0]) // 64 + 2 * len(offsets)) + 2
        table = np.empty(4 * room, np.int64)
        n = kernels.windows(data, offsets, prefixes, bool(wanted & SPELLED), table)
        found: dict[int, list[Hit]] = {}
        for document, start, end, mask in table[: 4 * n].reshape(n, 4).tolist():
            if not mask & wanted:
                continue
            raw = data[start:end].tobytes()
            text = raw.decode("utf-8")
            hits = find(text, self.kinds, mask & wanted)
            if not hits:
                continue
            base = start - int(offsets[document])
            plain = len(text) == len(raw)
            for hit in hits if plain else _in_bytes(text, hits):
                own = found.setdefault(document, [])
                if not own or own[-1].end <= base + hit.start:
                    own.append(hit._replace(start=base + hit.start, end=base + hit.end))
        return found

    def replacements(self, hits: list[Hit]) -> list[str]:
        """What to write for each hit of one document; FineWeb's addresses in turn, from the first in each document."""
        if self.replacement == "placeholder":
            return [PLACEHOLDERS[hit.kind] for hit in hits]
        turns = {"email": 0, "ip": 0}
        out = []
        for hit in hits:
            pool = {"email": FINEWEB_EMAILS, "ip": FINEWEB_IPS}.get(hit.kind)
            if pool:
                out.append(pool[turns[hit.kind] % len(pool)])
                turns[hit.kind] += 1
            else:
                out.append(PLACEHOLDERS[hit.kind])
        return out

    def masked(self, column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array, pa.StructArray]:
        """(text, spans, counts) of a text column; the text is the column's own where `mode` is not mask."""
        text = _one_array(column)
        offsets, data = _buffers(text)
        found = self.hits(data, offsets)
        counts = np.zeros((len(KINDS), len(text)), np.int32)
        for document, hits in found.items():
            for hit in hits:
                counts[KINDS.index(hit.kind), document] += 1
        struct = pa.StructArray.from_arrays([pa.array(row) for row in counts], names=list(KINDS))
        if self.mode != "mask" or not found:
            return text, pa.array([[]] * len(text), pa.list_(SPAN)), struct
        return *self._rewritten(text, data, offsets, found), struct

    def _rewritten(
        self, text: pa.Array, data: np.ndarray, offsets: np.ndarray, found: dict[int, list[Hit]]
    ) -> tuple[pa.Array, pa.Array]:
        """The text with its hits replaced, and the spans of them."""
        pieces: list[bytes | memoryview] = []
        lengths = np.diff(offsets)
        view = data.data
        spans: list[dict[str, Any]] = []
        span_counts = np.zeros(len(text), np.int64)
        copied = int(offsets[0])
        for document, hits in found.items():
            base = int(offsets[document])
            span_counts[document] = len(hits)
            for hit, new in zip(hits, self.replacements(hits), strict=True):
                written = new.encode()
                pieces += [view[copied : base + hit.start], written]
                copied = base + hit.end
                lengths[document] += len(written) - (hit.end - hit.start)
                kind = f"{hit.kind}:{hit.detail}" if hit.detail else hit.kind
                spans.append({"editor": self.name, "start": hit.start, "end": hit.end, "kind": kind})
        pieces.append(view[copied : int(offsets[-1])])
        new_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        new_text = pa.LargeStringArray.from_buffers(
            len(text), pa.py_buffer(new_offsets), pa.py_buffer(b"".join(pieces))
        )
        span_offsets = np.concatenate([[0], np.cumsum(span_counts)]).astype(np.int32)
        return new_text, pa.ListArray.from_arrays(pa.array(span_offsets), pa.array(spans, SPAN))

    def dropped(self, docs: pa.Table) -> pa.Array | None:
        """As `Editor.dropped`; the reason is the limit that a document is above, `pii` for mode drop without limits."""
        unlimited = self.max_per_document is None and self.max_per_1000_words is None
        if self.mode != "drop" and unlimited:
            return None
        total = np.zeros(docs.num_rows, np.int64)
        for kind in KINDS:
            total += pc.struct_field(docs[COUNTS], kind).to_numpy()
        text = docs["text"]
        out: list[str | None] = [None] * docs.num_rows
        for i in np.flatnonzero(total).tolist():
            if unlimited:
                out[i] = "pii"
            elif self.max_per_document is not None and total[i] > self.max_per_document:
                out[i] = "max_per_document"
            elif self.max_per_1000_words is not None:
                n_words = max(1, len(text[i].as_py().split()))
                if total[i] * 1000 > self.max_per_1000_words * n_words:
                    out[i] = "max_per_1000_words"
        return pa.array(out, pa.string())


def _in_bytes(text: str, hits: list[Hit]) -> list[Hit]:
    """Hits with offsets in UTF-8 bytes in place of characters."""
    out, at, size = [], 0, 0
    for hit in hits:
        size += len(text[at : hit.start].encode())
        width = len(text[hit.start : hit.end].encode())
        out.append(hit._replace(start=size, end=size + width))
        at, size = hit.end, size + width
    return out


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One large_string array without nulls."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.array([], pa.large_string())
    if array.type != pa.large_string():
        array = array.cast(pa.large_string())
    return array.fill_null("") if array.null_count else array


def _buffers(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(int64 offsets [n + 1], uint8 bytes) of an array, on its own buffers."""
    _, offsets, data = text.buffers()
    if offsets is None or len(text) == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    where = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    return where, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
