"""Real text for the planted defects: two sets of sources that share nothing, one to try designs on and one to report.

`pilot`   the Brown corpus and OpenStax's biology book; measured on what is left out of them, on the
          validation part of WikiText-2 and on speeches on the State of the Union; leaked are questions of SQuAD.
`report`  main texts of articles on the web (WCXB, marked up by people) and OpenStax's psychology, American government
          and astronomy; measured on pages and sections that are left out, on the test part of WikiText-2
          and on ABC's news; leaked are questions of BoolQ.

A page or section is wholly in the corpus, in the spare text, or held out. Listings, shops, forums and the books of
physics are left out: the clean corpus is to be one on which the filters have little to do, so that what they change is
what was planted.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pretrain.ablation.texts import pieces
from pretrain.defects.experiment import Item, Texts
from pretrain.defects.generators import corpus

from .common import SHARED

PIECE_CHARACTERS = 2000
HELD_OUT_SHARE = 0.05
ITEMS = 60
_MARKUP = re.compile(r"!?\[[^\]]*\]\([^)]*\)|\{:[^}]*\}|<[^>]+>|^---.*?^---$|\$\$?[^$]*\$\$?", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^ = [^=].*[^=] = $", re.MULTILINE)


def texts(name: str, corpus_bytes: int, seed: int) -> Texts:
    """The texts of `pilot` or `report`: a clean corpus of about `corpus_bytes`, all else spare."""
    quality = SHARED / "quality"
    if name == "pilot":
        documents = {
            "prose": _nltk("brown", r"brown/c[a-r]\d\d"),
            "books": [_MARKUP.sub(" ", row["text"]) for row in _lines(quality / "openstax_md.jsonl.gz") if _prose(row)],
        }
        others = {
            "encyclopedia": _articles(quality / "wikitext2_valid.txt"),
            "speeches": _nltk("state_union", r"state_union/\d{4}.*\.txt"),
        }
        items = _squad(SHARED / "evals" / "oe_squad.jsonl.gz")
    else:
        documents = {
            "pages": [
                row["text"]
                for row in _lines(SHARED / "html" / "gold" / "wcxb.jsonl.gz")
                if row["page_type"] == "article"
            ],
            "books": [row["text"] for row in _lines(quality / "openstax_cnxml.jsonl.gz") if _prose(row)],
        }
        others = {"encyclopedia": _articles(quality / "wikitext2_test.txt"), "news": _nltk("abc", r"abc/\w+\.txt")}
        items = _boolq(SHARED / "evals" / "hf_boolq.jsonl.gz")
    held: dict[str, list[str]] = {}
    clean: list[str] = []
    spare: list[str] = []
    for source, whole in documents.items():
        wanted = corpus_bytes / len(documents)
        ranked = sorted(set(whole), key=lambda text: _chance(seed, text))
        count = round(len(ranked) * HELD_OUT_SHARE)
        held[source] = [piece for text in ranked[:count] for piece in _cut(text)]
        size = 0
        for text in ranked[count:]:
            (clean if size < wanted else spare).extend(_cut(text))
            size += len(text.encode())
    held |= {source: [piece for text in whole for piece in _cut(text)] for source, whole in others.items()}
    return Texts(corpus(clean, name), corpus(spare, f"{name}-spare"), held, items[:ITEMS])


def _prose(row: dict[str, Any]) -> bool:
    """Whether a section is of a book whose text is more than what is left of formulas."""
    return "physics" not in row["book"]


def _cut(text: str) -> list[str]:
    lines = re.sub(r"\n\s*\n", "\n", text.strip())
    return [one for one in pieces(lines.replace("\n", "\n\n"), PIECE_CHARACTERS) if len(one) >= PIECE_CHARACTERS // 10]


def _chance(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{text}".encode()).digest()


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _articles(path: Path) -> list[str]:
    """WikiText's articles with its marks for hyphens, commas and points undone."""
    text = path.read_text(encoding="utf-8").replace("<unk>", "")
    begins = [match.start() for match in _HEADING.finditer(text)]
    articles = [text[a:b] for a, b in zip(begins, [*begins[1:], len(text)], strict=True)]
    return [re.sub(r" ([,.;:)%'])", r"\1", re.sub(r" @(.)@ ", r"\1", one)) for one in articles]


def _nltk(name: str, pattern: str) -> list[str]:
    """Files of a corpus of NLTK, without the tags of Brown."""
    with zipfile.ZipFile(SHARED / "quality" / "nltk" / f"{name}.zip") as archive:
        names = sorted(one for one in archive.namelist() if re.fullmatch(pattern, one))
        found = [archive.read(one).decode("latin-1") for one in names]
    return [re.sub(r"(\S+)/\S+", r"\1", one).replace("\t", "") for one in found] if name == "brown" else found


def _unlike(items: Iterable[Item]) -> list[Item]:
    """One item a passage."""
    return list({one.passage: one for one in items}.values())


def _boolq(path: Path) -> list[Item]:
    return _unlike(
        Item(row["question"] + "?", "yes" if row["answer"] else "no", row["passage"]) for row in _lines(path)
    )


def _squad(path: Path) -> list[Item]:
    found = []
    for row in _lines(path):
        parts = re.match(r"Title: .*?\nBackground: (.*?)\nQuestion: (.*?)\nAnswer:", row["doc"]["query"], re.DOTALL)
        if parts:
            found.append(Item(parts[2], row["doc"]["answers_text"][0], parts[1]))
    return _unlike(found)
