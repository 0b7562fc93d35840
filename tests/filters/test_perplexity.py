"""The stage `perplexity`: which model reads which document, thresholds, buckets, gibberish, hostile text, errors."""

from __future__ import annotations

import gzip
import json
import math
import random
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.lm import cutoffs, model, training
from filters.perplexity import Perplexity
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.stage import configured

GOOD = "The committee will publish its report on the water supply of the northern districts early next year."
MASH = "asdkjh qwoieu zxmcnb qpwoei lskdjf mznxbc qowieur lkjsdhf vbnmxcz poiqwe hgfdsaj tyrueiw xcvbnmz"
SENTENCES = {
    "de": "Die Kinder spielen nach der Schule am Ufer des Flusses, während die Eltern auf dem Markt einkaufen gehen.",
    "ru": "Дети после школы играют на берегу реки, а родители тем временем покупают продукты на рынке у вокзала.",
    "ko": "아이들은 학교가 끝난 뒤에 강가에서 놀고 부모들은 그동안 시장에서 저녁에 먹을 음식을 사고 있습니다.",
    "ar": "يلعب الأطفال بعد المدرسة على ضفة النهر بينما يشتري الآباء الطعام من السوق القريب من محطة القطار.",
    "hi": "बच्चे स्कूल के बाद नदी के किनारे खेलते हैं और माता-पिता बाजार से खाने का सामान खरीदते हैं।",
}


def table(texts, langs="en"):
    langs = [langs] * len(texts) if isinstance(langs, str) else langs
    return pa.table({"text": pa.array(texts, pa.large_string()), "lang": pa.array(langs, pa.string())})


def scores(texts, langs="en", **options):
    return Perplexity(**options).scored(table(texts, langs))["perplexity"].to_pylist()


def make(**options):
    return configured(Perplexity, options, "test")


def test_writing_and_gibberish_lie_on_both_sides_of_the_bundled_thresholds():
    rng = random.Random(3)
    shuffled = ["".join(rng.sample(text * 4, len(text) * 4)) for text in SENTENCES.values()]
    texts = [GOOD, MASH, *SENTENCES.values(), *shuffled]
    langs = ["en", "en", *SENTENCES, *SENTENCES]
    out = make(by_language="characters")(table(texts, langs))
    kept = [reason is None for reason in out["drop_reason"].to_pylist()]
    n = len(SENTENCES)
    assert kept[:2] == [True, False]
    assert kept[2 : 2 + n] == [True] * n
    gone = dict(zip(SENTENCES, kept[2 + n :], strict=True))
    assert not any(gone[lang] for lang in ("de", "ru", "ar", "hi")), gone
    assert out["drop_reason"].to_pylist()[1] == "max_perplexity"


def test_no_model_or_no_text_is_no_score_and_passes():
    docs = table([GOOD, MASH, "", None, " \n\t\x00", "short"], ["xx", None, "en", "en", "en", "en"])
    out = make(by_language="characters", max_perplexity=1.0, min_tokens=6)(docs)
    assert out["perplexity"].to_pylist() == [None] * 6
    assert out["drop_reason"].to_pylist() == [None] * 6
    assert out["perplexity_bucket"].to_pylist() == [None] * 6


def test_min_tokens_at_its_boundary():
    assert scores(["ab cd"], min_tokens=6) == [None]
    assert scores(["ab cd"], min_tokens=5)[0] > 1
    assert scores(["a\nb\n\nc"], min_tokens=4) == [None]  # ends of lines are no tokens


def test_thresholds_at_their_boundary():
    (value,) = scores([GOOD])
    docs = table([GOOD])
    above, below = float(np.nextafter(value, np.inf)), float(np.nextafter(value, 0))
    for options, reason in (
        ({"max_perplexity": value}, None),
        ({"max_perplexity": below}, "max_perplexity"),
        ({"min_perplexity": value}, None),
        ({"min_perplexity": above}, "min_perplexity"),
    ):
        assert make(**options)(docs)["drop_reason"].to_pylist() == [reason], options
    for head, tail, bucket in (
        (above, above, "head"),
        (value, above, "middle"),
        (below, value, "tail"),
        (value, value, "tail"),
    ):
        assert make(head=head, tail=tail)(docs)["perplexity_bucket"].to_pylist() == [bucket]


