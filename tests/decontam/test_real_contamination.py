"""What a reader (a language model) found true and false in real text (benchmarks/decontam_labels.jsonl): textbooks that
hold items, and web pages that share words with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from benchmarks.decontam_real import Key, keyed, labels, pairs_of
from decontam.index import build_index
from decontam.items import read_items
from decontam.methods import all_methods

BOOKS = ("openstax_cnxml", "openstax_md")
LEADS = {
    "https://blog.prusa3d.com/core-one-cad-files-release-under-the-new-open-community-license-ocl_127290": "truthfulqa",
    "https://artlyst.com/reviews/critics-choice-best-uk-art-exhibitions-2025-artlyst": "mmlu",
    "https://www.goodreads.com/list/show/1.Best_Books_Ever": "trivia_qa",
    "https://smartbitchestrashybooks.com/2025/12/book-beat-gothic-romance-magical-realism-more": "trivia_qa",
    "https://docs.python.org/3/tutorial/datastructures.html": "truthfulqa",
}
"""Pages that hold words of an item, and its benchmark."""
FALSE_DIRTY = 18
"""Pairs of textbooks that the default method calls dirty and the reader false; 44 when the labels were made."""


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[Key, dict[str, str]]:
    """(collection, document, item) -> method -> verdict, for the textbooks and all pages of wcxb."""
    index = build_index(read_items(shared_data / "evals", on_error="skip"))
    methods = [made() for made in all_methods().values()]
    names, texts = [], []
    for book in BOOKS:
        with gzip.open(shared_data / "quality" / f"{book}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        names += [f"{book}/{i}" for i in range(len(rows))]
        texts += [row["text"] for row in rows]
    out = pairs_of("books", keyed(names, texts), index, methods)
    with gzip.open(shared_data / "html/gold/wcxb.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = [json.loads(line) for line in file]
    out |= pairs_of("html", keyed([row["url"] for row in pages], [row["text"] for row in pages]), index, methods)
    return {key: pair["by"] for key, pair in out.items()}


def test_true_contamination_is_found(found):
    true = [key for key, label in labels().items() if label.label == "true"]
    assert len(true) >= 60 and {key[0] for key in true} == {"books"}
    verdicts = [found.get(key, {}).get("coverage", "clean") for key in true]
    assert verdicts.count("dirty") >= 0.85 * len(true)
    assert len(true) - verdicts.count("clean") >= 0.9 * len(true)


def test_false_ones_do_not_grow(found):
    known = labels()
    books = [key for key, by in found.items() if by.get("coverage") == "dirty" and key[0] == "books"]
    false = [key for key in books if key in known and known[key].label == "false"]
    assert len(false) <= FALSE_DIRTY
    unread = [key for key in books if key not in known]
    assert len(unread) <= 10, f"read these and label them: {unread}"


def test_web_pages_are_not_dirty_for_a_phrase(found):
    known = labels()
    pages = {key: by for key, by in found.items() if key[0] == "html"}
    dirty = [key for key, by in pages.items() if by.get("coverage") == "dirty"]
    assert len([key for key in dirty if key in known and known[key].label == "false"]) <= 2
    assert len([key for key in dirty if key not in known]) <= 2, dirty


def test_pages_that_quote_an_item_are_named(found):
    by_page = {(key[1], key[2].split("/")[0]) for key in found if key[0] == "html"}
    assert by_page.issuperset(LEADS.items())
