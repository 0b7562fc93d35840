"""Stages `hate`, `nsfw`, `mask_toxic`: written sentences, spans, boundary values, hostile input, bundled cards."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.classifier.bundle import toxicity_weak as weak
from filters.classifier.card import read_card, sha256
from filters.classifier.filter import bundled_models
from filters.classifier.model import load
from filters.toxicity import Hate, MaskToxic, Nsfw
from pipeline.errors import ConfigError
from pipeline.stage import CUT_SPANS, DROP_REASON, make

PLAIN = "The committee published its report on river transport in the spring of 1998."
INSULT = "You are a stupid idiot, shut up."
LISTING = "Watch free porn videos and hardcore sex clips, new every day."
NAMING = [
    "Many Muslims and Jews live in this part of the city.",
    "The law protects gay men, lesbians and transgender people against discrimination.",
    "Black women were the first to vote in the new constituency.",
    "In dem Stadtteil wohnen viele Türken und Araber.",
    "Los inmigrantes y los refugiados asistieron a la reunión.",
    "Les personnes handicapées ont droit à une aide.",
    "这个街区住着很多穆斯林和犹太人。",
    "이 동네에는 이민자와 장애인이 많이 산다.",
]


def table(*texts: str | None, lang: str = "en") -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.large_string()), "lang": pa.array([lang] * len(texts), pa.string())})


def reasons(stage: Hate | Nsfw | MaskToxic, *texts: str | None, lang: str = "en") -> list[str | None]:
    found: list[str | None] = stage(table(*texts, lang=lang))[DROP_REASON].to_pylist()
    return found


def measures(stage: Hate | Nsfw, *texts: str | None) -> list[dict[str, float]]:
    found: list[dict[str, float]] = stage(table(*texts))[stage.score_column].to_pylist()
    return found


@pytest.mark.parametrize("name", ["hate", "nsfw"])
def test_bundled_card_agrees_with_the_file(name: str) -> None:
    path = bundled_models()[name]
    card = read_card(path)
    assert card is not None
    assert card.sha256 == sha256(path)
    assert card.threshold is not None and card.mask_threshold is not None
    assert 0 < card.threshold < card.mask_threshold < 1
    assert card.languages and path.stat().st_size < 3 << 20
    assert card.limits and all(source["license"] for source in card.data)
    assert not any("OLID" in s["source"] or "ETHOS" in s["source"] for s in card.data)


@pytest.mark.parametrize("name", ["hate", "nsfw"])
def test_bundled_model_is_a_fasttext_model(name: str) -> None:
    import fasttext

    path = bundled_models()[name]
    ours, theirs = load(path), fasttext.load_model(str(path))
    for text in [PLAIN, INSULT, LISTING, *NAMING]:
        written = ours.card.normalisation.text(text)
        labels, found = theirs.predict([written], k=2)
        expected = dict(zip(labels[0], found[0], strict=True))["__label__toxic"]
        assert ours.scores([text])[0] == pytest.approx(min(float(expected), 1.0), abs=2e-5)


def test_insults_are_flagged_and_naming_a_group_is_not() -> None:
    assert reasons(Hate(), INSULT) != [None]
    assert reasons(Hate(), "你这个白痴，闭嘴，废物，滚出去。") != [None]
    assert reasons(Hate(), PLAIN, *NAMING) == [None] * (1 + len(NAMING))
    assert reasons(Nsfw(), PLAIN, *NAMING) == [None] * (1 + len(NAMING))


def test_identity_terms_in_unseen_sentences_pass() -> None:
    neutral = [e.text for e in weak.identity("neutral", "test")]
    dropped = [r is not None for r in reasons(Hate(), *neutral)]
    assert np.mean(dropped) < 0.05
    assert np.mean([r is not None for r in reasons(Nsfw(), *neutral)]) < 0.05
    hostile = [e.text for e in weak.identity("hostile", "test") if e.lang == "en"]
    english = [e.text for e in weak.identity("neutral", "test") if e.lang == "en"]
    score = {k: [m["document"] for m in measures(Hate(), *v)] for k, v in (("h", hostile), ("n", english))}
    assert np.mean(score["h"]) > np.mean(score["n"]) + 0.3


def test_templates_of_training_and_reporting_differ() -> None:
    for kinds in weak.bundled("toxicity_sentences").values():
        assert not set(kinds["neutral_train"]) & set(kinds["neutral_test"])
        assert not set(kinds["hostile_train"]) & set(kinds["hostile_test"])
    for kinds in weak.bundled("nsfw_sentences").values():
        assert not set(kinds["adult_train"]) & set(kinds["adult_test"])
        assert not set(kinds["safe_train"]) & set(kinds["safe_test"])


def test_nsfw_drops_listings_and_keeps_medicine_and_place_names() -> None:
    assert reasons(Nsfw(), LISTING) != [None]
    safe = [t for kinds in weak.bundled("nsfw_sentences").values() for t in kinds["safe_test"]]
    flagged = [t for t, r in zip(safe, reasons(Nsfw(), *safe), strict=True) if r]
    assert len(flagged) <= 0.12 * len(safe), flagged
    assert reasons(Nsfw(), "Essex, Sussex, Middlesex and Scunthorpe send teams.") == [None]


def test_scores_by_sentence() -> None:
    text = f"{PLAIN} {INSULT} {PLAIN}"
    found = measures(Hate(), text)[0]
    assert found["sentences"] == 1
    assert found["max_sentence"] == pytest.approx(float(load(bundled_models()["hate"]).scores([INSULT])[0]), abs=1e-6)
    assert found["share"] == pytest.approx(len(INSULT) / (2 * len(PLAIN) + len(INSULT)))
    assert found["document"] < found["max_sentence"]


def test_a_long_neutral_document_with_one_insult_stays() -> None:
    assert reasons(Hate(), " ".join([PLAIN] * 30 + [INSULT])) == [None]
    assert reasons(Hate(max_sentence=0.9), " ".join([PLAIN] * 30 + [INSULT])) == ["max_sentence"]
    assert reasons(Hate(max_sentences=0), " ".join([PLAIN] * 30 + [INSULT])) == ["max_sentences"]


def test_boundary_of_max_share() -> None:
    text = " ".join([PLAIN] * 3 + [INSULT])
    share = measures(Hate(), text)[0]["share"]
    assert reasons(Hate(max_share=share, max_document=None), text) == [None]
    assert reasons(Hate(max_share=float(np.nextafter(share, 0)), max_document=None), text) == ["max_share"]
    document = measures(Hate(), text)[0]["document"]
    assert reasons(Hate(max_document=document, max_share=None), text) == ["max_document"]
    assert reasons(Hate(max_document=float(np.nextafter(document, 1)), max_share=None), text) == [None]


def test_a_sentence_exactly_at_the_threshold_counts() -> None:
    score = measures(Hate(), INSULT)[0]["max_sentence"]
    assert measures(Hate(sentence_threshold=score), INSULT)[0]["sentences"] == 1
    above = float(np.nextafter(score, 2))
    if above <= 1:
        assert measures(Hate(sentence_threshold=above), INSULT)[0]["sentences"] == 0


def test_sentences_of_few_words_are_not_judged() -> None:
    for text in ("You stupid idiot.", "Fuck you, asshole!!!!!!!!!!!!!!!!!!!!!!!", "U r a s h i t"):
        assert set(measures(Hate(), text)[0].values()) == {0}
    found = measures(Hate(), "You stupid idiot. " * 2)[0]
    assert found["sentences"] == 0 < found["document"]
    assert measures(Hate(), "You stupid fucking idiot.")[0]["max_sentence"] > 0.5


FRAGMENTS = [
    "2021-09-14 Contact", "Packed size | 38 x 13 cm", "12:30 | 14.09.2021 | 3 / 7 | +44 20 7946 0000",
    "The machine takes 4 of these and 2 of those.", "Who has the other half of the map?",
]  # fmt: skip


@pytest.mark.parametrize("stage", [Hate(), Nsfw()], ids=["hate", "nsfw"])
def test_dates_and_table_cells_count_nothing(stage: Hate | Nsfw) -> None:
    assert [m["sentences"] for m in measures(stage, *FRAGMENTS)] == [0] * len(FRAGMENTS)
    signs = "38 x 13 cm | $ 12.50 *** 2021-09-14 +44 #7 @ % 🎉 "
    plain, dressed = (measures(stage, t)[0]["max_sentence"] for t in (INSULT, INSULT.replace(" ", " 4 * 7 🎉 ")))
    assert plain == dressed
    assert measures(stage, signs * 20)[0]["document"] <= 0.5


def test_languages_that_are_not_served_pass_without_a_score() -> None:
    assert reasons(Hate(), INSULT, lang="sw") == [None]
    scored = Hate()(table(INSULT, PLAIN, lang="sw"))[Hate.score_column].to_pylist()
    assert scored == [dict.fromkeys(m.name for m in Hate.measures)] * 2
    assert reasons(Hate(languages=("sw",)), INSULT, lang="sw") != [None]
    assert reasons(Hate(languages=("sw",)), INSULT) == [None]
    everything = Hate(languages=())
    assert everything.reads == ("text",)
    assert everything(table(INSULT).select(["text"]))[DROP_REASON].to_pylist() != [None]
    assert Hate().reads == ("text", "lang") == MaskToxic().reads
    assert Hate().fingerprint() != everything.fingerprint()


def test_masks_by_language_and_by_the_stricter_threshold() -> None:
    assert MaskToxic()(table(INSULT, lang="sw"))["text"].to_pylist() == [INSULT]
    assert MaskToxic(languages=("sw",), max_share=None)(table(INSULT, lang="sw"))["text"].to_pylist() == [""]
    assert MaskToxic(languages=()).reads == ("text",)
    for kind, path, threshold, served in MaskToxic().models():
        card = read_card(path)
        assert card is not None and threshold == card.mask_threshold and served == card.languages, kind
    assert [t for _, _, t, _ in MaskToxic(hate_threshold=0.3).models()][0] == 0.3


@pytest.mark.parametrize(
    ("text", "words", "letters"),
    [
        ("", 0, 0), ("2021-09-14 Contact", 1, 7), ("You stupid idiot, shut up.", 5, 20), ("don't", 2, 4),
        ("Ла\u0301мпа", 1, 5), ("你这个白痴", 2.5, 10), ("你 a好b", 3, 6), ("병신 같은", 2, 8), ("\U00020000", 0.5, 2),
    ],
)  # fmt: skip
def test_evidence(text: str, words: float, letters: int) -> None:
    from filters.kernels.evidence import evidence

    raw = text.encode()
    data = np.frombuffer(b"x y" + raw + b"z", np.uint8)
    found = evidence(data, np.array([3]), np.array([3 + len(raw)]))
    assert found.tolist() == [[2 * words, letters]]


@pytest.mark.parametrize("before", ["Größe zählt nicht überall. ", "日本語の文です。", "😀 «Ёлки» стоят здесь. ", ""])
@pytest.mark.parametrize("replacement", ["", "[…]"])
def test_masked_spans_are_bytes_of_the_old_text(before: str, replacement: str) -> None:
    text = f"{before}{INSULT}\nZweite Zeile über Äpfel."
    done = MaskToxic(replacement=replacement, max_share=None)(table("é", text))
    spans = done[CUT_SPANS].to_pylist()
    assert spans[0] == []
    (span,) = spans[1]
    raw = text.encode()
    assert raw[span["start"] : span["end"]].decode() == INSULT
    assert (span["editor"], span["kind"]) == ("mask_toxic", "hate")
    assert done["text"].to_pylist() == ["é", f"{before}{replacement}\nZweite Zeile über Äpfel."]


def test_both_kinds_are_named_and_spaces_go_with_the_sentence() -> None:
    done = MaskToxic()(table(f"{PLAIN} {INSULT}  {PLAIN} {LISTING} {PLAIN}"))
    assert [s["kind"] for s in done[CUT_SPANS].to_pylist()[0]] == ["hate", "nsfw"]
    assert done["text"].to_pylist() == [f"{PLAIN} {PLAIN} {PLAIN}"]
    only = MaskToxic(nsfw_model="")(table(f"{PLAIN} {LISTING} {PLAIN}"))
    assert all(s["kind"] == "hate" for s in only[CUT_SPANS].to_pylist()[0])


def test_editor_drops_what_is_mostly_toxic_at_the_boundary() -> None:
    text = f"{INSULT}\n{PLAIN}"
    share = len(INSULT) / len(text)
    assert reasons(MaskToxic(max_share=share), text, PLAIN) == [None, None]
    assert reasons(MaskToxic(max_share=share - 1e-9), text, PLAIN) == ["max_share", None]
    assert reasons(MaskToxic(max_share=share - 1e-9, replacement="[x]"), text) == ["max_share"]
    assert DROP_REASON not in MaskToxic(max_share=None)(table(INSULT)).column_names


def test_null_empty_slices_and_chunks() -> None:
    assert reasons(Hate(), None, "", " \n ") == [None] * 3
    assert Hate()(table()).num_rows == 0
    assert MaskToxic()(table()).num_rows == 0
    texts = table(PLAIN, INSULT, None, PLAIN, INSULT)["text"]
    chunked = pa.chunked_array([texts.chunk(0)[1:3], texts.chunk(0)[3:]])
    done = Hate()(pa.table({"text": chunked, "lang": ["en"] * 4}))[DROP_REASON].to_pylist()
    assert [r is not None for r in done] == [True, False, False, True]
    edited = MaskToxic(max_share=None, languages=())(pa.table({"text": chunked}))["text"].to_pylist()
    assert edited == ["", "", PLAIN, ""]


def test_hostile_input() -> None:
    letters = "ab "
    long = "".join(random.Random(1).choice(letters) for _ in range(1 << 20))
    texts = ["\0" * 1000, "\u202e" + INSULT, "\u0301" * 5000, "a" * (1 << 20), long, "a\n" * 100_000, "😀" * 10_000]
    for stage in (Hate(), Nsfw()):
        assert all(0 <= m["document"] <= 1 and 0 <= m["share"] <= 1 for m in measures(stage, *texts))
    assert MaskToxic()(table(*texts)).num_rows == len(texts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=6), st.sampled_from(["", "[x]"]))
def test_editor_on_any_text(texts: list[str], replacement: str) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    texts += [f"{t} {INSULT} {t}" for t in texts]
    done = MaskToxic(max_share=None, replacement=replacement)(table(*texts))
    for text, new, spans in zip(texts, done["text"].to_pylist(), done[CUT_SPANS].to_pylist(), strict=True):
        raw, out, at = text.encode(), b"", 0
        for span in spans:
            assert at <= span["start"] < span["end"] <= len(raw)
            out += raw[at : span["start"]] + replacement.encode()
            at = span["end"]
        assert (out + raw[at:]).decode() == new


def test_options_are_checked() -> None:
    for bad in ({"sentence_threshold": 2}, {"max_share": -0.1}, {"model": "hates"}, {"positive": "x"}):
        with pytest.raises(ConfigError):
            make("hate", bad)
    with pytest.raises(ConfigError, match="max_share"):
        make("mask_toxic", {"max_share": 1.5})
    with pytest.raises(ConfigError, match="name a model"):
        make("mask_toxic", {"hate_model": "", "nsfw_model": ""})


def test_scores_are_taken_over_for_new_rules_and_not_for_a_new_threshold() -> None:
    scored = Hate()(table(PLAIN)).drop_columns([DROP_REASON])
    assert Hate(max_share=0.1, max_document=None).has_score(scored)
    assert not Hate(sentence_threshold=0.9).has_score(scored)
    assert not dataclasses.replace(Hate(), model="nsfw").has_score(scored)