def test_thresholds_and_cutoffs_by_language(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"de": {"perplexity": {"max_perplexity": 1.5, "head": 1.0, "tail": 1000.0}}}))
    out = make(by_language=str(file), max_perplexity=1000.0)(table([GOOD, SENTENCES["de"]], ["en", "de"]))
    assert out["drop_reason"].to_pylist() == [None, "max_perplexity"]
    assert out["perplexity_bucket"].to_pylist() == [None, "middle"]
    file.write_text(yaml.safe_dump({"de": {"perplexity": {"max_perplexty": 1.5}}}))
    with pytest.raises(ConfigError, match="did you mean 'max_perplexity'"):
        make(by_language=str(file))


def test_another_threshold_does_not_score_again():
    docs = Perplexity(max_perplexity=5.0).scored(table([GOOD]))
    assert Perplexity(head=1.0, tail=2.0).has_score(docs)
    assert not Perplexity(unit="document").has_score(docs)


def test_percentiles_of_a_corpus_make_a_file_for_by_language(tmp_path, capsys):
    docs = table([GOOD, MASH, SENTENCES["de"], GOOD, ""], ["en", "en", "en", None, "en"])
    pq.write_table(make()(docs).drop_columns(["drop_reason"]), tmp_path / "scored.parquet")
    command = ["cutoffs", str(tmp_path / "scored.parquet"), "-o", str(tmp_path / "own.yaml")]
    assert main([*command, "--head", "0", "--tail", "100", "--drop-above", "50"]) == 0
    low, middle, high = sorted(scores([GOOD, MASH, SENTENCES["de"]]))
    own = {"en": {"perplexity": {"head": low, "tail": high, "max_perplexity": middle}}}
    assert yaml.safe_load((tmp_path / "own.yaml").read_text()) == own
    out = make(by_language=str(tmp_path / "own.yaml"))(docs)
    assert out["perplexity_bucket"].to_pylist() == ["middle", "tail", "middle", None, None]
    assert out["drop_reason"].to_pylist() == [None, "max_perplexity", None, None, None]
    assert main(command) == 0
    assert yaml.safe_load((tmp_path / "own.yaml").read_text())["en"]["perplexity"] == pytest.approx(
        {"head": low + 0.6 * (middle - low), "tail": middle + 0.2 * (high - middle)}
    )
    capsys.readouterr()
    pq.write_table(docs, tmp_path / "scored.parquet")
    for more, message in (
        ([], "no column perplexity"),
        (["-o", str(tmp_path / "own.txt")], "must end in .yaml"),
    ):
        assert main([*command, *more]) != 0
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("percentiles", [{"head": 61}, {"tail": 101}, {"head": -1}, {"drop_above": 100.5}])
def test_percentiles_that_cannot_be(percentiles):
    with pytest.raises(ConfigError, match="percentiles"):
        cutoffs.cutoffs(["en"], [1.0], **percentiles)
    with pytest.raises(ConfigError, match="no document"):
        cutoffs.cutoffs(["en", None], [None, 2.0])


def test_only_some_buckets_are_kept():
    low, high = scores([GOOD, MASH])
    docs = table([GOOD, MASH, "", GOOD], ["en", "en", "en", "xx"])
    cuts = {"head": low + 0.1, "tail": high}
    for kept, reasons in (
        (["head"], [None, "keep_buckets", None, None]),
        (["tail", "middle"], ["keep_buckets", None, None, None]),
        (["head", "middle", "tail"], [None] * 4),
        ([], [None] * 4),
    ):
        assert make(keep_buckets=kept, **cuts)(docs)["drop_reason"].to_pylist() == reasons
    out = make(keep_buckets=["head"], max_perplexity=low + 1, **cuts)(docs)
    assert out["drop_reason"].to_pylist()[1] == "max_perplexity"
    assert Perplexity(keep_buckets=("head",), **cuts).has_score(Perplexity().scored(docs))


