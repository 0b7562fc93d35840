"""Random texts and items against plain Python, with guards around every array that a kernel may write to.

    python -m tests.decontam.fuzzing [--seconds 60] [--seed 0] [--options N]

As a command it compiles the kernels with checks of every index (some 30 s) and goes on until the time is over: each
case has a `Normalisation` of its own, in turn all 256, texts of any planes of Unicode or of raw bytes that are no UTF-8
at all, sliced and chunked columns, empties and nulls, and items that are pieces of the texts. `case` is what the
tests run some of, with the kernels as they are.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import math
import random
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

GUARD = 64
PATTERN = 0xA5
SPECIAL = (
    "ßİıŉǰΐﷺﬃﬅΣς\u0345", "'\u2019\u02bc`\u00b4\uff07", "\u0301\u0308\u05b0\u064b\u093e\u3099\ufe0f\u20dd",
    "漢字ひらカナไทยລາວភាမြန်", "\0\x01\x1f\x7f\ufeff\u200b\u200d\u202e\xad", " \t\n\r\u2028\u3000", "!?.,;()$%&*+/<=>",
    "Ａｂ１２①Ⅷ㎏㍿½²ªﬁ", "\U0001f600\U0001f468\U00020000\U0002a6d6\U000e0041\U000f0000\U0010ffff", "_\\{}^",
    "한국어조각각", "हिन्दीতামிழ்", "𝐀𝒷𝟘𐐀𐐨",
)  # fmt: skip
COMMANDS = ("\\frac", "\\mathrm{", "\\sin", "\\", "\\\\", "\\a", "\\abcd")
MODULES = ("normalise", "seeds", "index_build", "background", "scan", "evidence", "methods.llama2", "methods.parts")


class Guarded:
    """numpy, but arrays that it makes have guards behind them, and fresh ones hold rubbish."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._made: list[tuple[Any, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def _guarded(self, size: Any, kind: Any) -> Any:
        shape = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
        count = int(np.prod(shape))
        width = np.dtype(kind).itemsize
        raw = np.full(count * width + GUARD, PATTERN, np.uint8)
        raw[: count * width] = self._rng.randrange(256)
        self._made.append((raw, count * width))
        return raw[: count * width].view(kind).reshape(shape)

    def empty(self, size: Any, kind: Any = np.float64) -> Any:
        """As numpy's."""
        return self._guarded(size, kind)

    def zeros(self, size: Any, kind: Any = np.float64) -> Any:
        """As numpy's."""
        made = self._guarded(size, kind)
        made[...] = 0
        return made

    def full(self, size: Any, value: Any, kind: Any = None) -> Any:
        """As numpy's."""
        made = self._guarded(size, kind or np.array(value).dtype)
        made[...] = value
        return made

    def check(self) -> None:
        """Raises AssertionError if anything was written behind an array."""
        for raw, size in self._made:
            assert (raw[size:] == PATTERN).all(), f"written behind an array of {size} bytes"
        self._made.clear()


@contextmanager
def guarded(rng: random.Random) -> Iterator[Guarded]:
    """The modules that allocate for kernels see numpy with guards."""
    guard = Guarded(rng)
    modules = [importlib.import_module(f"decontam.{name}") for name in MODULES]
    for module in modules:
        module.np = guard  # type: ignore[attr-defined]
    try:
        yield guard
        guard.check()
    finally:
        for module in modules:
            module.np = np  # type: ignore[attr-defined]


def some_text(rng: random.Random, pieces: Sequence[str]) -> str:
    """Words of few letters, of any letters, special characters, commands, and pieces of what was made before."""
    out: list[str] = []
    few = "abAB01"[: rng.choice((1, 2, 6))]
    for _ in range(rng.choice((0, 1, 5, 20, 60))):
        kind = rng.randrange(8)
        if kind < 3:
            out.append("".join(rng.choices(few, k=rng.randint(1, 3))))
        elif kind == 3:
            out.append("".join(rng.choices(rng.choice(SPECIAL), k=rng.randint(1, 4))))
        elif kind == 4:
            point = rng.randrange(rng.choice((0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000)))
            out.append(chr(point if not 0xD800 <= point < 0xE000 else 0x41) * rng.choice((1, 1, 3)))
        elif kind == 5:
            out.append(rng.choice(COMMANDS) + rng.choice(("", "x", "{")))
        elif kind == 6 and pieces:
            piece = rng.choice(pieces)
            low = rng.randint(0, len(piece))
            out.append(piece[low : rng.randint(low, len(piece))] if rng.random() < 0.4 else piece)
        else:
            out.append(rng.choice((" ", "\n", "")))
        out.append(rng.choice((" ", " ", " ", "", "\n", ", ")))
    return "".join(out)


