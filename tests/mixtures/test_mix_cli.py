"""From the command line: a run and files of one's own become one pack set; the plan says the same as the run."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from pipeline.cli import main
from pipeline.packreader import open_packs
from pipeline.packreport.build import report as report_packs
from pipeline.packstep import find_packs
from pipeline.trace import trace
from tests.pipeline.token_tools import byte_tokenizer

from .mix_tools import make_run, random_docs

BOOKS = [("the mill turns and turns " * (3 + i % 11)) + str(i) for i in range(80)]


@pytest.fixture
def place(tmp_path):
    """A run `crawl`, a file `books.jsonl` and a mixture of both."""
    docs = random_docs("a", 200, 2)
    make_run(tmp_path / "crawl", docs)
    lines = [json.dumps({"id": f"{i:032x}", "text": text, "lang": "en"}) for i, text in enumerate(BOOKS)]
    (tmp_path / "books.jsonl").write_text("\n".join(lines) + "\nno json\n")
    (tmp_path / "m.yaml").write_text(
        f"sources:\n  crawl: {{run: {tmp_path / 'crawl'}, weight: 1}}\n"
        f"  books: {{inputs: ['{tmp_path}/books.jsonl'], weight: 1}}\n"
        "total_tokens: 7000\nheld_out: {share: 0.05}\n"
    )
    return tmp_path, docs


def test_a_run_and_files_become_one_pack_set(place, capsys):
    folder, docs = place
    command = ["mix", "run", str(folder / "m.yaml"), "-o", str(folder / "out"), "--inline", "--sequence-length", "64"]
    assert main(command) == 0
    assert "Mixture mixture" in capsys.readouterr().out
    reader = open_packs(find_packs(folder / "out"))
    reader.verify()
    texts = {f"books/{i:032x}": [*text.encode()] for i, text in enumerate(BOOKS)}
    owners = {**dict.fromkeys(texts, "books"), **{d.id: "crawl" for d in docs}}
    tokens: Counter[str] = Counter()
    for row in reader:
        ends = [*row.doc_starts[1:].tolist(), row.length]
        for name, begin, end in zip(row.doc_ids, row.doc_starts.tolist(), ends, strict=True):
            tokens[owners[name]] += end - begin
    assert all(abs(tokens[name] - 3500) < 64 for name in ("books", "crawl"))
    held = open_packs(folder / "out" / "02-pack" / "sets" / "held_out")
    held.verify()
    assert not {i for row in held for i in row.doc_ids} & {i for row in reader for i in row.doc_ids}
    assert reader.manifest["recipe"]["mixture"]["name"] == "mixture"
    tokenizer = byte_tokenizer(folder / "again.json")
    row = next(row for row in reader if row.doc_ids[0] in texts and row.doc_offsets[0] == 0)
    name = row.doc_ids[0]
    end = row.doc_starts[1] if len(row.doc_starts) > 1 else row.length
    assert bytes(texts[name]).decode().startswith(tokenizer.decode(row.input_ids[: end - 1].tolist())[:40])
    assert main(["trace", str(folder / "out"), "--sequence", "0"]) == 0
    before = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*.arrow")}
    assert main([*command, "--quiet"]) == 0
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*.arrow")}


def test_the_plan_is_what_the_run_does(place, capsys):
    folder, docs = place
    (folder / "m.yaml").write_text(
        f"sources: {{crawl: {{run: {folder / 'crawl'}, epochs: 1.5}}}}\ntemperature: {{by: lang, exponent: 0.5}}\n"
        "held_out: {share: 0.1, after: 2025-08-01, near_duplicates: false}\ndomain_cap: {share: 0.3}\n"
        "quality: {edges: [0.4], repeat: [1, 2]}\nphases: [{name: a, share: 1}, {name: b, share: 1}]\n"
    )
    assert main(["mix", "plan", str(folder / "m.yaml"), "--json", "--model-params", "1000"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert main(["mix", "run", str(folder / "m.yaml"), "-o", str(folder / "o"), "--inline", "--quiet"]) == 0
    report = json.loads((folder / "o" / "01-mix" / "manifest.json").read_text())["report"]
    assert plan["sources"] == report["sources"] and plan["warnings"] == report["warnings"]
    away = {row["reason"]: row["tokens"] for row in plan["thrown_away"]}
    fates = {row["fate"]: row["tokens"] for row in report["fates"]}
    assert set(fates) == {"train", "held_out", "fresh", "domain_cap"}
    assert {name: away[name] for name in ("held_out", "fresh", "domain_cap")} == {
        name: fates[name] for name in ("held_out", "fresh", "domain_cap")
    }
    assert plan["basis"] == [{"source": "crawl", "tokens": "counted", "exact": True}]
    assert plan["chinchilla"]["tokens_per_param"] == plan["total_tokens"] / 1000
    assert sum(fates.values()) == sum(d.n for d in docs)


def test_a_plan_before_any_tokens_is_estimated_from_bytes(place, capsys):
    folder, _ = place
    assert (
        main(["mix", "plan", str(folder / "m.yaml"), "--html", str(folder / "p.html"), "--json", str(folder / "p")])
        == 0
    )
    assert "estimated: 4.00 bytes of text a token (measured" in capsys.readouterr().out  # the run's text_bytes are 4 n
    plan = json.loads((folder / "p").read_text())
    books = next(row for row in plan["sources"] if row["source"] == "books")
    size = sum(-(-len(text.encode()) // 4) for text in BOOKS)
    held = next(
        row["tokens"] for row in plan["thrown_away"] if row["source"] == "books" and row["reason"] == "held_out"
    )
    assert books["available_tokens"] == size - held
    html = (folder / "p.html").read_text()
    assert "Content-Security-Policy" in html and "<script" not in html
    (folder / "only.yaml").write_text(f"sources: {{books: {{inputs: ['{folder}/books.jsonl']}}}}\n")
    assert main(["mix", "plan", str(folder / "only.yaml"), "--bytes-per-token", "2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["total_tokens"] == sum(-(-len(text.encode()) // 2) for text in BOOKS)


def test_dates_of_json_lines_and_days_that_nothing_is_after(tmp_path, capsys):
    lines = [json.dumps({"text": f"page {i}", "published": f"2025-0{1 + i}-01"}) for i in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    for after, fresh, warned in (("2025-04-01", [2], 0), ("2026-01-01", [], 1)):
        (tmp_path / "m.yaml").write_text(
            f"sources: {{a: {{inputs: [{tmp_path}/a.jsonl]}}}}\nheld_out: {{after: {after}, date: published}}\n"
        )
        assert main(["mix", "plan", str(tmp_path / "m.yaml"), "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        size = len("page 1") / 4.2
        assert [row["tokens"] for row in plan["thrown_away"]] == [n * -(-size // 1) for n in fresh]
        assert sum("nothing is fresh" in text for text in plan["warnings"]) == warned


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "natural"], "--run FOLDER"),
        (["plan", "nope"], "no mixture 'nope'"),
        (["run", "natural", "-o", "{out}", "--inline"], "no run to be a step of"),
        (["run", "{only}", "-o", "{out}", "--inline"], "name a tokenizer"),
        (["run", "{m}", "-o", "{out}", "--inline", "--sequence-length", "0"], "sequence_length"),
        (["plan", "{m}", "--bytes-per-token", "0"], "above 0"),
        (["plan", "{m}", "--model-params", "-1"], "above 0"),
    ],
)
def test_mistakes_are_told(place, capsys, arguments, message):
    folder, _ = place
    (folder / "only.yaml").write_text(f"sources: {{books: {{inputs: ['{folder}/books.jsonl']}}}}\n")
    names = {"out": folder / "o", "m": folder / "m.yaml", "only": folder / "only.yaml"}
    assert main(["mix", *(word.format(**names) for word in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "o" / "01-mix").exists()


def test_other_tokenizers_tokenise_anew(place, capsys):
    """With a tokenizer of one's own the documents of a run are tokenised again, from their texts."""
    folder, _ = place
    tokenizer = byte_tokenizer(folder / "own.json")
    content = json.loads(tokenizer.path.read_text())
    content["added_tokens"][0]["content"] = "<|end|>"
    (folder / "own.json").write_text(json.dumps(content))
    command = ["mix", "run", str(folder / "m.yaml"), "-o", str(folder / "out"), "--inline", "--quiet"]
    assert main([*command, "--tokenizer", str(folder / "own.json"), "--eos", "<|end|>"]) == 0
    report = json.loads((folder / "out" / "01-mix" / "manifest.json").read_text())["report"]
    crawl = next(row for row in report["sources"] if row["source"] == "crawl")
    assert crawl["documents"] <= 200 and crawl["available_tokens"] == 30 * crawl["documents"]  # texts are the ids


