"""Language identification: the plain model as the oracle, the decision at its boundary, hostile text."""

from __future__ import annotations

import gzip
import json

import fasttext
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.language import Language, clean, default_model, identify
from pipeline.errors import ConfigError

TEXTS = {
    "en": "The bakery on the corner opens at six, and by seven the bread has nearly always been sold.",
    "de": "Der Bäcker an der Ecke öffnet um sechs, und um sieben ist das Brot fast immer schon verkauft.",
    "fr": "La boulangerie du coin ouvre à six heures, et à sept heures le pain est presque toujours vendu.",
    "ru": "Пекарня на углу открывается в шесть, а к семи хлеб почти всегда уже продан.",
    "zh": "街角的面包店六点开门，到七点面包几乎总是已经卖完了。",
    "ar": "يفتح المخبز في الزاوية في السادسة، وبحلول السابعة يكون الخبز قد بيع كله تقريبا.",
}


def table(texts):
    return pa.table({"text": pa.array(texts, pa.large_string())})


def test_same_as_the_plain_model_on_clean_text():
    model = fasttext.load_model(str(default_model()))
    codes, scores = identify(list(TEXTS.values()))
    for (want, text), code, score in zip(TEXTS.items(), codes, scores, strict=True):
        label, probability = model.predict(text, k=1)
        assert code == want == label[0].removeprefix("__label__")
        assert score == pytest.approx(min(1.0, float(probability[0])), abs=1e-5)


def test_decision_and_reasons():
    out = Language(languages=("en", "de"), min_score=0.5)(table([*TEXTS.values(), "", "12345 67890"]))
    assert out["drop_reason"].to_pylist() == [
        None, None, "language:fr", "language:ru", "language:zh", "language:ar",
        "language_uncertain", "language_uncertain",
    ]  # fmt: skip
    assert out["lang"].to_pylist()[-2:] == ["und", "und"]


def test_score_at_the_threshold_stays():
    scored = Language(min_score=0).scored(table([TEXTS["en"]]))
    at = scored["lang_score"][0].as_py()
    assert Language(min_score=at)(scored)["drop_reason"].to_pylist() == [None]
    assert Language(min_score=min(1.0, at + 1e-4))(scored)["drop_reason"].to_pylist() == ["language_uncertain"]


def test_a_new_threshold_takes_over_the_scores(monkeypatch, tmp_path):
    scored = Language().scored(table(list(TEXTS.values())))
    pq.write_table(scored, tmp_path / "t.parquet")
    scored = pq.read_table(tmp_path / "t.parquet")

    def no_scoring(*args, **options):
        raise AssertionError("scored again")

    monkeypatch.setattr("filters.language.identify", no_scoring)
    assert Language(languages=("ru",), min_score=0.1)(scored)["drop_reason"].null_count == 1
    with pytest.raises(AssertionError, match="scored again"):
        Language(max_chars=7)(scored)


def test_scores_of_somebody_else_are_not_trusted():
    made_up = (
        table(["x"]).append_column("lang", pa.array(["tlh"])).append_column("lang_score", pa.array([0.9], pa.float32()))
    )
    assert Language(min_score=0)(made_up)["lang"].to_pylist() == identify(["x"])[0] != ["tlh"]


def test_hostile_text_and_empty_table():
    hostile = ["\x00" * 50, "\n" * 1000, "a" * 3_000_000, "\u202e\u200f مرحبا", "🙂" * 500, "__label__en"]
    out = Language()(table(hostile))
    assert out.num_rows == len(hostile)
    assert all(0 <= s <= 1 for s in out["lang_score"].to_pylist())
    assert Language()(table([])).num_rows == 0


def test_clean_takes_noise_away():
    assert clean("READ THIS BEFORE They", 1000) == "read this before they"
    assert clean("NATO and the UN met.", 1000) == "NATO and the UN met."
    assert clean("See https://a.example/x?y=1\n\nor mail a@b.example 42 times", 1000) == "See or mail times"


def test_configuration_errors(tmp_path):
    for bad in (
        {"min_score": 1.5},
        {"languages": ("English",)},
        {"model": str(tmp_path / "none.ftz")},
        {"max_chars": 0},
    ):
        with pytest.raises(ConfigError):
            Language(**bad).check()


def test_accuracy_on_sentences(shared_data):
    """Every 40th Leipzig sentence: not worse than the plain model on the same sentences (sampling error apart)."""
    with gzip.open(shared_data / "lid/lingua_sentences75.jsonl.gz") as handle:
        lines = [json.loads(line) for line in handle][::40]
    model = fasttext.load_model(str(default_model()))
    plain = [model.predict(x["text"].replace("\n", " "), k=1)[0][0].removeprefix("__label__") for x in lines]
    ours = identify([x["text"] for x in lines])[0]
    right_plain = sum(p == x["lang"] for p, x in zip(plain, lines, strict=True))
    right_ours = sum(p == x["lang"] for p, x in zip(ours, lines, strict=True))
    assert len(lines) > 1500
    assert right_ours >= right_plain - 0.003 * len(lines)
    assert right_ours > 0.75 * len(lines)  # 75 languages, some of which lid.176 does not know