def raw_column(rng: random.Random, texts: Sequence[str]) -> pa.Array:
    """Texts cut anywhere, inside of characters too, as a damaged file or a careless slice would have them."""
    raw = bytearray("".join(texts).encode())
    for _ in range(rng.choice((0, 0, 3, 30))):
        if raw:
            raw[rng.randrange(len(raw))] = rng.choice((0x80, 0xBF, 0xC1, 0xE0, 0xF0, 0xF7, 0xFF, rng.randrange(256)))
    inner = sorted(rng.choices(range(len(raw) + 1), k=rng.randint(1, 8)))
    offsets = np.array(inner, np.int64)  # neither the first byte nor the last needs to belong to a text
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(bytes(raw))]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def reference(text: str, options: Any) -> list[tuple[str, int, int]]:
    """(folded token, first byte, end) of each token, a character after the other, as decontam.normalise has it."""
    from decontam import normalise as n

    out: list[tuple[str, int, int]] = []
    word, start, stop, single, at, skip = "", 0, 0, False, 0, 0

    def close() -> None:
        nonlocal word
        if word:
            out.append((word, start, stop))
        word = ""

    for i, char in enumerate(text):
        size = len(char.encode())
        at, begin = at + size, at
        category = unicodedata.category(char)
        if skip:
            skip -= 1
            continue
        if char == "\\" and options.drop_commands:
            close()
            letters = len(list(itertools.takewhile(lambda c: c.isascii() and c.isalpha(), text[i + 1 :])))
            skip = letters if letters > 3 else 0
            continue
        if ord(char) >= 0x20000:
            folded, alone, mark = char, True, 0xE0000 <= ord(char) < 0xE01F0
            folded = "" if mark else folded
        else:
            mark = category == "Cf" or category[0] == "M" or options.join_apostrophes and char in n.APOSTROPHES
            compatible = unicodedata.normalize("NFKD", char) if options.fold_width else char
            folded = n._spelled(char, options) if any(unicodedata.category(c)[0] in "LNM" for c in compatible) else ""
            if mark and (category[0] != "M" or options.strip_accents and n._is_accent(char)):
                folded = ""
            if not mark and not any(unicodedata.category(c)[0] in "LN" for c in char + compatible):
                folded = ""
            if char == "_" and options.keep_identifiers:
                folded = "_"
            alone = bool(folded) and n._spaceless(folded[0])
            if not folded and not mark and category[0] in "PS" and not options.strip_punctuation:
                folded, alone = char, True
        if mark:
            if folded and not word:
                start, single = begin, False
            word += folded
            stop = at if folded else stop
            continue
        if not folded or alone or single:
            close()
        if folded:
            start = start if word else begin
            word += folded
            single, stop = alone, at
    close()
    return out


def check_tokens(texts: Sequence[str], options: Any, known: dict[str, int], seen: dict[int, str]) -> None:
    """Spans as in `reference`; a folded spelling has one hash and a hash one spelling, in `known` and `seen`."""
    from decontam.normalise import tokens_of

    tokens = tokens_of(pa.array(texts, pa.large_string()), options)
    for d, text in enumerate(texts):
        expected = reference(text, options)
        low, high = int(tokens.offsets[d]), int(tokens.offsets[d + 1])
        spans = list(zip(tokens.starts[low:high].tolist(), tokens.ends[low:high].tolist(), strict=True))
        assert spans == [(a, b) for _, a, b in expected], (text, options)
        for (word, _, _), number in zip(expected, tokens.hashes[low:high].tolist(), strict=True):
            assert known.setdefault(word, number) == number, (word, options)
            assert seen.setdefault(number, word) == word, (word, options)