def test_ccnets_cutoffs_sort_its_own_documents_as_it_did(shared_data):
    """100 documents of ChineseWebText carry CCNet's perplexity and bucket."""
    with gzip.open(shared_data / "quality" / "chinesewebtext_sample.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [one for one in map(json.loads, lines) if "bucket" in one]
    docs = pa.table({"lang": ["zh"] * len(found), "perplexity": [one["perplexity"] for one in found]})
    assert Perplexity(by_language="ccnet").buckets(docs).to_pylist() == [one["bucket"] for one in found]
    assert len(found) == 100  # all of the middle: from 1 460 to 1 950 in Chinese
    values = [one["perplexity"] for one in found]
    assert min(values) < 1500 and max(values) > 1900


def test_ccnets_cutoffs():
    docs = pa.table(
        {"lang": ["en", "en", "en", "en", "no", "sv"], "perplexity": [339.9, 340.0, 519.9, 520.0, 1.0, 1.0]}
    )
    made = make(by_language="ccnet", unit="document")
    assert made.buckets(docs).to_pylist() == ["head", "middle", "middle", "tail", "head", None]


@pytest.fixture
def own_models(tmp_path):
    """Word models of two languages as files, and a tokenizer.json."""
    for lang, text in (("en", "the cat sat . the dog sat ."), ("de", "die katze . der hund .")):
        training.train([text.split()] * 3, 2).write(tmp_path / f"{lang}.arpa")
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[u]": 0, "the": 1, "cat": 2, "sat": 3, ".": 4}, unk_token="[u]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "words.json"))
    return tmp_path


def test_models_by_language_from_files(own_models):
    path = str(own_models / "{lang}.arpa")
    docs = table(["The cat sat.", "Die Katze.", "Le chat."], ["en", "de", "fr"])
    stage = make(model=path, tokenizer="words")
    assert stage.reads == ("text", "lang")
    first, second, third = stage(docs)["perplexity"].to_pylist()
    assert first and second and third is None
    only = make(model=path, tokenizer="words", languages=["de"])(docs)["perplexity"].to_pylist()
    assert only == [None, second, None]
    one = make(model=str(own_models / "en.arpa"), tokenizer="words")
    assert one.reads == ("text",)
    assert one(docs.select(["text"]))["perplexity"].to_pylist()[0] == first
    assert None not in one(docs.select(["text"]))["perplexity"].to_pylist()
    by_json = make(model=str(own_models / "en.arpa"), tokenizer=str(own_models / "words.json"))
    assert by_json(docs)["perplexity"].to_pylist()[0] == first


def test_sentencepiece(own_models):
    import sentencepiece

    text = own_models / "text.txt"
    text.write_text("the cat sat on the mat\nthe dog sat\n" * 50)
    prefix = own_models / "sp"
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(prefix), vocab_size=25, hard_vocab_limit=False, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model").encode("the cat sat", out_type=str)
    training.train([pieces] * 3, 2).write(own_models / "sp.arpa")
    (found,) = (
        make(model=str(own_models / "sp.arpa"), tokenizer=f"{prefix}.model")
        .scored(table(["The cat sat"]))["perplexity"]
        .to_pylist()
    )
    total = model.load(own_models / "sp.arpa").score(" ".join(pieces))
    assert math.isclose(found, 10 ** (-total / (len(pieces) + 1)), rel_tol=1e-6)
    assert len(pieces) > 3


