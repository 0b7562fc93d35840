"""Substring dedup against a plain dictionary of windows, planted repeats, hostile texts, order, restarts."""

from __future__ import annotations

import gzip
import io
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dedup.substring_blocks as substring_blocks
import dedup.substring_order as substring_order
import dedup.substring_windows as substring_windows
import dedup.substrings as substrings
from dedup.substring_windows import OPENING
from dedup.substrings import SubstringDedup
from filters.kernels import segments
from filters.kernels.columns import view
from pipeline.errors import ConfigError, SchemaError
from pipeline.progress import Progress
from pipeline.runner import InlineRunner, call
from pipeline.steps import Artefact, StepContext
from pipeline.store import StepFolder

Docs = list[tuple[str, str | None]]


def shard_files(folder: Path, shards: list[Docs]) -> Artefact:
    """Documents as (id, text); `number` counts down."""
    names, rows = [], 0
    folder.mkdir(parents=True, exist_ok=True)
    for index, shard in enumerate(shards):
        table = pa.table(
            {
                "id": pa.array([one[0] for one in shard], pa.string()),
                "text": pa.array([one[1] for one in shard], pa.large_string()),
                "number": pa.array([-rows - i for i in range(len(shard))], pa.int64()),
            }
        )
        names.append(f"in-{index}.parquet")
        pq.write_table(table, folder / names[-1])
        rows += len(shard)
    return Artefact("documents", folder, "x", tuple(names), rows)


def context_of(tmp: Path, artefact: Artefact) -> StepContext:
    folder = StepFolder(tmp / "out")
    folder.begin("f", {})
    progress = Progress(quiet=True, stream=io.StringIO())
    return StepContext("t", folder, {"documents": artefact}, InlineRunner(), progress)


def rows_of(tmp: Path, manifest: dict) -> tuple[list[dict], list[dict]]:
    tables = {
        kind: [pq.read_table(tmp / "out" / e["file"]) for e in manifest["files"] if e["file"].startswith(kind)]
        for kind in ("kept", "dropped")
    }
    kept, dropped = ([row for table in tables[kind] for row in table.to_pylist()] for kind in ("kept", "dropped"))
    return kept, dropped


def run(tmp: Path, shards: list[Docs], **options) -> tuple[list[dict], list[dict], dict]:
    step = SubstringDedup(**{"keep": (), **options})
    step.check()
    artefact = shard_files(tmp / "in", shards)
    manifest = step.run(context_of(tmp, artefact))
    kept, dropped = rows_of(tmp, manifest)
    count = manifest["counts"][0] if manifest["counts"] else {"n_in": 0, "n_kept": 0, "dropped": {}}
    assert count["n_in"] == sum(map(len, shards)) == len(kept) + len(dropped)
    assert (count["n_kept"], sum(count["dropped"].values())) == (len(kept), len(dropped))
    assert manifest["rows"] == len(kept)
    return kept, dropped, manifest


def tokens_of(text: str, unit: str) -> list[tuple[bytes, int, int, Fraction]]:
    """(bytes, start, end, weight in words) of each token, in plain Python but for the words themselves."""
    raw = text.encode()
    if unit == "bytes":
        return [(raw[i : i + 1], i, i + 1, Fraction(1)) for i in range(len(raw))]
    if unit == "characters":
        out, at = [], 0
        for char in text:
            one = char.encode()
            out.append((one, at, at + len(one), Fraction(1)))
            at += len(one)
        return out
    spans = segments.words(view(pa.array([text], pa.large_string())))
    per_word = {segments.MARKS: Fraction(0), segments.WORD: Fraction(1), segments.NUMBER: Fraction(1)}
    for i, characters in enumerate(("1.8", "1.6", "4", "4", "4", "4")):
        per_word[segments.CHARACTER + i] = 1 / Fraction(characters)
    places = zip(spans.starts.tolist(), spans.ends.tolist(), spans.kinds.tolist(), strict=True)
    return [(raw[a:b], a, b, per_word[kind]) for a, b, kind in places]


