"""Plants defects in a corpus: copies of a few documents, shuffled and boilerplate pages, a leaked held-out set.

A corpus is a table with `id` and `text` (strings). What is planted is added to it, and the column `planted` says what a
document is: "" (of the corpus), `copy`, `edited_copy`, `shuffled`, `boilerplate` or `leak`. Shares are of the UTF-8
bytes of all text. The same corpus, options and seed give the same table; choices are made by a hash of the seed and
the document's id or number, so the order of the rows does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError

from .boilerplate import boilerplate_page
from .design import Junk, Leak, Repeat

MIN_REPEATED = 4
"""Documents that are repeated are so short that there can be this many of them."""
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("planted", pa.string())])


def corpus(texts: Sequence[str], prefix: str) -> pa.Table:
    """A table of texts with ids `prefix-0`, `prefix-1` ... and nothing planted."""
    ids = [f"{prefix}-{i}" for i in range(len(texts))]
    return pa.table([ids, list(texts), [""] * len(ids)], schema=SCHEMA)


def text_bytes(docs: pa.Table) -> int:
    """UTF-8 bytes of all text."""
    return sum(len(text.encode()) for text in docs["text"].to_pylist())


def repeat_documents(docs: pa.Table, how: Repeat, seed: int = 0) -> pa.Table:
    """The corpus with copies of a few of its documents, which are `how.share` of the result (originals don't count).

    As many documents are taken as can have `how.min_copies` copies each or more, only such of which at least
    `MIN_REPEATED` can. A share `how.edited` of the copies differs from the original by a last line, as captures of one
    page differ by a counter: these are near-duplicates, the others are exact. Raises ConfigError if no document can
    have so many copies.
    """
    how.check()
    rows = sorted(docs.select(["id", "text"]).to_pylist(), key=lambda row: _draw(seed, "repeat", row["id"]))
    target = how.share / (1 - how.share) * text_bytes(docs)
    chosen: list[dict[str, str]] = []
    size = 0
    for row in rows:
        more = len(row["text"].encode())
        if more * MIN_REPEATED * how.min_copies <= target and (size + more) * how.min_copies <= target:
            chosen.append(row)
            size += more
    if not chosen:
        raise ConfigError(
            f"no document is so short that {MIN_REPEATED} like it fit {how.min_copies} times into {how.share:.0%} of"
            " the corpus: give more text, shorter documents, or fewer copies"
        )
    copies = round(target / size)
    made = []
    for row in chosen:
        for i in range(copies):
            is_edited = _unit(seed, "edited", f"{row['id']} {i}") < how.edited
            text = row["text"] + (f"\nVisitor number {_draw(seed, 'visitor', str(i)) % 10**9}." if is_edited else "")
            made.append((f"{row['id']}-copy-{i}", text, "edited_copy" if is_edited else "copy"))
    return _with(docs, made)


def plant_junk(docs: pa.Table, spare: pa.Table, how: Junk, seed: int = 0) -> pa.Table:
    """The corpus with junk pages, which are `how.share` of the result.

    A share `how.shuffled` of the junk is pages of `spare` (documents that are not in the corpus) with their words in
    another order, the rest boilerplate: menus, notices and link lists of made-up sites. Raises ConfigError if `spare`
    has too little text.
    """
    how.check()
    target = how.share / (1 - how.share) * text_bytes(docs)
    made: list[tuple[str, str, str]] = []
    size = 0
    for row in sorted(spare.select(["id", "text"]).to_pylist(), key=lambda row: _draw(seed, "junk", row["id"])):
        if size >= target * how.shuffled:
            break
        text = shuffle_words(row["text"], _draw(seed, "shuffle", row["id"]))
        made.append((f"{row['id']}-shuffled", text, "shuffled"))
        size += len(text.encode())
    if size < target * how.shuffled:
        raise ConfigError(f"the spare documents have {size:,} bytes; {target * how.shuffled:,.0f} are to be shuffled")
    while size < target:
        text = boilerplate_page(_draw(seed, "boilerplate", str(len(made))))
        made.append((f"boilerplate-{len(made)}", text, "boilerplate"))
        size += len(text.encode())
    return _with(docs, made)


def shuffle_words(text: str, seed: int) -> str:
    """The same words in another order over the whole text; each line keeps its number of words."""
    lines = [line.split() for line in text.split("\n")]
    words = [word for line in lines for word in line]
    order = np.random.default_rng(seed).permutation(len(words))
    drawn = iter(order.tolist())
    return "\n".join(" ".join(words[next(drawn)] for _ in line) for line in lines)


def leak(docs: pa.Table, held_out: Sequence[str], how: Leak, seed: int = 0) -> pa.Table:
    """The corpus with pages that hold texts of a held-out set, `how.per_page` on each, every text `how.copies` times.

    Each time the texts meet in another order, so that no page is another's copy.
    """
    how.check()
    made = []
    for turn in range(how.copies):
        order = sorted(range(len(held_out)), key=lambda i: _draw(seed, f"leak {turn}", str(i)))
        for start in range(0, len(order), how.per_page):
            text = "\n\n".join(held_out[i] for i in order[start : start + how.per_page])
            made.append((f"leak-{turn}-{start}", text, "leak"))
    return _with(docs, made)


def planted_share(docs: pa.Table) -> dict[str, float]:
    """Share of the text's bytes by what was planted; "" is the corpus itself."""
    sizes: dict[str, int] = {}
    for row in docs.select(["text", "planted"]).to_pylist():
        sizes[row["planted"]] = sizes.get(row["planted"], 0) + len(row["text"].encode())
    whole = max(1, sum(sizes.values()))
    return {kind: sizes[kind] / whole for kind in sorted(sizes)}


def _with(docs: pa.Table, made: list[tuple[str, str, str]]) -> pa.Table:
    ids, texts, kinds = zip(*made, strict=True) if made else ((), (), ())
    return pa.concat_tables([docs.select(SCHEMA.names), pa.table([list(ids), list(texts), list(kinds)], schema=SCHEMA)])


def _draw(seed: int, what: str, name: str) -> int:
    """A 64-bit number by chance, the same for the same arguments."""
    digest = hashlib.blake2b(f"{seed}\0{what}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _unit(seed: int, what: str, name: str) -> float:
    return _draw(seed, what, name) / 2**64