def test_scores_of_json_lines(place):
    """A key of JSON lines is a score like a column of Parquet."""
    folder, _ = place
    lines = [json.dumps({"id": f"{i:032x}", "text": text, "rank": {"best": i}}) for i, text in enumerate(BOOKS)]
    (folder / "ranked.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "r.yaml").write_text(
        f"sources: {{books: {{inputs: ['{folder}/ranked.jsonl']}}}}\n"
        "quality: {column: rank.best, edges: [40], repeat: [0, 1]}\n"
    )
    tokenizer = byte_tokenizer(folder / "own.json")
    command = ["mix", "run", str(folder / "r.yaml"), "-o", str(folder / "out"), "--inline", "--quiet"]
    assert main([*command, "--tokenizer", str(tokenizer.path)]) == 0
    drawn = {i for row in open_packs(find_packs(folder / "out")) for i in row.doc_ids}
    assert drawn == {f"books/{i:032x}" for i in range(40, 80)}


def test_ids_of_two_sources_are_told_apart(tmp_path, capsys):
    """Both files are called the same and count their documents from 0: positions lead to the right page, and go."""
    for name in ("books", "pages"):
        (tmp_path / name).mkdir()
        lines = [
            json.dumps({"text": f"{name} {i} tells of {name}", "url": f"https://{name}.example/{i}"}
                       | ({"id": str(i)} if i % 2 else {}))
            for i in range(8)
        ]  # fmt: skip
        (tmp_path / name / "data.jsonl").write_text("\n".join(lines))
    sources = ", ".join(f"{name}: {{inputs: [{tmp_path / name}]}}" for name in ("books", "pages"))
    (tmp_path / "m.yaml").write_text(f"sources: {{{sources}}}\ncontrol: {{column: x, edges: [0], names: [a, b]}}\n")
    tokenizer = byte_tokenizer(tmp_path / "t.json")
    command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(tmp_path / "out"), "--inline", "--quiet"]
    command += ["--tokenizer", str(tokenizer.path), "--sequence-length", "64"]
    assert main(command) == 2  # no document has the score
    (tmp_path / "m.yaml").write_text(f"sources: {{{sources}}}\n")
    assert main(command) == 0
    packs = find_packs(tmp_path / "out")
    seen = {}
    for number, row in enumerate(open_packs(packs)):
        for start in row.doc_starts.tolist():
            found = trace(packs, number, start)
            seen[found.document] = found.url
            assert found.context is not None and found.url is not None
            assert found.context.replace("⟦", "").replace("⟧", "").startswith(found.url[8:13])
    assert len(seen) == 16
    (tmp_path / "urls").write_text("https://books.example/3\n")
    (tmp_path / "ids").write_text("5\npages/7\n")
    assert main(["remove", str(packs), "--urls", str(tmp_path / "urls"), "-o", str(tmp_path / "less")]) == 0
    assert "1 documents, 1 pieces" in capsys.readouterr().out
    assert main(["remove", str(tmp_path / "less"), "--ids", str(tmp_path / "ids"), "--in-place"]) == 0
    reader = open_packs(tmp_path / "less")
    gone = {i for row in reader for i, removed in zip(row.doc_ids, row.removed, strict=True) if removed}
    assert gone == {"books/3", "books/5", "pages/5", "pages/7"}


