"""The n-gram trainer and KenLM: probabilities sum to 1, scores agree with a brute-force reading of the ARPA file."""

from __future__ import annotations

import gzip
import math
import random

import pytest

from filters.lm import files, model, tokens
from filters.lm.training import BEGIN, END, UNKNOWN, train
from pipeline.errors import ConfigError

rng = random.Random(5)
SENTENCES = [rng.choices("abcdef", (9, 7, 5, 3, 2, 1), k=rng.randint(1, 12)) for _ in range(400)]


def read_arpa(text):
    """{n-gram: (log10 probability, log10 backoff)}"""
    found = {}
    for line in text.split("\n"):
        fields = line.split("\t")
        if len(fields) > 1:
            found[tuple(fields[1].split(" "))] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
    return found


def brute(arpa, order, context, token):
    """log10 P(token | context) by Katz's recursion over an ARPA's entries."""
    known = {gram[0] for gram in arpa if len(gram) == 1}
    token = token if token in known else UNKNOWN
    context = tuple(c if c in known else UNKNOWN for c in context)[-(order - 1) :]
    if (*context, token) in arpa:
        return arpa[(*context, token)][0]
    return arpa.get(context, (0, 0.0))[1] + brute(arpa, order, context[1:], token)


def brute_sentence(arpa, order, sentence):
    history, total = (BEGIN,), 0.0
    for token in (*sentence, END):
        total += brute(arpa, order, history, token)
        history = (*history, token)
    return total


@pytest.mark.parametrize(("order", "least"), [(2, ()), (3, ()), (4, (1, 1, 2, 3)), (5, (1, 2, 2, 4, 9)), (3, (1, 500))])
def test_probabilities_sum_to_one_after_every_history(order, least):
    arpa = read_arpa(train(SENTENCES, order, least).arpa(12))
    vocabulary = [*"abcdef", END, UNKNOWN]
    histories = [(BEGIN,), ("a",), ("f", "f", "f"), (BEGIN, "a", "b"), ("zz", "a")]
    histories += [tuple(rng.choices("abcdef", k=order)) for _ in range(50)]
    for history in histories:
        assert math.isclose(sum(10 ** brute(arpa, order, history, w) for w in vocabulary), 1, abs_tol=1e-9), history


def test_bigrams_by_hand():
    # a b | a b | a c : P(b|a) = (2 - D2)/3 + (D1 + D2)/3 * P(b); the counts are too few, so lmplz's fallback discounts
    found = dict(train(["ab", "ab", "ac"], 2).grams[1])
    d1, d2, d3 = 0.5, 1.0, 1.5
    # left neighbours: a 1 (<s>), b 1 (a), c 1 (a), </s> 2 (b, c): total 5; three discounts d1, one d2
    # 5 tokens with <unk>
    base = (3 * d1 + d2) / 5 / 5
    p_b = (1 - d1) / 5 + base
    assert math.isclose(found[("a", "b")][0], (2 - d2) / 3 + (d1 + d2) / 3 * p_b)
    p_a = (1 - d1) / 5 + base
    assert math.isclose(found[(BEGIN, "a")][0], (3 - d3) / 3 + d3 / 3 * p_a)


def test_kenlm_agrees_with_a_brute_force_reading(tmp_path):
    made = train(SENTENCES, 4, (1, 1, 2, 3))
    made.write(tmp_path / "a.arpa")
    made.write(tmp_path / "a.arpa.gz")
    arpa = read_arpa((tmp_path / "a.arpa").read_text())
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == (tmp_path / "a.arpa").read_bytes()
    for name in ("a.arpa", "a.arpa.gz"):
        loaded = model.load(tmp_path / name)
        for sentence in (["a"], [], ["q"], *(rng.choices("abcdefgh", k=rng.randint(1, 30)) for _ in range(100))):
            wanted = brute_sentence(arpa, 4, sentence)
            assert math.isclose(loaded.score(" ".join(sentence)), wanted, rel_tol=1e-5, abs_tol=1e-5)


def test_perplexity_is_ccnets_formula(tmp_path):
    train([list("the▁cat▁sat"), list("a▁cat")], 3).write(tmp_path / "a.arpa")
    arpa = read_arpa((tmp_path / "a.arpa").read_text())
    loaded = model.load(tmp_path / "a.arpa")
    total = brute_sentence(arpa, 3, "the▁cat") + brute_sentence(arpa, 3, "q0")
    wanted = 10 ** (-total / (7 + 1 + 2 + 1))
    (found,) = model.perplexities(loaded, tokens.characters, [" The  CÀT\n\n \nq7\n"])
    assert math.isclose(found, wanted, rel_tol=1e-5)
    glued = 10 ** (-brute_sentence(arpa, 3, "the▁catq0") / 10)
    (found,) = model.perplexities(loaded, tokens.characters, ["The Càt\nq7"], unit="document")
    assert math.isclose(found, glued, rel_tol=1e-5)


def test_the_same_sentences_give_the_same_bytes(tmp_path):
    for name, sentences in (("1", SENTENCES), ("2", SENTENCES[::-1])):
        train(sentences, 4, (1, 1, 2)).write(tmp_path / f"{name}.arpa.gz")
    assert (tmp_path / "1.arpa.gz").read_bytes() == (tmp_path / "2.arpa.gz").read_bytes()


@pytest.mark.parametrize(("order", "least"), [(1, ()), (3, (2, 2, 2)), (3, (1, 3, 2)), (2, (1, 1, 1))])
def test_orders_and_counts_that_cannot_be(order, least):
    with pytest.raises(ConfigError, match="min_counts"):
        train(SENTENCES, order, least)


def test_nothing_to_learn_from():
    with pytest.raises(ConfigError, match="no sentence"):
        train([], 3)


def test_the_bundled_models_are_rebuilt_to_the_byte(shared_data, tmp_path):
    from filters.lm import bundle

    texts = bundle.sentences(shared_data)
    for lang in ("fr", "ja"):
        bundle.model_of(texts[lang]).write(tmp_path / f"{lang}.arpa.gz", bundle.DIGITS)
        kept = files.bundled_models()["characters"] / f"{lang}.arpa.gz"
        assert (tmp_path / f"{lang}.arpa.gz").read_bytes() == kept.read_bytes()
