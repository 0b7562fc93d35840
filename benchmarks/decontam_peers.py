"""Decontamination beside datatrove's n-grams and AI2's decon: speed, recall by form of plants, decisions explained.

    python -m benchmarks.decontam_peers [--runs N] [--per-form N] [--pages N] [--no-write]

Texts: cases of the scorecard's reporting half (its plants and hard negatives, `decontam.scorecard`), and real pages of
../shared/data/html drawn by a hash of their URL. Items: every set in ../shared/data/evals. Each system gets the same
texts and items, in a process of its own, in turn, on one thread; CPU seconds of the scan alone, the building of its
index apart. datatrove's scan is its filter's call for each document (see peers/datatrove_decontam for how its index is
written without lighteval); decon's is what its process spends between its own lines `index built` and `results`, JSON
lines read and report written among it. Ours is `scan` of an Arrow column, normalisation included.

Queries for datatrove: passage and question, one below the other; label: the answer. `queries` is its option
find_query_ngrams; by default it looks for 12-grams of answers and of the border between question and answer alone.
Decisions: its `queries` against the same rule with our words: `gpt3_13gram` with n=12, no limit and no guard, over
items of one part each, query and label. A document on which the two differ is tried again in pure Python with what our
normalisation does otherwise (peers/datatrove_decontam: SWITCHES) switched on, one by one and then together: the
fewest that turn datatrove's decision over are the cause. `other_split` is no negative here: all splits are looked for.

GRISTMILL_DECON is a Python of 3.12 or newer that has benchmarks/peers_decon.txt (make peers-decon PYTHON=python3.12);
without it decon is left out.
Writes benchmarks/results/decontam_peers.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from decontam.items import read_items

from .common import ROOT, SHARED, write
from .texts import PEER, read_ipc, real_texts, write_ipc

DECON = Path(os.environ.get("GRISTMILL_DECON", ROOT / ".venv-decon" / "bin" / "python"))
SCRIPTS = Path(__file__).parent / "peers"
RECALLED = ("verbatim", "verbatim_short")
"""Forms of which there are at least 200 cases whatever --per-form says."""
N, LEAST = 12, 20
"""Tokens of datatrove's n-grams, and of the shortest items that decon looks for."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


def corpus(items: pa.Table, per_form: int, pages: int) -> pa.Table:
    """Cases (`form` as the scorecard calls it) and pages (`form` is null): id, text, form, contaminated, item."""
    from decontam.scorecard.cases import FORMS, Bench, cases_table, make_cases

    texts = real_texts()
    urls = texts["url"].to_pylist()
    keys = [hashlib.blake2b(f"{url} {i}".encode(), digest_size=8).hexdigest() for i, url in enumerate(urls)]
    hosts = pa.table({"id": keys, "text": texts["text"], "url": urls})
    bench = Bench(items)
    forms = [name for name in FORMS if name != "other_split"]
    made = make_cases(bench, hosts, "reporting", per_form=per_form, forms=[f for f in forms if f not in RECALLED])
    made += make_cases(bench, hosts, "reporting", per_form=max(per_form, 200), forms=RECALLED)
    cases = cases_table(made).select(["id", "text", "form", "contaminated", "item"])
    drawn = sorted(range(len(keys)), key=keys.__getitem__)[:pages]
    real = hosts.select(["id", "text"]).take(sorted(drawn))
    return pa.concat_tables([cases, real], promote_options="default").combine_chunks()


def joined(*parts: str | None) -> str:
    """What there is of them, one below the other."""
    return "\n".join(part for part in parts if part)