def rows(column: Any, options: Any) -> list[list[int]]:
    """Hashes of the tokens of each text."""
    from decontam.normalise import tokens_of

    tokens = tokens_of(column, options)
    return [tokens.hashes[a:b].tolist() for a, b in itertools.pairwise(tokens.offsets.tolist())]


def plain_runs(text: Sequence[int], item: Sequence[int], n: int) -> set[tuple[int, int, int]]:
    """(first token of the text, of the item, tokens) of every maximal row of at least n equal tokens."""
    out = set()
    for d in range(len(text)):
        for q in range(len(item)):
            if text[d] != item[q] or d and q and text[d - 1] == item[q - 1]:
                continue
            k = 0
            while d + k < len(text) and q + k < len(item) and text[d + k] == item[q + k]:
                k += 1
            if k >= n:
                out.add((d, q, k))
    return out


def check_evidence(column: pa.Array, index: Any, scanner: Any) -> list[Any]:
    """Pairs, runs and short parts as a search of each part in each text finds them. Returns the evidence."""
    from decontam.index import ANSWER, CHOICES, QUESTION, SHORTEST, N
    from decontam.scan import LONG_RUN

    texts = rows(column, index.normalisation)
    parts = [index.tokens[a:b].tolist() for a, b in itertools.pairwise(index.part_offsets.tolist())]
    wanted = {
        (row, p): found
        for row, text in enumerate(texts)
        for p, part in enumerate(parts)
        if (found := plain_runs(text, part, N))
    }
    short = {
        (row, p, k)
        for row, text in enumerate(texts)
        for p, part in enumerate(parts)
        if SHORTEST <= len(part) < N and index.part_kind[p] == QUESTION
        for k in range(len(text) - len(part) + 1)
        if text[k : k + len(part)] == part
    }
    got: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
    got_short = set()
    chunks = list(scanner.evidence(column))
    for one in chunks:
        for i, (d, p) in enumerate(zip(one.pair_document.tolist(), one.pair_part.tolist(), strict=True)):
            low, high = int(one.run_offsets[i]), int(one.run_offsets[i + 1])
            first, place = int(one.offsets[d]), int(index.part_offsets[p])
            found = zip(one.run_text[low:high], one.run_place[low:high], one.run_length[low:high], strict=True)
            got[one.row + d, p] = {(int(t) - first, int(q) - place, int(k)) for t, q, k in found}
            assert len(got[one.row + d, p]) == high - low
            low, high = int(one.cluster_offsets[i]), int(one.cluster_offsets[i + 1])
            starts, ends = one.cluster_start[low:high], one.cluster_end[low:high]
            assert low < high and (starts < ends).all() and starts.min() >= first and ends.max() <= one.offsets[d + 1]
            assert (one.cluster_score[low:high] > 0).all() and (one.cluster_score[low:high] < 1 + 1e-9).all()
            assert (one.cluster_matched[low:high] <= len(parts[p])).all()
        for d, p, k in zip(one.short_document.tolist(), one.short_part.tolist(), one.short_text.tolist(), strict=True):
            got_short.add((one.row + d, p, k - int(one.offsets[d])))
    for pair, found in wanted.items():
        length = len(parts[pair[1]])
        support = index.part_kind[pair[1]] in (CHOICES, ANSWER)  # looked at from three quarters on, or eight in a row
        grams = sum(k - N + 1 for _, _, k in found if not support or k > N)
        longest = max(k for _, _, k in found)
        if not support or longest >= LONG_RUN or grams >= max(2, math.ceil(0.75 * (length - N + 1))):
            assert pair in got
    assert all(wanted[pair] == found for pair, found in got.items())
    assert got_short == short
    return chunks