def test_show(capsys):
    assert main(["mix", "show"]) == 0
    assert "natural" in capsys.readouterr().out.split()
    assert main(["mix", "show", "natural"]) == 0
    assert "run: this" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["best_fit", "concatenate"])
def test_packs_hold_control_ids_and_parts_of_documents(tmp_path, method):
    """Long documents that several phases share, each draw behind its control id: every position is right."""
    docs = random_docs("a", 30, 6, 400)
    make_run(tmp_path / "a", docs)
    phases = ", ".join(f"{{name: p{i}, share: {share}}}" for i, share in enumerate((1, 0.03, 0.02, 2)))
    (tmp_path / "m.yaml").write_text(
        f"sources: {{a: {{run: {tmp_path / 'a'}, epochs: 1.8}}}}\nphases: [{phases}]\n"
        "control: {column: quality, edges: [0.5], names: [bad, good], drop_share: 0}\n"
    )
    command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(tmp_path / "out"), "--inline", "--quiet"]
    assert main([*command, "--sequence-length", "32", "--tolerance-tokens", "4", "--method", method]) == 0
    report = json.loads((tmp_path / "out" / "01-mix" / "manifest.json").read_text())["report"]
    assert sum(row["divided"] for row in report["drawn"]) >= 2
    reader = open_packs(find_packs(tmp_path / "out"))
    reader.verify()
    by_id = {d.id: d for d in docs}
    controls = 0
    for row in reader:
        ends = [*row.doc_starts[1:].tolist(), row.length]
        parts = zip(row.doc_ids, row.doc_starts.tolist(), ends, row.doc_offsets.tolist(), strict=True)
        for name, begin, end, offset in parts:
            ids, doc = row.input_ids[begin:end].tolist(), by_id[name]
            if ids[0] > 256:
                assert ids[0] == 257 + 102 + (doc.quality >= 0.5)
                controls += 1
                ids = ids[1:]
            assert ids == [*doc.ids, 256][offset : offset + len(ids)]
    assert controls == report["control_tokens"]
    packs = find_packs(tmp_path / "out")
    for number, row in enumerate(reader):
        for start, offset in zip(row.doc_starts.tolist(), row.doc_offsets.tolist(), strict=True):
            lead = int(row.input_ids[start] > 256)
            found = [trace(packs, number, start + k).token_offset for k in range(min(3, row.length - start))]
            if start + 3 <= row.length and start + 1 not in row.doc_starts and start + 2 not in row.doc_starts:
                assert found == [offset, offset + 1 - lead, offset + 2 - lead]
        if number == 20:
            break
    assert [phase["name"] for phase in reader.manifest["phases"]] == ["p0", "p1", "p2", "p3"]
    # taken out, every position still says which token stood there, and the report counts no control id of them
    gone = {d.id for d in docs[::2]}
    (tmp_path / "ids").write_text("\n".join(gone))
    assert main(["remove", str(packs), "--ids", str(tmp_path / "ids"), "-o", str(tmp_path / "less"),
                 "--fill", "mask"]) == 0  # fmt: skip
    left, controls = open_packs(tmp_path / "less"), 0
    left.verify()
    for number, (was, now) in enumerate(zip(reader, left, strict=True)):
        assert not (now.input_ids[: now.length] < 257)[~now.loss_mask()[: now.length]].any()
        controls += int(((now.input_ids > 258) & now.loss_mask()).sum())
        if number < 20:
            for position in range(was.length):
                one, other = trace(packs, number, position), trace(tmp_path / "less", number, position)
                assert (one.document, one.token_offset) == (other.document, other.token_offset)
                assert (other.removed is not None) is (one.document in gone)
    (seen,) = report_packs(tmp_path / "less")["sets"]
    assert seen["tokens_seen"]["control_tokens"] == controls > 0