def write_inputs(items: pa.Table, texts: pa.Table, folder: Path) -> None:
    """The same items and texts in each system's format."""
    columns = ("benchmark", "split", "question", "answer", "passage")
    rows = items.select(columns).to_pylist()
    queries = [joined(row["passage"], row["question"]) for row in rows]
    labels = [row["answer"] or "" for row in rows]
    write_ipc(texts, folder / "texts.arrow")
    write_ipc(items, folder / "items.arrow")
    write_ipc(
        pa.table({"task": items["benchmark"].cast(pa.string()), "query": queries, "label": labels}),
        folder / "queries.arrow",
    )
    whole = pa.array([joined(*one) for one in zip(queries, labels, strict=True)], pa.large_string())
    single = items.select(["item", "benchmark", "split"]).append_column("question", whole)
    for name, kind in (
        ("choices", pa.list_(pa.string())),
        ("answer", pa.large_string()),
        ("passage", pa.large_string()),
    ):
        single = single.append_column(name, pa.nulls(len(single), kind))
    write_ipc(single, folder / "single.arrow")
    for name in ("evals", "train"):
        (folder / name).mkdir()
    with (folder / "evals" / "items.jsonl").open("w", encoding="utf-8") as file:
        for i, row in enumerate(rows):
            record = {
                "eval_key": row["benchmark"], "config": "default", "split": row["split"], "eval_instance_index": i,
                "doc_id": i, "question": row["question"] or row["passage"] or "", "answer": row["answer"] or "",
                "passage": row["passage"] or "" if row["question"] else "", "is_correct": True, "fingerprint": f"{i:x}",
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
    with (folder / "train" / "texts.jsonl").open("w", encoding="utf-8") as file:
        for text in texts["text"].to_pylist():
            file.write(json.dumps({"text": text}) + "\n")


def child(folder: Path) -> None:
    """Our run in a process of its own: prints JSON."""
    from decontam.index import build_index
    from decontam.methods import default_methods, method_named
    from decontam.scan import ScanOptions, scan

    column = read_ipc(folder / "texts.arrow")["text"]
    plain = ScanOptions(
        max_items=None, max_benchmarks=None, max_places=None, max_documents=None, min_share=0.0, min_score=0.0
    )
    same = method_named("gpt3_13gram", n=N, max_documents=2**31 - 1, parts=("question",))
    systems: dict[str, tuple[str, Any, Any]] = {
        "default": ("items", default_methods(), None),
        "decon_method": ("items", [method_named("decon")], None),
        "same_rule": ("single", [same], plain),
    }
    out: dict[str, Any] = {}
    indexes: dict[str, Any] = {}
    for name, (items, methods, options) in systems.items():
        start = time.process_time()
        if items not in indexes:
            indexes[items] = build_index(read_ipc(folder / f"{items}.arrow"))
        built = time.process_time() - start
        scan(column.slice(0, 50), indexes[items], methods, options)  # kernels
        wall, cpu = time.perf_counter(), time.process_time()
        hits = scan(column, indexes[items], methods, options)
        spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        rows = hits.select(["row", "verdict", "item"]).to_pylist()
        dirty = [[row["row"], row["item"]] for row in rows if row["verdict"] == "dirty"]
        out[name] = {**spent, "index_cpu_s": built, "index_mb": indexes[items].nbytes / 1e6, "dirty": dirty}
    print(json.dumps(out))


def called(argv: list[str]) -> str:
    """What a process prints; raises SystemExit with the end of its messages where it fails."""
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:3])} failed: {done.stderr[-2000:]}")
    return done.stdout


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, from Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def decon(folder: Path, turn: int) -> dict[str, Any]:
    """One run of decon, its index and its detection told apart by its own lines."""
    report = folder / f"decon-{turn}"
    argv = [str(DECON), str(SCRIPTS / "decon_detect.py"), str(folder / "train"), str(folder / "evals"), str(report)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD})
    assert process.stdout is not None
    marks: dict[str, float] = {}
    version = ""
    for line in process.stdout:
        version = version or line.strip()
        for name, text in (("index", "Index Building Summary"), ("end", "Contamination Detection Results")):
            if text in line:
                marks[name] = cpu_seconds(process.pid)
    if process.wait() or len(marks) < 2:
        raise SystemExit(f"decon failed (exit {process.returncode}, {version}); see its messages above")
    lines = [json.loads(line) for path in sorted(report.glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    dirty = sorted({(line["training_line"], line["eval_instance_index"]) for line in lines})
    return {"version": version, "index_cpu_s": marks["index"], "cpu_s": marks["end"] - marks["index"], "dirty": dirty}


def by_form(texts: pa.Table, rows: set[int]) -> dict[str, Any]:
    """Of each form how many texts were found dirty."""
    forms = texts["form"].to_pylist()
    every, dirty = Counter(forms), Counter(forms[row] for row in rows)
    return {str(form or "real_pages"): [dirty[form], every[form]] for form in every}


def explained(folder: Path, texts: pa.Table, theirs: dict[str, Any], same: dict[int, str]) -> dict[str, Any]:
    """Where datatrove's `queries` and the same rule on our tokens differ, and why."""
    queries = read_ipc(folder / "queries.arrow")
    number = {name: i for i, name in enumerate(read_ipc(folder / "items.arrow")["item"].to_pylist())}
    grams = dict(theirs["configs"]["queries"]["found"])
    witness = theirs["witnesses"]
    collisions = [row for row, gram in grams.items() if gram not in witness]
    pairs = [(row, witness[grams[row]], "theirs") for row in sorted(grams) if row not in same and grams[row] in witness]
    pairs += [(row, number[same[row]], "ours") for row in sorted(same) if row not in grams]
    table = {name: [queries[name][i].as_py() for _, i, _ in pairs] for name in ("query", "label")}
    write_ipc(pa.table({"text": [texts["text"][row].as_py() for row, _, _ in pairs], **table}), folder / "pairs.arrow")
    called(
        [str(PEER), str(SCRIPTS / "datatrove_decontam.py"), "explain", str(folder / "pairs.arrow"), str(folder / "x")]
    )
    found = json.loads((folder / "x").read_text())
    causes: dict[str, Counter[str]] = {"theirs": Counter(), "ours": Counter()}
    for (_, _, side), one in zip(pairs, found, strict=True):
        causes[side][" + ".join(one["cause"] or ["not explained"])] += 1
    names = read_ipc(folder / "items.arrow")["item"].to_pylist()
    kept = [
        {"text": texts["id"][row].as_py(), "item": names[i], "only": side, "cause": one["cause"]}
        for (row, i, side), one in zip(pairs, found, strict=True)
    ]
    return {
        "both": len(set(grams) & set(same)), "neither": len(texts) - len(set(grams) | set(same)),
        "theirs_only": causes["theirs"].most_common(), "ours_only": causes["ours"].most_common(),
        "their_hash_collisions": len(collisions),
        "their_decision_reproduced": sum(one["theirs"] == (side == "theirs")
                                         for (_, _, side), one in zip(pairs, found, strict=True)),
        "ours_reproduced_with_all_switches": sum(one["all_on"] == (side == "ours")
                                                 for (_, _, side), one in zip(pairs, found, strict=True)),
        "examined": len(pairs), "differences": kept,
    }  # fmt: skip


def speed(runs: list[dict[str, Any]], megabytes: float) -> dict[str, float]:
    """MB/s of a core by median CPU seconds."""
    cpu = statistics.median(run["cpu_s"] for run in runs)
    return {"cpu_s": round(cpu, 3), "megabytes_per_second": round(megabytes / cpu, 2)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--per-form", type=int, default=50, help="cases of each form")
    parser.add_argument("--pages", type=int, default=1500, help="real pages")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    if not PEER.is_file():
        raise SystemExit(f"{PEER} is not there: make peers")
    items = read_items(SHARED / "evals", on_error="skip")
    texts = corpus(items, options.per_form, options.pages)
    with tempfile.TemporaryDirectory() as name:
        value = measured(Path(name), items, texts, options.runs)
    print(json.dumps({k: v for k, v in value.items() if k not in ("raw", "decisions")}, indent=1))
    if not options.no_write:
        write("decontam_peers", value, ("numpy", "numba", "pyarrow"))


def measured(folder: Path, items: pa.Table, texts: pa.Table, runs: int) -> dict[str, Any]:
    """All runs, in turn, and what comes of them."""
    write_inputs(items, texts, folder)
    script, queries = str(SCRIPTS / "datatrove_decontam.py"), str(folder / "queries.arrow")
    built = json.loads(called([str(PEER), script, "index", queries, str(folder / "theirs")]).splitlines()[-1])
    raw: dict[str, list[dict[str, Any]]] = {"ours": [], "datatrove": [], "decon": []}
    given = [queries, str(folder / "theirs"), str(folder / "texts.arrow"), str(folder / "found.json")]
    for turn in range(runs):
        raw["ours"].append(
            json.loads(called([sys.executable, "-m", "benchmarks.decontam_peers", "--child", str(folder)]))
        )
        called([str(PEER), script, "scan", *given, "default", *(["queries"] if not turn else [])])
        raw["datatrove"].append(json.loads((folder / "found.json").read_text()))
        if DECON.exists():
            raw["decon"].append(decon(folder, turn))
        print("run", turn, flush=True)
    megabytes = raw["datatrove"][0]["megabytes"]
    ours, theirs = raw["ours"][0], raw["datatrove"][0]
    numbers = {name: i for i, name in enumerate(items["item"].to_pylist())}
    found = {f"ours_{name}": {row for row, _ in one["dirty"]} for name, one in ours.items()}
    found |= {f"datatrove_{name}": {row for row, _ in one["found"]} for name, one in theirs["configs"].items()}
    timed = {f"ours_{name}": [run[name] for run in raw["ours"]] for name in ours}
    timed["datatrove_default"] = [run["configs"]["default"] for run in raw["datatrove"]]
    value: dict[str, Any] = {
        "documents": len(texts), "megabytes": round(megabytes, 2), "items": len(items), "runs": runs,
        "index": {
            **{f"ours_{name}": {"cpu_s": round(one["index_cpu_s"], 2), "megabytes": round(one["index_mb"], 1)}
               for name, one in ours.items() if one["index_cpu_s"] > 0.1},
            **{f"datatrove_{name}": one for name, one in built["configs"].items()},
        },
        "peer_versions": theirs["versions"],
    }  # fmt: skip
    if raw["decon"]:
        first = raw["decon"][0]
        timed["decon"] = raw["decon"]
        found["decon"] = {row for row, _ in first["dirty"]}
        value["index"]["decon"] = {"cpu_s": statistics.median(run["index_cpu_s"] for run in raw["decon"])}
        value["peer_versions"]["decon"] = first["version"]
        pairs = {(row, numbers[item]) for row, item in ours["decon_method"]["dirty"]}
        value["decon_pairs"] = same_pairs({(row, item) for row, item in first["dirty"]}, pairs, items)
    value["speed"] = {name: speed(times, megabytes) for name, times in timed.items()}
    fast = value["speed"]["ours_default"]["megabytes_per_second"]
    value["ratio_of_default_to"] = {
        name: round(fast / one["megabytes_per_second"], 1)
        for name, one in value["speed"].items() if not name.startswith("ours")
    }  # fmt: skip
    value["dirty_by_form"] = {name: by_form(texts, rows) for name, rows in found.items()}
    same: dict[int, str] = {}
    for row, item in ours["same_rule"]["dirty"]:
        same.setdefault(row, item)
    value["decisions"] = explained(folder, texts, theirs, same)
    value["raw"] = {name: [{k: v for k, v in run.items() if k in ("wall_s", "cpu_s", "load_cpu_s")} for run in times]
                    for name, times in timed.items()}  # fmt: skip
    return value


def same_pairs(theirs: set[tuple[int, int]], ours: set[tuple[int, int]], items: pa.Table) -> dict[str, Any]:
    """(text, item) pairs that decon and our method of its name call contaminated, and why not both.

    decon counts 20 tokens of cl100k before it looks for an item, ours 20 words; it looks for one of several items that
    are the same."""
    from decontam.normalise import tokens_of

    rows = items.select(["question", "answer", "passage"]).to_pylist()
    whole = pa.array([joined(row["question"], row["answer"], row["passage"]) for row in rows], pa.large_string())
    words = (tokens_of(whole).offsets[1:] - tokens_of(whole).offsets[:-1]).tolist()
    texts = {row for row, _ in theirs}
    decon_only = Counter("item under 20 words" if words[item] < LEAST else "other" for _, item in theirs - ours)
    ours_only = Counter("decon names another item of the text" if row in texts else "other" for row, _ in ours - theirs)
    return {"both": len(theirs & ours), "decon_only": dict(decon_only), "ours_only": dict(ours_only)}


if __name__ == "__main__":
    main()