def some_items(rng: random.Random, texts: Sequence[str]) -> pa.Table:
    """Items whose parts are texts, and short ones."""
    from .scan_tools import items_of

    def part() -> str | None:
        return rng.choice((None, "", "a b a", "a", *texts))

    made = [
        {
            "question": part(),
            "answer": part(),
            "passage": part(),
            "choices": [part() or "" for _ in range(rng.randrange(3))],
            "benchmark": rng.choice("xyz"),
        }
        for _ in range(rng.randint(0, 4))
    ]
    return items_of(made)


def options_of(number: int) -> Any:
    """One of the 256 combinations of options; 0 is the default."""
    from decontam.normalise import Normalisation

    default = Normalisation()
    names = list(Normalisation.__dataclass_fields__)
    return Normalisation(**{name: getattr(default, name) ^ bool(number >> i & 1) for i, name in enumerate(names)})


def case(seed: int, options: Any, known: dict[str, int], seen: dict[int, str]) -> int:
    """One random case; returns how many hits its methods had. Raises AssertionError for what is wrong."""
    from decontam import seeds
    from decontam.index import build_index
    from decontam.methods import all_methods
    from decontam.scan import Scanner, ScanOptions, table_of

    from .scan_tools import EXACT

    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(rng.randint(1, 8)):
        texts.append(some_text(rng, texts))
    with guarded(rng):
        check_tokens(texts, options, known, seen)
        items = some_items(rng, texts)
        index = build_index(items, options)
        cut = rng.randint(0, len(items))
        grown = build_index(items.slice(0, cut), options).added(items.slice(cut))
        assert grown.fingerprint == index.fingerprint
    column: Any = raw_column(rng, texts) if rng.random() < 0.3 else pa.array(texts, pa.large_string())
    if rng.random() < 0.3:
        column = pa.concat_arrays([pa.array(["x", None], pa.large_string()), column]).slice(rng.randrange(3))
    with guarded(rng):
        index = grown.with_background([column]) if rng.random() < 0.2 else grown
        scanner = Scanner(index, EXACT)
        scanner._room = rng.choice((1, 2, 1 << 12))
        before = seeds.CHUNK_BYTES
        seeds.CHUNK_BYTES = rng.choice((1, 50, before))
        try:
            chunks = check_evidence(column, index, scanner)
            loose = Scanner(index, ScanOptions(max_items=1, max_places=2, min_share=rng.random(), min_score=0.0))
            chunks += loose.evidence(column)
        finally:
            seeds.CHUNK_BYTES = before
        hits = 0
        for one in chunks:
            found = table_of(one, [made() for made in all_methods().values()])
            hits += len(found)
            sizes = np.diff(one.text.offsets)
            for row, start, end in zip(*(found[name].to_pylist() for name in ("row", "start", "end")), strict=True):
                assert 0 <= start < end <= sizes[row - one.row]
    return hits


def check_indices() -> None:
    """Kernels that are imported from now on raise IndexError instead of reading or writing elsewhere."""
    import numba

    from pipeline import kernels

    def checked(function: Any) -> Any:
        return numba.njit(boundscheck=True, nogil=True, error_model="numpy")(function)

    kernels.kernel = kernels.plain_kernel = kernels.kernel_part = checked


def main() -> None:
    """Cases until the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--options", type=int, help="one of the 256 combinations; all in turn by default")
    parser.add_argument("--each", type=int, default=40, help="cases for each combination")
    given = parser.parse_args()
    check_indices()
    began, seed, hits, combinations = time.monotonic(), given.seed, 0, 0
    case(0, options_of(0), {}, {})
    print(f"compiled in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    numbers = itertools.repeat(given.options) if given.options is not None else itertools.cycle(range(256))
    for number in numbers:
        known: dict[str, int] = {}
        seen: dict[int, str] = {}
        for _ in range(given.each):
            try:
                hits += case(seed, options_of(number), known, seen)
            except Exception:
                print(f"seed {seed}, options {number}: --seed {seed} --options {number} --each 1")
                raise
            seed += 1
        combinations += 1
        if time.monotonic() - began > given.seconds:
            break
    print(f"{seed - given.seed} cases, {min(combinations, 256)} combinations of options, {hits} hits, nothing wrong")


if __name__ == "__main__":
    main()
