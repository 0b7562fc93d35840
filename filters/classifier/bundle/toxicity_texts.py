"""The labelled sets of hate and offence, and plain text that is neither; masked, without copies, split by groups.

Sets as ../shared/data has them. OLID (research) and ETHOS (GPL) are read for evaluation only.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

from ..split import draw, text_key

HELD_OUT = ("olid", "ethos")
"""Sets that never train a bundled model."""

_MASKS = re.compile(r"https?://\S+|\bt\.co/\S+|@url\b|\bURL\b|@\w+|\bRT\b|<unk>|@(?=[-.,]@)|(?<=[-.,])@")
_SIGNS = re.compile(r"[^\w\s.,!?;:'\"()\-\u2019\u3001\u3002\uff01\uff0c\uff1f\u0900-\u0dff\u0e00-\u0eff]+|_+")
_REPEATED = re.compile(r"([.,!?;:'\"()\-])(?:\s*\1)+")
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Example:
    """A labelled text. Examples of one group stay on one side of every split."""

    text: str
    toxic: bool
    source: str
    lang: str
    group: str = ""
    test: bool = False


def masked(text: str) -> str:
    """Without what marks a tweet: names, links, RT, hash signs, emoji, repeated punctuation."""
    plain = _SIGNS.sub(" ", _MASKS.sub(" ", html.unescape(text)))
    return " ".join(_REPEATED.sub(r"\1", plain).split())


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a gzipped JSONL file. Raises ConfigError if there is none."""
    if not path.is_file():
        raise ConfigError(f"training data: there is no file '{path}'")
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        for line in handle:
            yield json.loads(line)


def labelled_sets(data: Path) -> list[Example]:
    """All labelled sets; `test` where a set says so itself."""
    folder = data / "toxicity"
    found = [Example(r["text"], r["label"] != "neither", "davidson", "en") for r in rows(folder / "davidson.jsonl.gz")]
    for r in rows(folder / "cold_zh.jsonl.gz"):
        held = r["split"] == "test"
        found.append(Example(r["TEXT"], r["label"] == "1", "cold_test" if held else "cold", "zh", test=held))
    for r in rows(folder / "kocohub_ko.jsonl.gz"):
        found.append(Example(r["comments"], r["hate"] != "none", "kocohub", "ko", test=r["split"] == "dev"))
    for r in rows(folder / "mlma_en_fr_ar.jsonl.gz"):
        found.append(Example(r["tweet"], r["sentiment"] != "normal", f"mlma_{r['lang']}", r["lang"]))
    for r in rows(folder / "olid_train.jsonl.gz"):
        found.append(Example(r["text"], r["a"] == "OFF", "olid", "en", test=True))
    for r in rows(folder / "ethos_binary.jsonl.gz"):
        found.append(Example(r["text"], float(r["score"]) >= 0.5, "ethos", "en", test=True))
    found = [replace(e, text=masked(e.text)) for e in found]
    return split([e for e in found if e.text])


def split(examples: list[Example], test_share: float = 0.2, seed: int = 4) -> list[Example]:
    """Copies gone, groups of near copies named and a share of the groups marked `test`.

    Texts that share 8 words in a row (12 letters where words have no spaces) are one group: retweets and quotes.
    A group with a member that a set itself holds out goes to the test side as a whole.
    """
    first: dict[bytes, int] = {}
    for i, e in enumerate(examples):
        first.setdefault(text_key(" ".join(_LETTERS.findall(e.text))), i)
    kept = sorted(first.values())
    parent = {i: i for i in kept}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[int, int] = {}
    for i in kept:
        for shingle in _shingles(examples[i].text):
            other = seen.setdefault(shingle, i)
            a, b = sorted((root(i), root(other)))
            parent[b] = a
    given = {root(i) for i in kept if examples[i].test and examples[i].source not in HELD_OUT}
    out = []
    for i in kept:
        e, r = examples[i], root(i)
        drawn = draw(seed, examples[r].text) < test_share * 2**64
        own = e.test if e.source in (*HELD_OUT, "cold_test") else r in given or drawn
        if e.source == "kocohub" and not e.test:
            own = r in given or drawn
        out.append(replace(e, test=own, group=str(r)))
    held = {e.group for e in out if e.test}
    return [e for e in out if e.test or e.group not in held]


def _shingles(text: str) -> Iterator[int]:
    words = [w.lower() for w in _LETTERS.findall(text)]
    if any("\u3040" <= c <= "\u9fff" for c in text):
        letters = "".join(words)
        yield from (hash_of(letters[k : k + 12]) for k in range(max(len(letters) - 11, 0)))
    else:
        yield from (hash_of(" ".join(words[k : k + 8])) for k in range(max(len(words) - 7, 0)))


def hash_of(text: str) -> int:
    """64 bits of a text, the same on every machine."""
    return draw(0, text)


def plain_sentences(data: Path) -> list[Example]:
    """News and web sentences (Leipzig), encyclopaedic and textbook paragraphs, tweets: taken as harmless.

    Two fifths of the Leipzig sentences, WikiText's test part and a fifth of the tweets are `test`.
    """
    found = []
    for r in rows(data / "lid" / "lingua_sentences75.jsonl.gz"):
        found.append(Example(r["text"], False, "leipzig", r["lang"], test=draw(5, r["text"]) < 0.4 * 2**64))
    for part in ("valid", "test"):
        lines = (data / "quality" / f"wikitext2_{part}.txt").read_text(encoding="utf-8").split("\n")
        for line in lines:
            if len(line) > 40 and not line.strip().startswith("="):
                found += [Example(s, False, "wikitext", "en", test=part == "test") for s in sentences(line)]
    for r in rows(data / "quality" / "openstax_md.jsonl.gz"):
        found += [Example(s, False, "openstax", "en") for s in sentences(r.get("text") or r.get("md") or "")[:12]]
    for r in rows(data / "lid" / "eld_bench.jsonl.gz"):
        if r["set"] == "tweets":
            found.append(Example(r["text"], False, "eld_tweets", r["lang"], test=draw(5, r["text"]) < 0.2 * 2**64))
    return [replace(e, text=t) for e in found if len(t := masked(e.text)) > 10]


def sentences(text: str) -> list[str]:
    """Rough sentences of a text, for training material only; the filters have UAX #29's."""
    return [s for part in text.split("\n") for s in re.split(r"(?<=[.!?。！？])\s+", part.strip()) if len(s) > 20]