def oracle(docs: Docs, unit: str, least: int, keep_one: bool = True, max_count: int = 1) -> dict[str, set[int]]:
    """Numbers of the tokens that go, by id: every window of every document in a dictionary, documents sorted by id."""
    places = defaultdict(list)
    for name, text in sorted(docs):
        tokens = tokens_of(text or "", unit)
        weight, j = Fraction(0), 0
        for i, (first, start, _, own) in enumerate(tokens):
            while j < len(tokens) and weight < least:
                weight += tokens[j][3]
                j += 1
            attached = i > 0 and start == tokens[i - 1][2]
            if weight >= least and (own or not attached or first.decode() in OPENING):
                places[tuple(one[0] for one in tokens[i:j])].append((name, i, j))
                tail = j
                while tail < min(j + 4, len(tokens)) and not tokens[tail][3] and tokens[tail][1] == tokens[tail - 1][2]:
                    tail += 1
                    places["tail", *(one[0] for one in tokens[i:tail])].append((name, i, tail))
            weight -= own
    gone = defaultdict(set)
    for windows in places.values():
        if len(windows) > max_count:
            first = windows[0] if keep_one else ("", 0, 0)
            stays = set(range(first[1], first[2]))
            for name, i, j in windows[1:] if keep_one else windows:
                gone[name] |= set(range(i, j)) - (stays if name == first[0] else set())
    return {name: tokens for name, tokens in gone.items() if tokens}


def marked(rows: list[dict], unit: str) -> dict[str, set[int]]:
    """Numbers of the tokens that lie in marked spans, by id."""
    out = {}
    for row in rows:
        spans = [(one["start"], one["end"]) for one in row["repeated_spans"]]
        assert spans == sorted(spans) and all(a < b for a, b in spans)
        tokens = tokens_of(row["text"] or "", unit)
        inside = {i for i, (_, a, b, _) in enumerate(tokens) if any(x <= a and b <= y for x, y in spans)}
        if inside:
            out[row["id"]] = inside
    return out


def without(text: str, spans: list[dict]) -> str:
    raw = text.encode()
    for one in sorted(spans, key=lambda one: -one["start"]):
        raw = raw[: one["start"]] + raw[one["end"] :]
    return raw.decode()


WORDS = [
    "a",
    "b",
    "a ",
    "b\n",
    " c ",
    "(",
    "-",
    "。",
    "「",
    "«",
    "中",
    "文",
    "の",
    "ก",
    "é",
    "e\u0301",
    "\0",
    "\u3000",
    "1",
    "ア",
    "🙂",
]


