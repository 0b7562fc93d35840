"""What is planted: shares, copies and kinds, counted here from the text alone."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pretrain.defects.boilerplate import boilerplate_page
from pretrain.defects.design import Junk, Leak, Repeat
from pretrain.defects.generators import (
    corpus,
    leak,
    plant_junk,
    planted_share,
    repeat_documents,
    shuffle_words,
    text_bytes,
)

from .words import documents

CLEAN = corpus(documents(300), "clean")
SPARE = corpus(documents(300, seed=1), "spare")


def size(docs: pa.Table, kinds: set[str]) -> int:
    """Bytes of the text of some kinds."""
    return sum(len(row["text"].encode()) for row in docs.to_pylist() if row["planted"] in kinds)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_copies_are_the_share_asked_for_and_each_document_has_enough(share: float) -> None:
    how = Repeat(share=share, min_copies=10, edited=0.5)
    docs = repeat_documents(CLEAN, how, 3)
    copies = size(docs, {"copy", "edited_copy"})
    # all copies together, the edited ones' last lines (about 26 bytes of 1 500) on top
    assert copies / size(docs, {"", "copy", "edited_copy"}) == pytest.approx(share, abs=0.02)
    texts = set(CLEAN["text"].to_pylist())
    times: Counter[str] = Counter()
    for row in docs.to_pylist():
        if row["planted"] == "copy":
            assert row["text"] in texts
        elif row["planted"] == "edited_copy":
            assert row["text"] not in texts and row["text"].rpartition("\n")[0] in texts
        times[row["text"] if row["planted"] != "edited_copy" else row["text"].rpartition("\n")[0]] += 1
    repeated = [count for count in times.values() if count > 1]
    assert len(repeated) >= 4 and min(repeated) >= 1 + how.min_copies
    edited = docs["planted"].to_pylist().count("edited_copy") / (docs.num_rows - CLEAN.num_rows)
    assert edited == pytest.approx(how.edited, abs=0.1)
    assert docs.slice(0, CLEAN.num_rows).equals(CLEAN.combine_chunks())


def test_a_corpus_without_a_short_document_can_have_no_copies() -> None:
    with pytest.raises(ConfigError, match="fewer copies"):
        repeat_documents(CLEAN, Repeat(min_copies=10_000))


def test_junk_has_its_share_and_shuffled_pages_are_other_documents() -> None:
    docs = plant_junk(CLEAN, SPARE, Junk(share=0.4, shuffled=0.25), 5)
    whole = text_bytes(docs)
    assert size(docs, {"shuffled", "boilerplate"}) / whole == pytest.approx(0.4, abs=0.02)
    assert size(docs, {"shuffled"}) / whole == pytest.approx(0.1, abs=0.02)
    spare = {tuple(sorted(text.split())): text for text in SPARE["text"].to_pylist()}
    for row in docs.to_pylist():
        if row["planted"] == "shuffled":
            original = spare[tuple(sorted(row["text"].split()))]
            assert row["text"] != original
            assert [len(line.split()) for line in row["text"].split("\n")] == [
                len(line.split()) for line in original.split("\n")
            ]
    assert planted_share(docs) == pytest.approx(
        {kind: size(docs, {kind}) / whole for kind in ("", "shuffled", "boilerplate")}
    )


def test_too_little_spare_text_is_an_error() -> None:
    with pytest.raises(ConfigError, match="spare documents"):
        plant_junk(CLEAN, SPARE.slice(0, 3), Junk(share=0.5, shuffled=1.0))


def test_shuffled_words_are_in_random_order() -> None:
    text = " ".join(str(i) for i in range(2000))
    words = [int(word) for word in shuffle_words(text, 1).split()]
    assert sorted(words) == list(range(2000))
    follows = sum(b == a + 1 for a, b in zip(words, words[1:], strict=False))
    assert follows < 10  # one expected by chance
    assert shuffle_words("\n a  b \n", 1).split() in (["a", "b"], ["b", "a"])


def test_each_leaked_text_stands_on_as_many_pages_as_asked() -> None:
    held = [f"Question number {i}. Its answer is {i * i}." for i in range(10)]
    docs = leak(CLEAN, held, Leak(copies=7, per_page=3), 2)
    pages = [row["text"] for row in docs.to_pylist() if row["planted"] == "leak"]
    assert len(pages) == 7 * 4  # pages of 3, 3, 3 and 1
    for text in held:
        assert sum(text in page.split("\n\n") for page in pages) == 7
    assert len(set(pages)) > 14, "the texts meet in other orders"
    assert not any(text in one for text in held for one in CLEAN["text"].to_pylist())


def test_the_same_seed_plants_the_same_whatever_the_order_of_rows() -> None:
    turned = CLEAN.take(list(range(CLEAN.num_rows))[::-1])
    how = Repeat(min_copies=10)
    first, second = (repeat_documents(docs, how, 9).slice(CLEAN.num_rows) for docs in (CLEAN, turned))
    assert first.equals(second) and not first.equals(repeat_documents(CLEAN, how, 10).slice(CLEAN.num_rows))
    junk = [plant_junk(docs, SPARE, Junk(), seed).slice(CLEAN.num_rows) for docs, seed in ((CLEAN, 9), (turned, 9))]
    assert junk[0].equals(junk[1])
    held = ["one text", "another text", "a third"]
    assert leak(CLEAN, held, Leak(), 9).equals(leak(CLEAN, held, Leak(), 9))


def test_boilerplate_has_short_lines_and_no_prose() -> None:
    pages = [boilerplate_page(seed) for seed in range(50)]
    assert len(set(pages)) == 50 and boilerplate_page(3) == pages[3]
    for page in pages:
        lines = page.split("\n")
        assert 60 <= len(lines) <= 141
        assert sum(line.endswith(".") for line in lines) == 0


@pytest.mark.parametrize(
    "how",
    [Repeat(share=0.0), Repeat(share=1.0), Repeat(edited=1.5), Junk(share=-0.1), Junk(shuffled=2.0), Leak(copies=0)],
)
def test_shares_that_are_none_are_errors(how: Repeat | Junk | Leak) -> None:
    with pytest.raises(ConfigError):
        how.check()
