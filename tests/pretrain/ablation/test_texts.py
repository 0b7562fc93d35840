"""Held-out texts, copies of them in arms, gold answers as tokens."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pretrain.ablation.design import HeldOut
from pretrain.ablation.gold import GoldText, encode, prompt_of, read_gold
from pretrain.ablation.overlap import N, Overlap, probe_of
from pretrain.ablation.texts import as_documents, pieces, preset


def read(path):
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def test_pieces_lose_nothing_and_are_long_enough():
    text = "\n\n".join("word " * n for n in (10, 400, 3, 900, 20, 5))
    made = pieces(text, 1000)
    assert "\n\n".join(made) == text
    assert all(len(one) >= 1000 for one in made[:-1]) and len(made) == 3
    assert pieces("  \n\n ") == [] and pieces("one") == ["one"]


def test_plain_text_becomes_documents(tmp_path):
    (tmp_path / "book.txt").write_text("\n\n".join(f"{k} " + "x" * 3999 for k in range(3)))
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress(b"short \xff text"))
    one = HeldOut(name="book", inputs=(str(tmp_path / "book.txt"), str(tmp_path / "more.txt.gz"), "as-it-is.jsonl"))
    first, second, third = as_documents(one, tmp_path / "made")
    assert third == "as-it-is.jsonl"
    found = [row for path in (first, second) for row in read(path)]
    assert [row["text"][:2] for row in found] == ["0 ", "1 ", "2 ", "sh"] and len({row["id"] for row in found}) == 4
    with pytest.raises(ConfigError, match=r"absent.txt' can't be read"):
        as_documents(HeldOut(name="a", inputs=("absent.txt",)), tmp_path)


def test_preset_reads_each_source_in_its_own_form(tmp_path):
    data = tmp_path / "data"
    for folder in ("quality/nltk", "html/gold", "evals"):
        (data / folder).mkdir(parents=True)
    (data / "quality/wikitext2_valid.txt").write_text(
        " \n = One = \n \n text \n = = Part = = \n more \n = Two = \n end \n"
    )
    rows = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
    with gzip.open(data / "quality/dclm_human_agreement.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    with zipfile.ZipFile(data / "quality/nltk/brown.zip", "w") as archive:
        archive.writestr("brown/ca01", "\n\n\tThe/at jury/nn 1/2/cd ./.\n\n\n\tIt/pps ./.\n")
        archive.writestr("brown/README", "no text")
    (data / "evals/hf_sciq.jsonl.gz").write_bytes(b"")
    sets, benchmarks = preset(data, tmp_path / "made")
    texts = {name: [row["text"] for row in read(path)] for name, (path,) in sets.items()}
    assert texts == {
        "wikitext": ["= One = \n \n text \n = = Part = = \n more", "= Two = \n end"],
        "brown": ["The jury 1/2 .\n\nIt ."],
        "dclm": ["good"],
    }
    assert benchmarks == [str(data / "evals/hf_sciq.jsonl.gz")]
    with pytest.raises(ConfigError, match="none of the preset's sets"):
        preset(tmp_path / "nothing", tmp_path / "made")


def test_preset_of_the_real_data(shared_data, tmp_path):
    sets, benchmarks = preset(shared_data, tmp_path)
    counts = {name: len(read(path)) for name, (path,) in sets.items()}
    assert counts == {"wikitext": 60, "openstax": 724, "brown": 500, "web": 1414, "news": 124, "dclm": 152}
    assert len(benchmarks) == 4


def test_overlap_is_the_share_of_13_grams():
    draw = random.Random(3)
    words = [f"w{k}" for k in range(40)]
    held = [" ".join(draw.choices(words, k=draw.randint(1, 60))) for _ in range(40)] + ["", "Naïve  CAFÉ"]
    cut = " ".join(held[7].split()[:25])
    arm = [" ".join(draw.choices(words, k=30)) for _ in range(30)]
    arm += [held[3], f"before {cut} after", held[20].upper(), "naive, cafe!", ""]
    overlap = Overlap(probe_of(held))
    for chunk in itertools.batched(arm, 7) if hasattr(itertools, "batched") else [arm[:9], arm[9:]]:
        overlap.add(pa.chunked_array([pa.array(list(chunk), pa.large_string())]))

    def tokens(text):
        return tuple(text.lower().replace("ï", "i").replace("é", "e").replace(",", "").replace("!", "").split())

    grams = {t[i : i + N] for t in map(tokens, arm) for i in range(len(t) - N + 1)}
    whole = {tokens(one) for one in arm if one}
    want = []
    for text in map(tokens, held):
        mine = [text[i : i + N] for i in range(len(text) - N + 1)]
        want.append(sum(one in grams for one in mine) / len(mine) if mine else float(text in whole))
    assert overlap.shares() == pytest.approx(want)
    assert want[3] == want[20] == want[-1] == 1.0 and 0 < want[7] < 1 and want[-2] == 0.0
    assert overlap.documents == len(arm) and overlap.text_bytes == sum(len(one.encode()) for one in arm)
    assert len(Overlap(probe_of([])).shares()) == 0


def rows(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_gold_items_are_chosen_by_hash_and_answers_told_apart(tmp_path):
    quiz = [{"question": f"What is {k}?", "choices": ["no", f"it is {k}"], "answer": f"it is {k}"} for k in range(30)]
    path = rows(tmp_path / "quiz.jsonl", [*quiz, {"question": "Broken?"}])
    found = read_gold([f"quiz={path}"], 10, 0)
    assert len(found) == 10 and {one.benchmark for one in found} == {"quiz"}
    assert all(one.answer == f"it is {one.prompt.split()[3].rstrip('?')}" for one in found)
    assert [one.item for one in found] == [one.item for one in read_gold([f"quiz={path}"], 10, 0)]
    assert {one.item for one in found} != {one.item for one in read_gold([f"quiz={path}"], 10, 1)}
    assert read_gold([], 10, 0) == []
    row = {"passage": " A story. ", "question": "Why? "}
    assert prompt_of(row) == "A story.\nQuestion: Why?\nAnswer:"


def test_prompts_are_cut_and_answers_never(bpe):
    texts = [
        GoldText("a", "a/x/1", "Question: " + "the cat sat on " * 50 + "\nAnswer:", "thé cat"),
        GoldText("a", "a/x/2", "Question: who?\nAnswer:", "the cat sat on the mat " * 40),
        GoldText("b", "b/x/1", "Question: who?\nAnswer:", "the cat"),
    ]
    found = encode(texts, bpe, 32)
    assert {name: len(items) for name, items in found.items()} == {"a": 1, "b": 1}  # one answer is too long
    (cut,), (short,) = found["a"], found["b"]
    assert len(cut.prompt) + len(cut.answer) == 32 and cut.answer_bytes == len("thé cat".encode())
    assert bpe.decode(cut.answer) == " thé cat" and bpe.decode(cut.prompt).endswith("\nAnswer:")
    assert bpe.decode(short.prompt + short.answer) == "Question: who?\nAnswer: the cat"
    assert np.array(short.prompt).max() < bpe.vocab_size
