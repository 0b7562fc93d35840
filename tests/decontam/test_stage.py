"""The stage: decisions against a plain search, cuts against plain code, acts against the documents themselves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from decontam.acts import files_of, read_acts
from decontam.methods.gpt3 import fragments
from decontam.stage import Decontaminate
from pipeline.errors import ConfigError, SchemaError
from pipeline.recipe import build, override, read_recipe
from pipeline.runner import RayRunner
from pipeline.sample.pages import read_pages
from pipeline.stage import make, split
from tests.decontam.stage_tools import FILLER, QUIZ, documents, holds, page, words, write_benchmark
from tests.runs import digests, run_recipe

SAMPLE = Path(__file__).parents[2] / "pipeline" / "sample"
TEXTS = [
    page(3, 1, 3),
    FILLER * 5,
    page(2, 2, 2, noise=True),
    page(4, 3, 0) + " " + page(2, 1, 3),
    "",
    "The museum of tides has a copper kettle that whistles. " + FILLER,
    QUIZ["quiz/all/2"][0],
    page(3, 3, 3).replace("semitone", "sem\0itone"),
]


@pytest.fixture
def quiz(tmp_path: Path, index_cache: Path) -> str:
    return str(write_benchmark(tmp_path / "quiz.jsonl"))


def stage(quiz: str, **options) -> Decontaminate:
    made = make("decontaminate", {"benchmarks": [quiz], **options})
    assert isinstance(made, Decontaminate)
    return made


def found(table: pa.Table) -> list[list[tuple[str, str]]]:
    return [[(one["item"], one["verdict"]) for one in row] for row in table["decontam"].to_pylist()]


def test_documents_with_a_question_are_dropped_and_no_others(quiz):
    made = stage(quiz)(documents(TEXTS))
    holding = [any(holds(text, q) for q, _ in QUIZ.values()) for text in TEXTS]
    assert holding == [True, False, True, True, False, False, True, False]
    reasons = made["drop_reason"].to_pylist()
    assert [reason is not None for reason in reasons[:7]] == holding[:7]
    assert {reason for reason in reasons if reason} == {"quiz"}
    for text, items in zip(TEXTS[:7], found(made), strict=False):
        assert {item for item, verdict in items if verdict == "dirty"} == {
            item for item, (question, _) in QUIZ.items() if holds(text, question)
        }
    assert made["text"].to_pylist() == TEXTS


def test_annotated_documents_stay_and_say_where(quiz):
    made = stage(quiz, action="annotate")(documents(TEXTS))
    assert made["drop_reason"].null_count == made.num_rows
    for text, row in zip(TEXTS, made["decontam"].to_pylist(), strict=True):
        for one in row:
            if one["score"] == 1:
                assert words(text.encode()[one["start"] : one["end"]].decode()) == words(QUIZ[one["item"]][0])
            assert (one["method"], one["part"]) == ("coverage", "question")
    assert sum(map(len, made["decontam"].to_pylist())) >= 5


def test_what_is_only_suspect_is_acted_upon_if_asked_for(quiz):
    half = QUIZ["quiz/all/1"][0].rsplit(" ", 5)[0]  # without the question's end
    docs = documents([f"{FILLER} {half}. {FILLER}"])
    assert found(stage(quiz)(docs)) == [[("quiz/all/1", "suspect")]]
    assert stage(quiz)(docs)["drop_reason"].to_pylist() == [None]
    assert stage(quiz, on="suspect")(docs)["drop_reason"].to_pylist() == ["quiz"]
    assert stage(quiz, on="suspect", action="annotate")(docs)["drop_reason"].to_pylist() == [None]


def test_the_reason_is_the_benchmark_of_the_surest_item(quiz, tmp_path):
    other = {"riddles/all/1": ("What has nine legs and a brass handle but never opens the gate at the old abbey?", "x")}
    riddles = str(write_benchmark(tmp_path / "riddles.jsonl", other))
    edited = QUIZ["quiz/all/1"][0].replace("nine", "five").replace("green", "black")
    docs = documents([f"{FILLER} {edited} {FILLER} {other['riddles/all/1'][0]}"])
    made = make("decontaminate", {"benchmarks": [quiz, riddles]})(docs)
    scores = {one["item"]: one["score"] for one in made["decontam"].to_pylist()[0]}
    assert scores["riddles/all/1"] == 1 > scores["quiz/all/1"] > 0.75
    assert made["drop_reason"].to_pylist() == ["riddles"]


def spans_of(text: str) -> list[tuple[int, int]]:
    """Bytes of the questions that stand in a text as they are."""
    raw = text.encode()
    places = []
    for question, _ in QUIZ.values():
        at = raw.find(question.rstrip("?.").encode())
        if at >= 0:
            places.append((at, at + len(question.rstrip("?.").encode())))
    return places


@pytest.mark.parametrize(("context", "min_fragment", "max_fragments"), [(200, 200, 10), (0, 0, 2), (30, 500, None)])
def test_cuts_are_gpt3s(quiz, context, min_fragment, max_fragments):
    texts = [page(3, 1, 3), page(4, 3, 3) + " " + page(2, 1, 3), FILLER, page(0, 2, 0), "é" * 199 + " " + page(0, 1, 2)]
    options = {"context": context, "min_fragment": min_fragment, "max_fragments": max_fragments}
    for way in ("join", "split"):
        made = stage(quiz, action="cut", fragments=way, **options)(documents(texts))
        rows = made.to_pylist()
        for number, text in enumerate(texts):
            own = [row for row in rows if row["id"].split("#")[0] == f"doc{number}"]
            left = fragments(text, spans_of(text), context, max(min_fragment, 1), max_fragments or 10**9)
            pieces = [text.encode()[a:b].decode() for a, b in left]
            if not left:
                assert len(own) == 1 and own[0]["text"] == text and own[0]["drop_reason"]
                continue
            assert {row["drop_reason"] for row in own} == {None}
            if way == "join" or len(pieces) == 1:
                assert [(row["id"], row["text"]) for row in own] == [(f"doc{number}", "\n\n".join(pieces))]
            else:
                assert [(row["id"], row["text"]) for row in own] == [
                    (f"doc{number}#{k}", piece) for k, piece in enumerate(pieces)
                ]
            taken = sorted((s["start"], s["end"]) for row in own for s in row["cut_spans"])
            whole = sorted([*left, *taken])
            assert "".join(text.encode()[a:b].decode() for a, b in whole) == text  # each span in one row, none missing
            assert {s["kind"] for row in own for s in row["cut_spans"]} <= {"quiz", "min_fragment"}
            assert {row["url"] for row in own} == {f"https://site{number}.example/"}


def test_why_a_cut_document_goes(quiz):
    short = documents([page(0, 2, 0), " ".join(page(2, 1 + k % 3, 2) for k in range(3))])
    assert stage(quiz, action="cut")(short)["drop_reason"].to_pylist() == ["min_fragment", None]
    made = stage(quiz, action="cut", max_fragments=3)(short)
    assert made["drop_reason"].to_pylist() == ["min_fragment", "max_fragments"]
    assert made["text"].to_pylist() == short["text"].to_pylist()
    assert len(made["cut_spans"].to_pylist()[1]) == 3  # one sees why it went


def test_spans_stand_behind_those_of_earlier_editors(quiz):
    before = [{"editor": "pii", "start": 0, "end": 3, "kind": "email"}]
    docs = documents([page(3, 1, 3), FILLER])
    docs = docs.append_column(
        "cut_spans", pa.array([before, before], stage(quiz, action="cut")(docs).schema.field("cut_spans").type)
    )
    spans = stage(quiz, action="cut")(docs)["cut_spans"].to_pylist()
    assert [one["editor"] for one in spans[0]] == ["pii", "decontaminate"]
    assert spans[1] == before


def test_another_decision_needs_no_scan(quiz, monkeypatch):
    noted = stage(quiz, action="annotate")(documents(TEXTS)).drop_columns(["drop_reason"])

    def no_scan(self, docs):
        raise AssertionError("scanned again")

    fresh = {action: stage(quiz, action=action)(documents(TEXTS)) for action in ("drop", "cut")}
    monkeypatch.setattr(Decontaminate, "score", no_scan)
    for action in ("drop", "cut"):
        again = stage(quiz, action=action)(noted)
        assert again.select(fresh[action].column_names).to_pylist() == fresh[action].to_pylist()
    with pytest.raises(AssertionError, match="scanned again"):
        stage(quiz, methods=["exact"])(noted)
    with pytest.raises(AssertionError, match="scanned again"):
        stage(quiz, max_items=3)(noted)


def test_what_was_cut_is_not_taken_over(quiz):
    """The places are those of the text before the cut: a second pass over the new text looks for itself."""
    cut = stage(quiz, action="cut")(documents(TEXTS)).drop_columns(["drop_reason"])
    assert not stage(quiz).has_score(cut)
    again = stage(quiz)(cut.slice(0, 1))
    assert found(again) == [[]] and again["drop_reason"].to_pylist() == [None]


def test_several_methods_judge_each_for_itself(quiz):
    made = stage(quiz, methods=["gpt3_13gram", {"exact": {"alone": 99}}])(documents([page(2, 1, 2)]))
    assert [(one["method"], one["verdict"]) for one in made["decontam"].to_pylist()[0]] == [
        ("exact", "suspect"), ("gpt3_13gram", "dirty"),
    ]  # fmt: skip


def test_hostile_texts(quiz):
    line = "x" * 10_000_000
    letters = "a\n" * 200_000
    texts = [None, "", "\0" * 1000, line, line + " " + QUIZ["quiz/all/1"][0], letters, "\u200f\u0301" * 50, "😀" * 300]
    for action in ("annotate", "drop", "cut"):
        made = stage(quiz, action=action)(documents(texts))
        assert [bool(row) for row in made["decontam"].to_pylist()] == [i == 4 for i in range(len(texts))]
    assert made["text"].to_pylist()[4] == line[:-199]  # the space before the question is one of the 200 characters
    empty = documents([])
    for action in ("annotate", "drop", "cut"):
        out = stage(quiz, action=action)(empty)
        assert out.num_rows == 0 and out.schema.field("decontam").type == made.schema.field("decontam").type


def test_slices_and_chunks_are_as_the_whole(quiz):
    docs = documents(TEXTS)
    whole = stage(quiz, action="cut")(docs)
    chunked = pa.concat_tables([docs.slice(0, 3), docs.slice(3, 0), docs.slice(3)])
    assert stage(quiz, action="cut")(chunked).to_pylist() == whole.to_pylist()
    kept, dropped = split(stage(quiz)(docs.slice(2, 2)), stage(quiz))
    assert (kept.num_rows, dropped["id"].to_pylist()) == (0, ["doc2", "doc3"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmarks": []}, "name the benchmarks, e.g. `benchmarks: \\[evals/\\]`"),
        ({"benchmarks": ["nowhere.jsonl"]}, "'nowhere.jsonl' is neither a file, a folder nor a name"),
        ({"methods": ["coverag"]}, "unknown method 'coverag' .did you mean 'coverage'"),
        ({"methods": [{"coverage": {"dirt": 1}}]}, "coverage has no option 'dirt'"),
        ({"methods": [{"coverage": {"dirty": "much"}}]}, "method coverage: dirty must be a number"),
        ({"methods": []}, "methods must name one or several"),
        ({"action": "delete"}, "action must be one of annotate, drop, cut"),
        ({"on": "dirt"}, "on must be one of dirty, suspect, not 'dirt'"),
        ({"fragments": "splt"}, "did you mean 'split'"),
        ({"context": -1}, "context must be at least 0"),
        ({"max_fragments": 0}, "max_fragments must be at least 1"),
        ({"min_share": 2.0}, "min_share is 2.0"),
        ({"only": ["gsm8"]}, "only 'gsm8': no benchmark is called so"),
        ({"registry": ["none.yaml"]}, "registry 'none.yaml'"),
        ({"background": ["none.jsonl"]}, "none.jsonl"),
    ],
)
def test_options_that_can_not_work(quiz, options, message):
    with pytest.raises(ConfigError, match=message):
        make("decontaminate", {"benchmarks": [quiz], **options})


def test_an_item_that_can_not_be_used_is_told_before_the_run(quiz):
    Path(quiz).write_text(Path(quiz).read_text() + '{"query": "?"}\n')
    with pytest.raises(ConfigError, match="quiz.jsonl, line 4: quiz: no question"):
        stage(quiz)
    assert stage(quiz, on_error="skip")(documents(TEXTS))["drop_reason"].null_count == 3


def test_the_fingerprint_goes_by_the_content_of_benchmarks(quiz, tmp_path):
    before = stage(quiz)
    old = before.fingerprint()
    scored = before(documents(TEXTS)).drop_columns(["drop_reason"])
    assert stage(quiz).has_score(scored)
    twin = tmp_path / "copy" / tmp_path.name / "quiz.jsonl"
    twin.parent.mkdir(parents=True)
    twin.write_bytes(Path(quiz).read_bytes())
    assert stage(str(twin)).fingerprint() == old
    Path(quiz).write_text(Path(quiz).read_text().replace("1911", "1912"))
    assert before.fingerprint() == stage(quiz).fingerprint() != old
    assert not stage(quiz).has_score(scored)


def test_the_sample_is_a_benchmark_by_name(index_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make("decontaminate", {"benchmarks": ["sample"]})
    question = json.loads((SAMPLE / "benchmark.jsonl").read_text().splitlines()[3])
    assert found(made(documents([question["question"]]))) == [[("gristmill_sample/test/4", "dirty")]]


def test_a_table_without_texts_is_an_error(quiz):
    with pytest.raises(SchemaError, match="'decontaminate' reads"):
        stage(quiz)(documents(TEXTS).drop_columns(["text"]))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_takes_benchmarks():
    command = ["make", "-n", "crawl-to-shards", "BENCH=evals/ quiz.jsonl"]
    said = subprocess.run(command, cwd=SAMPLE.parents[1], capture_output=True, text=True, check=True).stdout
    settings = re.search(r"--set '(decontaminate[^']*)'", said)
    assert settings
    plain = override(read_recipe("crawl-to-shards"), [settings[1]])
    own = next(step["decontaminate"] for step in plain["steps"] if "decontaminate" in step)
    assert own["benchmarks"] == ["evals/", "quiz.jsonl"]


# ---- in runs


def corpus(tmp_path: Path, files: int = 5) -> Path:
    """Files of documents: in each every text of TEXTS, with another sentence before it, and one of dummy text."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(files):
        rows = [{"id": f"{number}-{i}", "text": f"Page {number} of ours. {text}"} for i, text in enumerate(TEXTS)]
        rows.append(
            {
                "id": f"{number}-lorem",
                "text": "Lorem ipsum dolor sit amet, consectetur adipiscing elit.\n" * 9 + QUIZ["quiz/all/1"][0],
            }
        )
        (folder / f"{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def recipe(folder: Path, quiz: str, mode: str = "early_exit", **options):
    steps = [{"placeholder": {}}, {"decontaminate": {"benchmarks": [quiz], **options}}, {"pii": {}}]
    return build({"mode": mode, "source": {"documents": {"inputs": [str(folder)]}}, "steps": steps})


def rows_of(run: Path, part: str) -> list[dict]:
    return [row for file in sorted(run.glob(f"01-pii/{part}/*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("options", [{}, {"action": "cut", "fragments": "split"}, {"action": "annotate"}])
def test_acts_are_what_the_documents_say(quiz, tmp_path, options):
    """Read from kept and dropped documents alone: each item in them has its line, with the text that it matched."""
    run = run_recipe(recipe(corpus(tmp_path), quiz, **options), tmp_path / "run")
    acts = list(read_acts(files_of(run)))
    texts = {
        json.loads(line)["id"]: json.loads(line)["text"] for f in (tmp_path / "corpus").iterdir() for line in f.open()
    }
    kept, dropped = rows_of(run, "kept"), rows_of(run, "dropped")
    expected = set()
    for row in [*kept, *dropped]:
        if row.get("drop_filter") == "placeholder":
            continue
        for one in row["decontam"] or []:
            acted = one["verdict"] == "dirty" and options.get("action") != "annotate"
            gone = row.get("drop_filter") == "decontaminate"
            did = ("drop" if gone else "cut") if acted else "annotate"
            expected.add((row["id"].split("#")[0], one["item"], one["method"], one["start"], one["end"], did))
    assert expected
    logged = [(a["id"], a["item"], a["method"], a["start"], a["end"], a["action"]) for a in acts]
    assert len(logged) == len(set(logged)) and set(logged) == expected
    for act in acts:
        assert act["text"] == texts[act["id"]].encode()[act["start"] : act["end"]].decode()
        assert act["benchmark"] == "quiz" and act["record"]["file"] == f"{act['id'][0]}.jsonl"
        assert (act["cut"] is not None) == (act["action"] == "cut")
        if act["cut"]:
            low, high = act["cut"]
            assert low == max(act["start"] - 200, 0) and high >= act["end"]
    manifest = json.loads((run / "01-pii" / "manifest.json").read_text())
    named = {entry["file"]: entry for entry in manifest["files"]}
    for file in sorted(run.glob("01-pii/acts/*.jsonl")):
        assert named[f"acts/{file.name}"]["rows"] == len(file.read_text().splitlines())
    report = json.loads((run / "report.json").read_text())["benchmark_items"]
    assert [one["benchmark"] for one in report] == ["quiz"]
    assert report[0]["dirty"] == len({a["item"] for a in acts if a["verdict"] == "dirty"})
    assert report[0]["documents"] == len({a["id"] for a in acts})
    assert sum(report[0]["acts"].values()) == len(acts)
    assert "Items of benchmarks found in documents" in (run / "report.html").read_text()


def test_counts_add_up_where_documents_are_split(quiz, tmp_path):
    run = run_recipe(recipe(corpus(tmp_path), quiz, action="cut", fragments="split"), tmp_path / "run")
    counts = json.loads((run / "01-pii" / "manifest.json").read_text())["counts"][1]
    assert counts["stage"] == "decontaminate" and counts["n_split"] > 0
    assert counts["n_in"] + counts["n_split"] == counts["n_kept"] + sum(counts["dropped"].values())
    kept = rows_of(run, "kept")
    assert len({row["id"] for row in kept}) == len(kept)
    assert sum("#" in row["id"] for row in kept) > counts["n_split"]


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_all_scores_decides_and_logs_the_same(quiz, tmp_path, action):
    folder = corpus(tmp_path, 2)
    early = run_recipe(recipe(folder, quiz, action=action), tmp_path / "early")
    every = run_recipe(recipe(folder, quiz, "all_scores", action=action), tmp_path / "all")
    assert rows_of(early, "kept") == rows_of(every, "kept")
    gone = {row["id"]: row for row in rows_of(every, "dropped")}
    for row in rows_of(early, "dropped"):
        other = gone[row["id"]]
        assert (row["drop_filter"], row["drop_reason"], row["text"]) == (
            other["drop_filter"], other["drop_reason"], other["text"],
        )  # fmt: skip
    dummy = gone["0-lorem"]
    assert dummy["drop_filter"] == "placeholder"
    assert [one["item"] for one in dummy["decontam"]] == ["quiz/all/1"]  # scored, but nothing was done
    for file in sorted(early.glob("01-pii/acts/*.jsonl")):
        assert (every / file.relative_to(early)).read_bytes() == file.read_bytes()


def test_a_shard_that_fails_leaves_no_log(quiz, tmp_path, monkeypatch):
    made = stage(quiz)
    with pytest.raises(RuntimeError), made.shard_session(tmp_path, "00000"):
        made(documents(TEXTS))
        raise RuntimeError("killed")
    assert not (tmp_path / "acts").exists()
    with made.shard_session(tmp_path, "00000"):
        made(documents(TEXTS))
    assert len(list(read_acts(files_of(tmp_path)))) == 6


@pytest.mark.ray
def test_the_number_of_workers_changes_no_byte(quiz, tmp_path):
    folder = corpus(tmp_path)
    options = {"action": "cut", "fragments": "split", "benchmarks": ["sample", quiz]}
    alone = run_recipe(recipe(folder, quiz, **options), tmp_path / "alone")
    ray = run_recipe(recipe(folder, quiz, **options), tmp_path / "ray", RayRunner(workers=2))
    assert digests(alone) == digests(ray)
    assert any("/acts/" in name for name in digests(ray))


def test_gpt3s_recipe_is_what_the_paper_says(index_cache):
    """On the sample's English pages, against a search for 13 words in a row in plain Python."""
    steps = build(read_recipe("gpt3-decontamination")).steps
    made = next(s for step in steps for s in step.stages if s.name == "decontaminate")
    pages = [one for one in read_pages() if one.lang == "en" and one.plant]
    items = [json.loads(line) for line in (SAMPLE / "benchmark.jsonl").read_text("utf-8").splitlines()]
    grams = {
        tuple(own[i : i + 13])
        for item in items
        for part in (item["question"], item["answer"], *(item["choices"] or ()))
        for own in [[word for word, _, _ in placed(part)]]
        for i in range(len(own) - 12)
    }
    texts, expected = [one.body for one in pages], []
    for text in texts:
        tokens = placed(text)
        spans = [
            (tokens[i][1], tokens[i + 12][2])
            for i in range(len(tokens) - 12)
            if tuple(word for word, _, _ in tokens[i : i + 13]) in grams
        ]
        pieces = [text.encode()[a:b].decode() for a, b in fragments(text, spans)]
        expected += pieces or [text]
    out = made(pa.table({"id": [one.key for one in pages], "text": pa.array(texts, pa.large_string())}))
    assert out["text"].to_pylist() == expected
    assert 3 <= pa.compute.sum(out["drop_reason"].is_valid()).as_py() < 10
    assert sum(bool(spans) for spans in out["cut_spans"].to_pylist()) > 12


def placed(text: str) -> list[tuple[str, int, int]]:
    """(word in small letters, first byte, byte after the last); apostrophes within words are left out."""
    found = re.finditer(r"[^\W_]+(?:['’][^\W_]+)*", text)
    return [
        (re.sub("['’]", "", one[0]).lower(), len(text[: one.start()].encode()), len(text[: one.end()].encode()))
        for one in found
    ]