def documents(words: list[str], size: int) -> st.SearchStrategy:
    """Shards of documents made of a few phrases, so that repeats are many."""
    phrase = st.lists(st.sampled_from(words), min_size=1, max_size=8).map("".join)
    text = st.lists(phrase, max_size=size).map("".join)
    phrases = st.lists(phrase, min_size=1, max_size=3)
    mixed = phrases.flatmap(lambda some: st.lists(st.one_of(st.sampled_from(some), phrase), max_size=size).map("".join))
    return st.lists(st.lists(st.one_of(text, mixed, st.none()), max_size=4), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.one_of(documents(WORDS, 8), documents(["a ", "b "], 30), documents(["中", "文", "の", "。"], 20)),
    unit=st.sampled_from(["words", "characters", "bytes"]),
    least=st.sampled_from([2, 3, 5, 9]),
    keep_one=st.booleans(),
    max_count=st.sampled_from([1, 1, 2, 3]),
    small=st.booleans(),
)
def test_against_a_dictionary_of_windows(tmp_path_factory, texts, unit, least, keep_one, max_count, small):
    number, shards = 0, []
    for shard in texts:
        shards.append([])
        for text in shard:
            shards[-1].append((f"{number * 7919 % 1000:03d}", text))
            number += 1
    options = {"unit": unit, "min_tokens": least, "keep_one": keep_one, "max_count": max_count, "action": "mark"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.store.os.fsync", lambda handle: None)  # many small files
        if small:
            bounded(patch)
        kept, dropped, _ = run(tmp_path_factory.mktemp("sub"), shards, **options)
    assert not dropped
    whole = oracle([one for shard in shards for one in shard], unit, least, keep_one, max_count)
    if unit == "words":
        assert marked(kept, unit) == whole
        return
    for row in kept:  # spans end where words do, and hold what repeats of whole words
        tokens = tokens_of(row["text"] or "", unit)
        gone = {i for n in whole.get(row["id"], ()) for i in range(tokens[n][1], tokens[n][2])}
        covered = {i for one in row["repeated_spans"] for i in range(one["start"], one["end"])}
        words = [set(range(a, b)) for _, a, b, _ in tokens_of(row["text"] or "", "words")]
        assert covered <= gone
        assert all(word <= covered or not word & covered for word in words)
        assert all(word <= covered for word in words if word <= gone)


def bounded(patch: pytest.MonkeyPatch) -> None:
    """Pieces, blocks, partitions and ranges of next to nothing."""
    patch.setattr(substring_windows, "PIECE_BYTES", 20)
    patch.setattr(substring_blocks, "BLOCK_TOKENS", 12)
    patch.setattr(substring_order, "ROWS_PER_RANGE", 2)
    patch.setattr(substring_order, "SAMPLE_PER_RANGE", 2)
    patch.setattr(substrings, "ANCHORS_PER_PARTITION", 7)
    patch.setattr(substrings, "CLASSES_PER_PARTITION", 5)


def numbered(first: int, count: int) -> str:
    """Words that are nowhere else."""
    return " ".join(f"w{i}" for i in range(first, first + count))


@pytest.mark.parametrize("length", [49, 50, 51])
@pytest.mark.parametrize("apart", ["shards", "documents", "one document"])
def test_fifty_words_and_no_fewer(tmp_path, length, apart):
    span = numbered(0, length)
    one, two = f"{numbered(1000, 30)} {span} {numbered(2000, 30)}", f"{numbered(3000, 7)}\n{span}\n{numbered(4000, 7)}"
    shards = {
        "shards": [[("1", one)], [("2", two)]],
        "documents": [[("1", one), ("2", two)]],
        "one document": [[("1", f"{one} {two}")]],
    }[apart]
    kept, _, _ = run(tmp_path, shards)
    left = " ".join(" ".join(row["text"].split()) for row in kept)
    if length < 50:
        assert left == f"{one} {two}".replace("\n", " ")
    else:
        assert left == f"{one} {numbered(3000, 7)} {numbered(4000, 7)}"
        spans = [one for row in kept for one in row["cut_spans"]]
        assert len(spans) == 1 and spans[0]["editor"] == "substring_dedup" and spans[0]["kind"] == "repeat"


def test_a_text_that_repeats_itself_keeps_its_first_window(tmp_path):
    kept, _, _ = run(tmp_path, [[("1", "ha " * 5000), ("2", "x. " + "one two three, " * 400)]])
    assert [row["text"].split() for row in kept] == [["ha"] * 50, ["x.", *("one two three, " * 17).split()[:50]]]


def test_the_policy_says_which_is_kept(tmp_path):
    span = numbered(0, 60)
    shards = [[("b", f"{numbered(100, 6)} {span}")], [("a", f"{span} {numbered(200, 9)}")]]
    texts = {}
    for name, keep in (("by id", ()), ("by number", ("-number",)), ("shortest", ("text.bytes",))):
        kept, _, _ = run(tmp_path / name, shards, keep=keep)
        texts[name] = {row["id"]: span in row["text"] for row in kept}
    assert texts["by id"] == {"a": True, "b": False}
    assert texts["by number"] == {"a": False, "b": True}
    assert texts["shortest"] == {"a": False, "b": True}


def test_order_of_files_rows_and_sizes_change_nothing(tmp_path, monkeypatch):
    docs = [(f"{i:02d}", f"{numbered(i * 37 % 90, 70)} {numbered(1000 + i * 100, 20)}") for i in range(12)]
    results = []
    for name, shards in (
        ("one", [docs]),
        ("turned", [docs[::-1]]),
        ("many", [[doc] for doc in docs[5:] + docs[:5]]),
        ("small", [docs[:3], docs[3:]]),
    ):
        if name == "small":
            bounded(monkeypatch)
        kept, dropped, _ = run(tmp_path / name, shards)
        results.append(
            sorted([(r["id"], r["text"], str(r["cut_spans"])) for r in kept] + [(r["id"], "gone") for r in dropped])
        )
    assert results[0] == results[1] == results[2] == results[3]
    assert any(one[2] != "[]" for one in results[0] if len(one) == 3)


class Threads(InlineRunner):
    """Runs the last task first and four at once."""

    workers = 4

    def map(self, function, tasks, *, on_result, **more):
        with ThreadPoolExecutor(4) as pool:
            calls = [(task, pool.submit(call, function, task.payload)) for task in reversed(tasks)]
            for task, result in calls:
                on_result(task, result.result())


def test_workers_and_their_order_change_no_byte(tmp_path, monkeypatch):
    bounded(monkeypatch)
    docs = [(f"{i:02d}", f"{numbered(i * 37 % 90, 70)} {numbered(1000 + i * 100, 20)}") for i in range(9)]
    artefact = shard_files(tmp_path / "in", [docs[:2], docs[2:3], [], docs[3:]])
    manifests = []
    for name, runner in (("one", InlineRunner()), ("four", Threads())):
        context = context_of(tmp_path / name, artefact)
        context.runner = runner
        manifests.append(SubstringDedup(keep=()).run(context))
    assert manifests[0] == manifests[1]
    assert all("blake2b" in one for one in manifests[0]["files"]) and manifests[0]["repeats"]["spans"] > 5


def test_a_run_that_was_killed_goes_on(tmp_path, monkeypatch):
    docs = [[(f"{i}", f"{numbered(0, 60)} {numbered(1000 * i, 60)}")] for i in range(1, 4)]
    artefact = shard_files(tmp_path / "in", docs)
    step = SubstringDedup(keep=())
    whole = step.run(context_of(tmp_path / "whole", artefact))
    calls = []
    true = substrings.map_classes

    def fails(task):
        calls.append(task.index)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(task)

    monkeypatch.setattr(substrings, "map_classes", fails)
    with pytest.raises(KeyboardInterrupt):
        step.run(context_of(tmp_path / "killed", artefact))
    resumed = step.run(context_of(tmp_path / "killed", artefact))
    assert calls == [0, 1, 1, 2]
    assert resumed == whole
    assert not (tmp_path / "killed" / "out" / "anchors").exists()


def test_white_space_beside_a_cut(tmp_path):
    span = numbered(0, 50)
    texts = {
        "1": span,
        "2": f"one two three four five {span} six",
        "3": f"uno due tre quattro cinque\n\n{span} sei",
        "4": f"a b c d e {span}\n  f",
        "5": f"v w x y z\n{span}\n",
        "6": f"{span}\nein zwei drei vier fünf",
        "7": f"日本語で書かれたもの{span}である",
    }
    kept, dropped, _ = run(tmp_path, [list(texts.items())])
    assert not dropped
    assert {row["id"]: row["text"] for row in kept} == {
        "1": span,
        "2": "one two three four five six",
        "3": "uno due tre quattro cinque\n\nsei",
        "4": "a b c d e\n  f",
        "5": "v w x y z\n",
        "6": "ein zwei drei vier fünf",
        "7": "日本語で書かれたものである",
    }
    assert all(without(texts[row["id"]], row["cut_spans"]) == row["text"] for row in kept)


@pytest.mark.parametrize(
    ("extend", "left"),
    [
        ("words", "First one.\nHere is and over. Last one."),
        ("sentences", "First one.\nLast one."),
        ("lines", "First one."),
    ],
)
def test_a_cut_may_take_whole_sentences_or_lines(tmp_path, extend, left):
    span = numbered(0, 50)
    shards = [[("1", span), ("2", f"First one.\nHere is {span} and over. Last one.")]]
    kept, _, _ = run(tmp_path, shards, extend=extend, min_words=1)
    assert kept[1]["text"] == left


@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_no_half_words_or_characters_are_left(tmp_path, unit):
    span = "".join(f"größe{i} " for i in range(40))
    shards = [
        [("1", f"uno dos tres cuatro cinco seis{span}siete"), ("2", f"another one and two and three fourxis{span}tail")]
    ]
    kept, _, _ = run(tmp_path, shards, unit=unit)
    assert [row["text"] for row in kept][0] == shards[0][0][1]
    assert kept[1]["text"].startswith("another one and two and three fourxisgröße0") and kept[1]["text"].endswith(
        "tail"
    )
    assert "größe20" not in kept[1]["text"]


def test_what_is_left_of_a_document(tmp_path):
    span = numbered(0, 60)
    shards = [[("1", span), ("2", span), ("3", f"{span} four words are left"), ("4", f"{span} but here five are left"),
               ("5", "few words"), ("6", ""), ("7", None)]]  # fmt: skip
    kept, dropped, manifest = run(tmp_path, shards)
    assert [row["id"] for row in kept] == ["1", "4", "5", "6", "7"]
    assert {row["id"]: (row["drop_reason"], row["text"]) for row in dropped} == {
        "2": ("empty", span), "3": ("too_short", f"{span} four words are left"),
    }  # fmt: skip
    assert all(row["drop_filter"] == "substring_dedup" and row["cut_spans"] for row in dropped)
    assert manifest["repeats"]["documents"] == 3


def test_all_above_a_count(tmp_path):
    texts = [f"{numbered(0, 50)} {numbered(1000 * i, 9)}" for i in range(1, 4)]
    shards = [[(str(i), text)] for i, text in enumerate(texts)]
    kept, _, _ = run(tmp_path / "three", shards, keep_one=False, max_count=3)
    assert [row["text"] for row in kept] == texts
    kept, _, _ = run(tmp_path / "two", shards, keep_one=False, max_count=2)
    assert [row["text"] for row in kept] == [numbered(1000 * i, 9) for i in range(1, 4)]


def test_spans_that_were_cut_before_stay(tmp_path):
    artefact = shard_files(tmp_path / "in", [[("1", numbered(0, 60)), ("2", f"{numbered(0, 60)} a b c d e")]])
    step = SubstringDedup(keep=(), min_words=0)
    first = step.run(context_of(tmp_path / "first", artefact))
    again = Artefact("documents", tmp_path / "first" / "out", "y", tuple(first["artefact"]), 2)
    table = pq.read_table(again.path / again.files[0])
    table = table.set_column(1, "text", pa.array([f"{numbered(0, 60)}", f"{numbered(0, 60)} x"], pa.large_string()))
    pq.write_table(table, tmp_path / "in" / "in-0.parquet")
    step.run(context_of(tmp_path / "second", artefact))
    rows = pq.read_table(tmp_path / "second" / "out" / "kept" / "00000.parquet").to_pylist()
    assert [len(row["cut_spans"]) for row in rows] == [0, 2]


HOSTILE = {
    "nothing": "",
    "letters": "a" * 200_000,
    "lines of a letter": "x\n" * 100_000,
    "one long line": "word and " * 100_000,
    "nuls": "\0" * 100_000,
    "marks": "---| " * 50_000,
    "marks between words": ("word " * 30 + "- " * 60_000) * 2,
    "lone combining marks": "\u0301" * 50_000,
    "right to left": "שלום עולם " * 20_000,
    "emoji": "👩\u200d👩\u200d👧 " * 20_000,
    "han": "中" * 60_000,
}


@pytest.mark.parametrize("unit", ["words", "bytes"])
def test_hostile_texts_in_linear_time(tmp_path, unit):
    shards = [[(f"{name} {i}", text) for name, text in HOSTILE.items()] for i in range(2)]
    kept, dropped, manifest = run(tmp_path, shards, unit=unit, min_words=0)
    texts = {row["id"]: row["text"] for row in kept}
    assert texts["nothing 1"] == ""
    assert len(texts["one long line 0"].split()) == 50 if unit == "words" else 45 < len(texts["one long line 0"]) < 55
    assert "han 1" in {row["id"] for row in dropped}
    if unit == "words":
        assert len(texts["han 0"]) == 90
        assert texts["marks 1"] == HOSTILE["marks"]


def test_one_line_everywhere_costs_a_record_a_block(tmp_path, monkeypatch):
    line = numbered(0, 55)
    shards = [[(f"{s}-{i:04d}", f"{numbered(10_000 * s + 9 * i, 9)}\n{line}") for i in range(500)] for s in range(1, 3)]
    records = []
    true = substrings._write_classes

    def counted(task, block, made, ranks):
        records.append(len(made.firsts))
        return true(task, block, made, ranks)

    monkeypatch.setattr(substrings, "_write_classes", counted)
    kept, _, _ = run(tmp_path, shards)
    assert sum(line in row["text"] for row in kept) == 1 and len(kept) == 1000
    assert sum(records) < 2 * 500 * 30


def test_chinese_and_japanese_count_as_words_do(tmp_path):
    han = "".join(chr(0x4E00 + 7 * i) for i in range(89))
    texts = {
        "1": f"{han}前。",
        "2": f"後{han}中",
        "3": f"{han}前の",
        "4": "我们在这里。" + han[:60],
        "5": f"これは、{han}前。これ",
        "6": f"後中前、後中前，後中前{han}前。後中前。",
    }
    kept, dropped, _ = run(tmp_path, [list(texts.items())], min_words=1)
    assert {row["id"]: row["text"] for row in kept} == {
        **{name: texts[name] for name in "124"},
        "5": "これは、これ",
        "6": "後中前、後中前，後中前後中前。",  # no mark is near: cut between characters
    }
    assert [row["id"] for row in dropped] == ["3"]


def test_a_cut_in_a_script_without_spaces_begins_and_ends_at_a_mark(tmp_path):
    clauses = [f"{chr(0x4E00 + 50 * i)}{chr(0x5000 + 31 * i)}文章段落内容，" for i in range(20)]
    text = "".join(clauses)
    shards = [[("1", text), ("2", f"另外一句話前面的{text[3:-4]}不同結尾在這裡。")]]
    kept, _, _ = run(tmp_path, shards, min_words=1)
    assert kept[1]["text"] == f"另外一句話前面的{clauses[0][3:]}{clauses[-1][:-4]}不同結尾在這裡。"


def real_texts(shared_data: Path) -> Docs:
    """Chinese news, as people extracted it, and Japanese sentences, twenty a document; each Chinese page once."""
    with gzip.open(shared_data / "html" / "gold" / "daniel_waddle.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pages = dict.fromkeys(row["text"] for row in rows if row["lang"] == "Chinese")
    with gzip.open(shared_data / "lid" / "lingua_sentences75.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    sentences = [row["text"] for row in rows if row["lang"] == "ja"]
    joined = ["".join(sentences[i : i + 20]) for i in range(0, len(sentences), 20)]
    return [(f"{i:04d}", text) for i, text in enumerate([*list(pages)[:60], *joined])]


def test_real_chinese_and_japanese_lose_only_what_repeats(tmp_path, shared_data):
    docs = real_texts(shared_data)
    kept, _, _ = run(tmp_path / "marked", [docs[::2], docs[1::2]], action="mark")
    whole = oracle(docs, "words", 50)
    assert marked(kept, "words") == whole
    kept, dropped, _ = run(tmp_path / "cut", [docs[::2], docs[1::2]], min_words=0)
    texts = dict(docs)
    unchanged = [row["id"] for row in kept if row["text"] == texts[row["id"]]]
    assert set(unchanged) >= set(texts) - set(whole)
    assert len(unchanged) > 0.8 * len(docs)
    chinese, japanese = texts["0000"][:300], texts[f"{len(docs) - 1:04d}"][:300]
    quoting = [*docs, ("9999", f"{texts['0001'][:40]}\n{chinese}\n{japanese}\n")]
    kept, _, _ = run(tmp_path / "planted", [quoting], min_words=0)
    quoted = next(row for row in kept if row["id"] == "9999")
    assert quoted["text"].startswith(texts["0001"][:40]) and len(quoted["text"]) < 40 + 2 * 31


def test_errors():
    for options, message in (
        ({"unit": "word"}, "did you mean 'words'"),
        ({"action": "delete"}, "cut, mark"),
        ({"extend": "line"}, "did you mean 'lines'"),
        ({"min_tokens": 1}, "from 2 on"),
        ({"max_count": 0}, "from 1 on"),
        ({"min_words": True}, "from 0 on"),
        ({"keep_one": "no"}, "true or false"),
        ({"keep": ("no column!",)}, "is no key"),
    ):
        with pytest.raises(ConfigError, match=message):
            SubstringDedup(**options).check()
    with pytest.raises(SchemaError, match="text"):
        SubstringDedup(keep=()).columns({"id"})
    with pytest.raises(SchemaError, match="quality"):
        SubstringDedup(keep=("-quality",)).columns({"id", "text", "record"})
    assert SubstringDedup(keep=()).columns({"id", "text"}) == {"id", "text", "cut_spans"}
    assert SubstringDedup(keep=(), action="mark").columns({"id", "text"}) == {"id", "text", "repeated_spans"}
