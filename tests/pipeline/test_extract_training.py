"""Training of the engine gristmill: labels, words, folds that leak nothing, the command, the same bytes twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.extract.engines import EngineOptions
from pipeline.extract.evaluation.evaluate import read_texts, score_texts
from pipeline.extract.evaluation.gold import GoldPage, load
from pipeline.extract.evaluation.scores import word_f1
from pipeline.extract.native import columns as y
from pipeline.extract.native.engine import Gristmill
from pipeline.extract.native.model import Model
from pipeline.extract.native.page import scan_page
from pipeline.extract.native.vocabulary import FIRST_WORDS
from pipeline.extract.native.words import split_words
from pipeline.extract.training import command, fit, predict, silver, word_weights
from pipeline.extract.training.dataset import Bags, WordCounts, attribute_words, examples, text_words
from pipeline.extract.training.fit import Trainer
from pipeline.extract.training.labels import block_labels, segment_labels
from pipeline.extract.training.predict import FOLDS, Predicted, without_set
from tests.pipeline.test_extract_evaluation import page as gold_record
from tests.pipeline.test_extract_evaluation import write_data

# ---------------------------------------------------------------- labels

MENU = ["Home", "News and views", "The mill"]
BODY = ["The mill of the town", "The miller grinds the grain of the farms into flour.", "And the baker bakes.", "Ann"]
FOOT = ["Related stories of a town", "All rights reserved by the owners", "Home"]


def f1_of(texts, labels, gold) -> float:
    return word_f1("\n".join(t for t, kept in zip(texts, labels, strict=True) if kept), gold).f1


def test_labels_of_a_page_by_hand():
    texts = MENU + BODY + FOOT
    labels = block_labels(texts, "\n".join(BODY))
    assert labels.tolist() == [False] * 3 + [True] * 4 + [False] * 3


def test_gold_that_differs_a_little_from_the_page_still_finds_its_blocks():
    gold = "The mill of our town. The miller grinds all the grain of the farms into flour - and the baker bakes. Ann"
    assert block_labels(MENU + BODY + FOOT, gold).tolist()[3:6] == [True] * 3


def test_a_short_text_counts_near_the_gold_only():
    far = ["Ann"] + MENU * 5
    labels = block_labels(far + BODY, "\n".join(BODY))
    assert labels.tolist() == [False] * len(far) + [True] * 4


def test_copies_share_one_label():
    long = "The miller grinds the grain of the farms into flour."
    assert block_labels([long, "Menu of it", long], long).tolist() == [True, False, True]


def test_chinese_is_aligned_by_characters():
    texts = ["首页 新闻", "磨坊主每天早上把麦子磨成面粉。", "然后送到城里的面包店。", "版权所有"]
    assert block_labels(texts, "磨坊主每天早上把麦子磨成面粉。然后送到城里的面包店。").tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_nothing_belongs_to_a_gold_without_text_or_to_a_page_without_blocks():
    assert not block_labels(MENU, "").any() and len(block_labels([], "some gold")) == 0
    assert not block_labels(["", "!"], "some gold text here").any()


def test_labels_reach_nearly_the_best_f1_that_any_choice_of_blocks_has():
    """Against all subsets of the blocks of random small pages with noisy gold."""
    random = np.random.default_rng(4)
    vocabulary = [f"word{i}" for i in range(30)]
    reached, possible = [], []
    for _ in range(60):
        texts = [" ".join(random.choice(vocabulary, random.integers(1, 12))) for _ in range(9)]
        start, stop = sorted(random.integers(0, 10, 2).tolist())
        words = " ".join(texts[start:stop]).split()
        gold = " ".join(word for word in words if random.random() < 0.9)
        if not gold:
            continue
        reached.append(f1_of(texts, block_labels(texts, gold), gold))
        possible.append(max(f1_of(texts, chosen, gold) for chosen in itertools.product((0, 1), repeat=9)))
    assert len(reached) > 40
    assert np.mean(reached) > 0.97 * np.mean(possible)
    assert np.mean(np.array(reached) > np.array(possible) - 0.05) > 0.85


def test_segments_label_only_what_they_name():
    texts = ["Home", "The miller\n grinds the grain", "Share this", "other", "The miller grinds and you share this"]
    labels = segment_labels(texts, ["miller  grinds", "absent", " "], ["Share", "this"])
    assert labels.tolist() == [-1, 1, 0, -1, 1]


def test_word_counts_score_as_the_evaluation_does():
    gold = gold_page("g", "<p>x", text="\n".join(BODY))
    [example] = examples([gold], [0], [0])
    example.texts = MENU + BODY + FOOT
    counts = WordCounts.of(example)
    random = np.random.default_rng(1)
    for keep in [np.zeros(10, bool), np.ones(10, bool), *(random.random((20, 10)) < 0.5)]:
        assert counts.f1(keep) == pytest.approx(f1_of(example.texts, keep, gold.text))


# ---------------------------------------------------------------- examples and their words


def gold_page(name: str, html: str, **values) -> GoldPage:
    payload = html.encode()
    known = {"set": "wcxb", "id": name, "url": f"https://{name}.example/", "host": f"{name}.example",
             "sha1": hashlib.sha1(payload).hexdigest(), "payload": payload, "content_type": "text/html; charset=utf-8",
             "text": None}  # fmt: skip
    return GoldPage(**(known | values))


def test_examples_leave_pages_without_text_out_and_label_by_what_the_gold_has():
    pages = [
        gold_page("empty", "<p> <br>", text="gone"),
        gold_page("whole", "<p>The miller grinds the grain</p><p>Menu of all</p>", text="The miller grinds the grain"),
        gold_page("parts", "<p>a wanted part</p><p>not that</p><p>?</p>", set="trafilatura_segments",
                  with_segments=("wanted",), without_segments=("not",)),
    ]  # fmt: skip
    found = examples(pages, [4, 5, 6], [0, 1, 2])
    assert [(e.gold.id, e.group, e.fold) for e in found] == [("whole", 5, 1), ("parts", 6, 2)]
    assert [e.labels.tolist() for e in found] == [[1, 0], [1, 0, -1]]
    assert found[0].weights.tolist() == pytest.approx([np.sqrt(23), np.sqrt(9)])


def test_bags_number_equal_bags_once():
    bags = Bags.of([(("a", 1),), (), (("a", 1),)])
    assert bags.bags == [(("a", 1),), ()] and bags.of_block.tolist() == [0, 1, 0]


def test_words_of_blocks_are_those_of_all_elements_around_them_and_of_the_heading_above():
    html = (
        "<div class='post body post'><h2 id=newsTitle>Related and More</h2>"
        "<p itemprop=text>One <i class=x>two</i></p></div><ul role='menu'><li>Three 3 " + "w " * 40 + "</li></ul>"
    )
    page = scan_page(html.encode())
    source = page.source.tobytes()
    attributes, (own, heading) = attribute_words(page), text_words(page)
    for b, row in enumerate(page.blocks):
        words: Counter[str] = Counter()
        e = row[y.ELEMENT]
        while e >= 0:
            element = page.elements[e]
            for column in (y.CLASS0, y.ID0, y.ROLE0, y.PROP0):
                words.update(split_words(source[element[column] : element[column + 1]]))
            e = element[y.PARENT]
        assert dict(attributes.bags[attributes.of_block[b]]) == dict(words)
    assert dict(attributes.bags[attributes.of_block[0]]) == {"post": 2, "body": 1, "news": 1, "title": 1}
    assert [dict(own.bags[k]) for k in own.of_block] == [
        {"related": 1, "and": 1, "more": 1}, {"one": 1, "two": 1}, {"three": 1, "3": 1, "w": FIRST_WORDS - 2}
    ]  # fmt: skip
    above = {"related": 1, "and": 1, "more": 1}
    assert [dict(heading.bags[k]) for k in heading.of_block] == [{}, above, above]


# ---------------------------------------------------------------- synthetic sites


TOPICS = ("mill", "grain", "flour", "farm", "bread", "river", "wheel", "stone", "water", "town", "baker", "market")


def site(number: int, *, name: str = "wcxb", secret: str = "", upside_down: bool = False, seed: int = 0, **values):
    """A gold page of its own wording: menu, content, related links. `secret` marks the content by a class."""
    random = np.random.default_rng(1000 * seed + number)

    def sentence(words: int) -> str:
        return (
            " ".join([f"{random.choice(TOPICS)}{number}of{random.integers(30)}" for _ in range(words)]).capitalize()
            + "."
        )

    body = [" ".join(sentence(9) for _ in range(3)) for _ in range(int(random.integers(2, 6)))]
    menu = [sentence(2) for _ in range(4)]
    more = [sentence(5) for _ in range(4)]
    html = (
        f"<title>{sentence(3)}</title><ul class='menu k{number}'>" + "".join(f"<li><a href=/>{m}</a>" for m in menu)
        + f"</ul><div class='article {secret}'>" + "".join(f"<p>{b}</p>" for b in body)
        + "</div><div class=related><h2>Related</h2>"
        + "".join(f"<p><a href=/>{m}</a></p>" for m in more) + "</div>"
    )  # fmt: skip
    text = "\n".join(more + menu if upside_down else body)
    if name == "wcxb":
        values.setdefault("page_type", ("article", "forum", "product")[number % 3])
    return gold_page(f"{name}{number}", html, set=name, text=text, **values)


@pytest.fixture
def quick(monkeypatch):
    """Few small trees, and words that a few sites share."""
    for name in ("FIRST_TREES", "SECOND_TREES", "TYPE_ROUNDS"):
        monkeypatch.setattr(fit, name, 6)
        monkeypatch.setattr(command, name, 6)
    monkeypatch.setattr(word_weights, "MIN_GROUPS", 4)
    monkeypatch.setattr(word_weights, "RIDGE", {"attributes": 5.0, "own": 5.0, "heading": 5.0})


def trainer_on(pages, folds, groups=None, **values) -> Trainer:
    return Trainer(examples(pages, groups or list(range(len(pages))), folds), threads=1, **values)


def file_of(model: Model, folder) -> bytes:
    model.save(folder / "model.npz")
    return (folder / "model.npz").read_bytes()


COUNT = 40


def folds_of(count: int) -> list[int]:
    return [i % FOLDS for i in range(count)]


def test_a_fold_that_is_left_out_has_no_part_in_its_model(quick, tmp_path):
    """The held-out pages hold a class that predicts perfectly, and then are other pages with the opposite labels."""
    folds = folds_of(COUNT)
    honest = [site(i, secret="zebra" if folds[i] == 0 else "") for i in range(COUNT)]
    changed = [
        site(i, secret="yak", upside_down=True, seed=7) if folds[i] == 0 else page for i, page in enumerate(honest)
    ]
    one, other = trainer_on(honest, folds), trainer_on(changed, folds)
    without = one.model({0})
    assert file_of(without, tmp_path) == file_of(other.model({0}), tmp_path)
    assert "zebra" in one.lexicon(frozenset()).attributes and "yak" in other.lexicon(frozenset()).attributes
    assert "zebra" not in without.lexicon.attributes
    assert "zebra" not in one.lexicon(frozenset({0, 1})).attributes


class Watched(Trainer):
    """Notes which folds each fit and each scoring saw."""

    def __init__(self, *given, **values) -> None:
        super().__init__(*given, **values)
        self.fits: list[set[int]] = []
        self.scored: list[tuple[set[int], frozenset[int]]] = []

    def _fit(self, train, features, trees, max_rows=fit.MAX_ROWS):
        self.fits.append({e.fold for e in train})
        return super()._fit(train, features, trees, max_rows)

    def score_first(self, examples, out):
        examples = list(examples)
        self.scored.append(({e.fold for e in examples}, out))
        super().score_first(examples, out)


def test_no_judge_is_fitted_on_an_excluded_fold_or_learns_from_scores_of_pages_it_was_fitted_on(quick, monkeypatch):
    lexicons: list[set[int]] = []
    fit_words = fit.fit_words
    monkeypatch.setattr(
        fit, "fit_words", lambda train, which: (lexicons.append({e.fold for e in train}), fit_words(train, which))[1]
    )
    pages = [site(i) for i in range(COUNT)]
    trainer = Watched(examples(pages, list(range(COUNT)), folds_of(COUNT)), threads=1)
    trainer.model({3})
    others = set(range(FOLDS)) - {3}
    assert len(trainer.fits) == FOLDS + 1 and all(3 not in seen for seen in trainer.fits + lexicons)
    # the first judges leave one more fold out each, and the folds scored are just those that the judge left out
    assert sorted(map(sorted, trainer.fits[:-2])) == sorted(sorted(others - {fold}) for fold in others)
    assert [(seen, out) for seen, out in trainer.scored] == [({fold}, frozenset({3, fold})) for fold in sorted(others)]
    # when a judge is fitted on a page, the page's words are weighted without its fold
    lexicon = trainer.lexicon(frozenset({3, 0}))
    trainer._first.clear()
    trainer.first(frozenset({3}))
    example = next(e for e in trainer.examples if e.fold == 0)
    seen = example.matrix.copy()
    example.measure(lexicon)
    assert np.array_equal(seen, example.matrix)
    example.measure(trainer.lexicon(frozenset({3})))
    assert not np.array_equal(seen, example.matrix)


def test_leaving_a_set_out_leaves_out_what_shares_a_group_with_it(quick, tmp_path):
    pages = [site(i) for i in range(20)] + [site(i, name="daniel_waddle") for i in range(6)]
    groups = list(range(20)) + [3, 3, 20, 21, 7, 22]  # pages 3 and 7 of wcxb are of sites that DANIEL has too
    found = examples(pages, groups, folds_of(26))
    trainer = without_set(found, "daniel_waddle", 1)
    assert [e.gold.id for e in trainer.examples] == [f"wcxb{i}" for i in range(20) if i not in (3, 7)]
    assert {e.gold.set for e in without_set(found, "wcxb", 1).examples} == {"daniel_waddle"}
    assert [e.gold.id for e in without_set(found, "wcxb", 1).examples] == [f"daniel_waddle{i}" for i in (2, 3, 5)]


def test_training_finds_what_tells_content_from_the_rest_and_its_model_says_so(quick):
    pages = [site(i) for i in range(COUNT)]
    trainer = trainer_on(pages, folds_of(COUNT))
    model = trainer.model({0})
    engine = Gristmill(EngineOptions(), model)
    scores = [
        word_f1(engine.extract(page.payload.decode(), None).text, page.text).f1 for page in pages[::FOLDS]
    ]  # fmt: skip
    assert np.mean(scores) > 0.9
    weights = model.lexicon.attributes
    assert weights["article"] > 0 > weights["menu"] and weights["related"] < 0
    assert not any(word.startswith("k") for word in weights)  # of one site each


def test_words_of_few_sites_have_no_weight_and_the_weights_are_those_of_a_plain_regression(monkeypatch):
    monkeypatch.setattr(word_weights, "MIN_GROUPS", 3)
    monkeypatch.setattr(word_weights, "RIDGE", {"attributes": 2.0, "own": 2.0, "heading": 2.0})
    pages = [site(i, secret="rare" if i < 2 else "") for i in range(8)]
    found = examples(pages, [0, 1, 2, 3, 4, 5, 6, 6], [0] * 8)
    weights = word_weights.fit_words(found, "attributes")
    assert set(weights) <= {"article", "menu", "related"} and len(weights) == 3
    # the same loss by plain gradient steps over single blocks
    words = ["article", "menu", "related"]
    x, label, weight = [], [], []
    for example in found:
        for b in range(len(example.labels)):
            bag = dict(example.bags["attributes"].bags[example.bags["attributes"].of_block[b]])
            x.append([bag.get(word, 0) for word in words] + [1])
            label.append(example.labels[b])
            weight.append(example.weights[b])
    x, label, weight = np.array(x, float), np.array(label, float), np.array(weight, float)
    b = np.zeros(4)
    ridge = np.array([2.0, 2.0, 2.0, 0])
    for _ in range(100):  # Newton's method
        p = 1 / (1 + np.exp(-x @ b))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        b -= np.linalg.solve(hessian + 1e-9 * np.eye(4), x.T @ (weight * (p - label)) + ridge * b)
    assert [weights[word] for word in words] == pytest.approx(np.clip(b[:3], -3, 3), abs=0.02)


# ---------------------------------------------------------------- the command


def records():
    found = []
    for page in [*(site(i) for i in range(30)), *(site(i, name="daniel_waddle", lang="Greek") for i in range(30, 40))]:
        values = {"text": page.text, "page_type": page.page_type, "lang": page.lang, "url": page.url}
        record = gold_record(page.set, page.id, "", **values)
        found.append(record | {"id": page.id, "html": page.payload, "sha1": page.sha1})
    return found


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", records())


def run(*words, silver: bool = False) -> int:
    return main(["extract", "train", *map(str, words), *([] if silver else ["--no-silver"])])


def test_the_command_writes_the_same_bytes_with_one_thread_and_with_two(quick, data, tmp_path, capsys):
    assert run("--data", data, "--output", tmp_path / "a", "--threads", 1, "--cross-validate", "--leave-sets-out") == 0
    shown = capsys.readouterr()
    assert "Trained on" in shown.out and "left_out" in shown.out and "model.npz" in shown.out
    steps = re.findall(r"train: (\d+)/(\d+)", shown.err)[-1]
    assert steps[0] == steps[1]
    for threads in (1, 2):
        assert run("--data", data, "--output", tmp_path / f"{threads}.npz", "--threads", threads, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "cross_validated.jsonl",
        "left_out.jsonl",
        "model.npz",
    ]

    model = Model.load(tmp_path / "a" / "model.npz")
    card = model.card
    assert {name: (s["pages"], s["licence"]) for name, s in card["sets"].items()} == {
        "wcxb": (30, "CC-BY-4.0"), "daniel_waddle": (10, "GPL-3.0 (the repository)")
    }  # fmt: skip
    assert card["seed"] == 1 and card["folds"] == FOLDS and set(card["versions"]) == {"lightgbm", "numpy", "scipy"}
    assert {row["contender"] for row in card["scores"]} == {"cross_validated", "left_out"}

    # the texts are what the evaluation takes, and score as the card says
    pages = load(data).pages
    for name in ("cross_validated", "left_out"):
        texts = read_texts(tmp_path / "a" / f"{name}.jsonl")
        assert list(texts) == [(p.set, p.id) for p in pages]
        scores = score_texts(pages, {key: output.text for key, output in texts.items()})
        mean = np.mean([s.score.f1 for p, s in zip(pages, scores, strict=True) if p.set == "wcxb"])
        [row] = [r for r in card["scores"] if (r["contender"], r["set"], r["slice"]) == (name, "wcxb", "all")]
        assert row["f1"] == pytest.approx(mean, abs=1e-4)
    kinds = {p.id: json.loads(line)["page_type"] for p, line in zip(
        pages, (tmp_path / "a" / "left_out.jsonl").read_text().splitlines(), strict=True)}  # fmt: skip
    # DANIEL has no page types to learn from
    assert kinds["wcxb0"] is None and kinds["daniel_waddle30"] is not None

    # the final model is the one that training alone gives, but for its card
    alone = Model.load(tmp_path / "1.npz")
    assert "scores" not in alone.card and alone.lexicon.attributes == model.lexicon.attributes
    for one, other in zip(
        (alone.first, alone.second, *alone.types), (model.first, model.second, *model.types), strict=True
    ):
        assert np.array_equal(one.leaf, other.leaf) and np.array_equal(one.threshold, other.threshold)


def test_another_seed_gives_another_model(quick, data, tmp_path):
    for seed in (1, 2):
        assert run("--data", data, "--output", tmp_path / f"{seed}.npz", "--threads", 1, "--seed", seed, "--quiet") == 0
    assert (tmp_path / "1.npz").read_bytes() != (tmp_path / "2.npz").read_bytes()


def test_a_page_is_cross_validated_by_a_model_without_its_group(data, monkeypatch):
    prepared = command.prepare(data, seed=1, silver=False)
    monkeypatch.setattr(Trainer, "model", lambda self, out=(): set(out))
    monkeypatch.setattr(
        predict, "apply", lambda model, favor, pages: (Predicted(page, f"without {model}", favor) for page in pages)
    )
    found = command.cross_validate(prepared, Trainer(prepared.examples), "recall")
    assert [(one.gold, one.text, one.page_type) for one in found] == [
        (page, f"without {{{fold}}}", "recall") for page, fold in zip(prepared.pages, prepared.folds, strict=True)
    ]
    by_group: dict[int, set[int]] = {}
    for group, fold in zip(prepared.groups, prepared.folds, strict=True):
        by_group.setdefault(group, set()).add(fold)
    assert all(len(folds) == 1 for folds in by_group.values())
    fold_of = dict(zip([p.id for p in prepared.pages], prepared.folds, strict=True))
    assert all(e.fold == fold_of[e.gold.id] for e in prepared.examples)


def test_a_teacher_labels_what_both_its_modes_agree_on():
    story = "".join(
        f"<p>{n}. The mill by the river ground rye and wheat for six villages, day and night.</p>" for n in range(9)
    )
    html = f"<html><body><nav><a href=/>Home</a> <a href=/b>Shop</a></nav><article>{story}</article></body></html>"
    page = scan_page(html.encode())
    texts = [page.block_text(k) for k in range(len(page.blocks))]
    labels = silver.agreed_labels(html, texts)
    assert labels.tolist() == [1 if "mill" in text else 0 for text in texts]
    assert set(silver.agreed_labels("<p>Too short.</p>", ["Too short."])) == {-1}


def test_teacher_pages_train_beside_the_gold_and_leave_with_their_group(quick, data, tmp_path, monkeypatch, capsys):
    assert run("--data", data, "--output", tmp_path / "no.npz", silver=True) == 2
    assert "fundus.warc.gz' is missing; --no-silver" in capsys.readouterr().err
    monkeypatch.setattr(silver, "SOURCES", {"wcxb": {"source": "the gold's own pages", "licence": "CC0"}})
    monkeypatch.setattr(command, "SILVER_SOURCES", silver.SOURCES)
    prepared = command.prepare(data)
    taught = [e for e in prepared.examples if e.gold.set == silver.SILVER]
    assert len(taught) == 30 and len(prepared.pages) == len(prepared.folds) == 40
    # the same pages as gold: in the same groups and folds, and gone where their set is left out
    fold_of = {e.gold.sha1: (e.group, e.fold) for e in prepared.examples if e.gold.set == "wcxb"}
    assert all((e.group, e.fold) == fold_of[e.gold.sha1] for e in taught)
    assert {e.gold.set for e in predict.without_set(prepared.examples, "wcxb", 1).examples} <= {"daniel_waddle"}
    assert run("--data", data, "--output", tmp_path / "with.npz", "--quiet", silver=True) == 0
    assert Model.load(tmp_path / "with.npz").card["silver"]["sources"] == silver.SOURCES


def test_wrong_use_is_one_clear_error(data, tmp_path, capsys, monkeypatch):
    cases = [
        (["--data", tmp_path / "none", "--output", tmp_path], "no html/gold"),
        (["--data", data, "--output", tmp_path, "--sets", "wxcb"], "did you mean 'wcxb'"),
        (["--data", data, "--output", tmp_path, "--threads", 0], "threads"),
        (["--data", data, "--output", tmp_path, "--favor", "recal"], "did you mean 'recall'"),
        (["--data", data, "--output", tmp_path, "--every", 0], "every"),
        (["--data", data, "--output", tmp_path, "--every", 20], "5 folds"),
        (["--data", data, "--output", tmp_path, "--sets", "wcxb", "--leave-sets-out"], "two sets"),
        (["--data", data, "--output", data / "html" / "wcxb.warc.gz" / "x"], "can't be made"),
        (["--data", data, "--output", data / "html" / "wcxb.warc.gz" / "x.npz"], "can't be made"),
    ]
    (tmp_path / "folder.npz").mkdir()
    cases.append((["--data", data, "--output", tmp_path / "folder.npz"], "is a folder"))
    for words, message in cases:
        assert run(*words, "--quiet") == 2
        assert message in capsys.readouterr().err, words
    monkeypatch.setattr(command, "LIBRARIES", ("numpy", "no_such_library"))
    with pytest.raises(ConfigError, match=r"no_such_library: pip install 'gristmill\[train\]'"):
        command.train(data, tmp_path / "x.npz")
    assert not list(tmp_path.glob("*.npz/*"))


# ---------------------------------------------------------------- real pages


def test_labels_of_real_pages_reach_the_f1_that_blocks_allow(shared_data):
    """No single block more or less would raise a page's F1 by much, and the mean is near perfect."""
    pages = load(shared_data, ["wcxb"], every=60).pages
    found = examples(pages, list(range(len(pages))), [0] * len(pages))
    reached, left = [], []
    for example in found:
        counts = WordCounts.of(example)
        keep = example.labels == 1
        reached.append(counts.f1(keep))
        best = reached[-1]
        for b in range(len(keep)):
            keep[b] ^= True
            best = max(best, counts.f1(keep))
            keep[b] ^= True
        left.append(best - reached[-1])
    assert np.mean(reached) > 0.9 and np.mean(left) < 0.005 and max(left) < 0.05


def test_a_small_training_on_real_pages_beats_keeping_everything(shared_data, monkeypatch):
    for name in ("FIRST_TREES", "SECOND_TREES", "TYPE_ROUNDS"):
        monkeypatch.setattr(fit, name, 20)
    prepared = command.prepare(shared_data, sets=["wcxb", "trafilatura_segments"], silver=False, every=15)
    trainer = Trainer(prepared.examples, threads=1)
    model = trainer.model({0})
    held = [e for e in prepared.examples if e.fold == 0 and e.gold.set == "wcxb"]
    assert len(held) >= 12
    engine = Gristmill(EngineOptions(), model)
    found, everything = [], []
    for example in held:
        text = engine.extract(example.page.source.tobytes().decode(), example.gold.real_url).text
        found.append(word_f1(text, example.gold.text).f1)
        everything.append(word_f1("\n".join(example.texts), example.gold.text).f1)
    # keeping every block is the best that a constant judge can do
    assert np.mean(found) > 0.65 and np.mean(found) > np.mean(everything) + 0.1
