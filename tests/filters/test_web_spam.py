"""The filter `web_spam`: measures against plain Python, decisions, generator, hostile text."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.classifier.bundle.spam_pages import KINDS, spam_page
from filters.classifier.bundle.spam_phrases import SIDES
from filters.spam_measures import MEASURES, MIN_WORDS, OFFERS, STOP_WORDS, measure
from filters.web_spam import WebSpam, read_weights
from pipeline.errors import ConfigError
from pipeline.stage import DROP_REASON

PLAIN = (
    "The ferry leaves the north quay at seven and crosses in forty minutes. In winter it carries mail, coal and the "
    "island's only doctor. Passengers who miss it wait in the old customs house, where a stove is kept alight from "
    "October to March. Nobody remembers a day on which it did not sail, although in 1963 the harbour froze."
)
STUFFED = "Buy cheap boots online. " + "Cheap boots, best cheap boots, order cheap boots today! " * 12


def docs(texts: list[str | None], langs: list[str | None] | None = None) -> pa.Table:
    return pa.table(
        {"text": pa.array(texts, pa.large_string()), "lang": pa.array(langs or ["en"] * len(texts), pa.string())}
    )


def slow(text: str) -> dict[str, float]:
    """The measures of plain ASCII text, one at a time."""
    lower = text.lower()
    words = re.findall(r"[a-z0-9]+(?:'[a-z]+)*", lower)
    stop, offers = set(STOP_WORDS.split()), set(OFFERS.split())
    content = [w for w in words if w not in stop and len(w) > 1]
    counts = Counter(content)
    pairs: Counter[tuple[str, str]] = Counter()
    tokens = re.findall(r"[a-z0-9]+(?:'[a-z]+)*|[^\sa-z0-9]", lower)
    is_content = [t[0].isalnum() and t not in stop and len(t) > 1 for t in tokens]
    for i in range(len(tokens) - 1):
        if is_content[i] and is_content[i + 1]:
            pairs[tokens[i], tokens[i + 1]] += 1
    lines = [line for line in lower.split("\n") if line.strip()]
    told = [w for w in words if w in offers]

    def simpson(found: Counter) -> float:
        n = sum(found.values())
        return sum(c * (c - 1) for c in found.values()) / max(n * (n - 1), 1)

    return {
        "word_concentration": simpson(counts),
        "pair_concentration": simpson(pairs),
        "top_word_share": max(counts.values(), default=0) / len(words),
        "content_share": len(content) / len(words),
        "offer_share": len(told) / len(words),
        "offer_variety": len(set(told)) / len(words) ** 0.5,
        "exclamation_rate": text.count("!") / len(words),
        "unended_share": 1 - sum(line.rstrip()[-1] in ".!?" for line in lines) / max(len(lines), 1),
    }


@pytest.mark.parametrize("number", range(10))
def test_measures_as_counted_slowly(number: int) -> None:
    text = spam_page(number, seed=5, side="tune")[1] if number else PLAIN
    found = measure(pa.array(["one two", text, PLAIN], pa.large_string()))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [slow(text)[name] for name in MEASURES], atol=1e-12)


def test_short_texts_are_not_measured() -> None:
    words = ["word"] * (MIN_WORDS - 1)
    found = measure(pa.array([" ".join(words), " ".join([*words, "last"])], pa.large_string()))
    assert np.isnan(found[0]).all() and not np.isnan(found[1]).any()


def test_stuffing_is_dropped_and_prose_kept() -> None:
    found = WebSpam()(docs([PLAIN, STUFFED, STUFFED, None, ""], ["en", "en", "de", "en", None]))
    assert found[DROP_REASON].to_pylist() == [None, "web_spam", None, None, None]
    plain, stuffed, *rest = found["web_spam"].to_pylist()
    assert plain < 0.5 < stuffed and rest == [None] * 3


def test_threshold_drops_from_its_value_on() -> None:
    score = WebSpam().score(docs([STUFFED]))[0].as_py()
    assert WebSpam(threshold=score)(docs([STUFFED]))[DROP_REASON].to_pylist() == ["web_spam"]
    above = min(float(np.nextafter(score, 2)), 1.0001)
    assert WebSpam(threshold=above)(docs([STUFFED]))[DROP_REASON].to_pylist() == [None]


def test_card_says_what_it_was_made_from() -> None:
    import filters

    card = json.loads((Path(filters.__file__).parent / "models" / "web-spam.json").read_text(encoding="utf-8"))
    assert set(card["weights"]) == set(MEASURES)
    assert "no labelled web spam" in card["labels"]
    assert card["evaluation"]["all_real_pages"]["dropped"] < 0.01
    assert read_weights("")["threshold"] == card["threshold"]


@pytest.mark.parametrize("content", ["[]", "{", '{"weights": {}, "bias": 0, "threshold": 1}'])
def test_broken_weights_are_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="weights"):
        WebSpam(model=str(path)).check()


def test_threshold_out_of_range_is_an_error() -> None:
    with pytest.raises(ConfigError, match="threshold"):
        WebSpam(threshold=1.5).check()


def test_generator_repeats_itself_and_differs_by_seed() -> None:
    pages = [spam_page(i, seed=1, side="tune") for i in range(20)]
    assert pages == [spam_page(i, seed=1, side="tune") for i in range(20)]
    assert pages != [spam_page(i, seed=2, side="tune") for i in range(20)]
    assert {kind for kind, _ in pages} == set(KINDS)
    assert not any("{" in text for _, text in pages)


def test_sides_share_no_phrase() -> None:
    tune, report = (vars(SIDES[name]) for name in ("tune", "report"))
    for name in tune:
        assert not set(tune[name]) & set(report[name]), name


def test_planted_spam_of_the_sample(root: Path) -> None:
    """The search-spam pages among the planted ones; what is adult, rude or boilerplate is not this filter's."""
    text = (root / "pipeline" / "sample" / "pages" / "planted_spam.md").read_text(encoding="utf-8")
    bodies = {
        re.search(r"key: (\S+)", page)[1]: page.split("%%% body\n")[1]  # type: ignore[index]
        for page in text.split("%%% page\n")[1:]
    }
    wanted = ["en-spam-doorway-plumber", "en-spam-fake-pharmacy", "en-spam-casino-bonus", "en-spam-link-farm"]
    others = ["en-toxic-parking-rant", "en-adult-lingerie-nights", "en-boiler-cookie-wall"]
    found = WebSpam()(docs([bodies[key] for key in wanted + others]))
    assert found[DROP_REASON].to_pylist() == ["web_spam"] * 4 + [None] * 3


def test_hostile_texts_in_linear_time() -> None:
    texts = [
        "a\n" * 200_000,
        "buy " * 300_000,
        "x" * 3_000_000,
        "!" * 1_000_000,
        "\0" * 1000,
        "‏שלום " * 5000,
        "́" * 9999,
    ]
    found = WebSpam().score(docs(texts)).to_pylist()
    assert all(score is None or 0 <= score <= 1 for score in found)
    assert found[1] > 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=6))
def test_any_text_any_slice(texts: list[str]) -> None:
    table = docs([PLAIN, *texts, STUFFED])
    whole = WebSpam().score(table).to_pylist()
    assert WebSpam().score(table.slice(1, len(texts) + 1)).to_pylist() == whole[1:]
    assert all(score is None or 0 <= score <= 1 for score in whole)