def test_a_models_content_is_part_of_the_fingerprint(own_models):
    stage = Perplexity(model=str(own_models / "en.arpa"))
    before = stage.fingerprint()
    assert stage.fingerprint() == before
    training.train(["ab", "b"], 2).write(own_models / "en.arpa")
    assert stage.fingerprint() != before
    json.dumps(stage.config())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "lines"}, "did you mean 'line'"),
        ({"min_tokens": 0}, "min_tokens"),
        ({"max_chars": -1}, "max_chars"),
        ({"head": 3.0}, "head .* and tail"),
        ({"head": 3.0, "tail": 2.0}, "head not above tail"),
        ({"max_perplexity": "high"}, "must be a number"),
        ({"keep_buckets": ["haed"], "head": 1.0, "tail": 2.0}, "did you mean 'head'"),
        ({"keep_buckets": ["head"]}, "needs cutoffs"),
        ({"model": "charcters"}, "did you mean 'characters'"),
        ({"model": "nowhere/{lang}.arpa"}, "there is no file"),
        ({"model": "nowhere.arpa"}, "there is no file"),
        ({"model": "hf://a/b/{lang}.arpa.bin"}, "name the `languages`"),
        ({"tokenizer": "nowhere.model"}, "there is no file"),
        ({"tokenizer": "letters"}, "tokenizer 'letters'"),
        ({"languages": ["xx"]}, "for the language 'xx'"),
    ],
)
def test_options_that_cannot_work(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_files_that_are_no_models(tmp_path):
    for name in ("a.arpa", "a.bin", "a.arpa.gz", "a.model", "a.json"):
        (tmp_path / name).write_bytes(b"no model\n" * 100)
    for name in ("a.arpa", "a.bin", "a.arpa.gz"):
        with pytest.raises(ConfigError, match="neither ARPA nor KenLM's binary"):
            make(model=str(tmp_path / name))
    with pytest.raises(ConfigError, match="no SentencePiece model"):
        make(tokenizer=str(tmp_path / "a.model"))
    with pytest.raises(ConfigError, match="no tokenizer.json"):
        make(tokenizer=str(tmp_path / "a.json"))


@pytest.mark.parametrize(("module", "package"), [("kenlm", "camel-kenlm"), ("sentencepiece", "sentencepiece")])
def test_a_missing_package_says_how_to_install_it(monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "absent.model").write_bytes(b"")
    tokenizer = "characters" if module == "kenlm" else str(tmp_path / "absent.model")
    with pytest.raises(ConfigError, match=f"pip install {package}"):
        make(tokenizer=tokenizer)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(), max_size=4), st.sampled_from(["characters", "words"]), st.sampled_from(["line", "document"]))
def test_any_text_has_a_finite_score_or_none_whatever_its_batch(texts, tokenizer, unit):
    options = {"tokenizer": tokenizer, "unit": unit}
    together = scores(texts, **options)
    assert together == [scores([text], **options)[0] for text in texts]
    assert all(value is None or 1 <= value < np.inf for value in together)


def test_hostile_texts_slices_and_chunks():
    texts = ["\x00" * 1000, "a" * 3_000_000, "x\n" * 200_000, "\u0301" * 100_000, "م" * 100_000, "\u202e" * 10, GOOD]
    docs = table(texts)
    start = time.process_time()
    found = Perplexity()(docs)["perplexity"].to_pylist()
    assert time.process_time() - start < 15
    assert found[0] is None and found[3] is None
    assert all(found[i] > 1 for i in (1, 2, 4, 5, 6))
    assert Perplexity()(docs.slice(6))["perplexity"].to_pylist() == found[6:]
    chunked = pa.concat_tables([docs.slice(0, 1), docs.slice(4, 2), docs.slice(6)])
    assert Perplexity()(chunked)["perplexity"].to_pylist() == [found[i] for i in (0, 4, 5, 6)]
    assert Perplexity()(docs.slice(0, 0)).num_rows == 0
    assert Perplexity(max_chars=50).scored(docs)["perplexity"].to_pylist()[6] == scores([GOOD[:50]])[0]


def test_real_pages_hardly_ever_look_like_gibberish(shared_data):
    gold = ("daniel_waddle", "wcxb")
    texts, langs = [], []
    for name in gold:
        with gzip.open(shared_data / "html" / "gold" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                one = json.loads(line)
                texts.append(one["text"])
                langs.append(one.get("lang") or "en")
    out = make(by_language="characters", min_tokens=100, max_chars=10_000)(table(texts, langs))
    gone = sum(reason is not None for reason in out["drop_reason"].to_pylist())
    assert gone <= 0.005 * len(texts)
