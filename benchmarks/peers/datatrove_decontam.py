"""datatrove's n-gram decontamination over one Arrow file of texts, in its own environment.

    python datatrove_decontam.py index ITEMS FOLDER            its index files, with and without n-grams of the queries
    python datatrove_decontam.py scan ITEMS FOLDER TEXTS OUT   its filter over the texts; OUT is JSON
    python datatrove_decontam.py explain PAIRS OUT             which differences of normalisation make pairs match

ITEMS has task, query and label (strings), TEXTS has text. Its indexer reads lighteval's tasks only beside documents
and imports lighteval either way; it is left out here: hashes come from the indexer's own `compute_hashes` over query
and label as it would get them, and are written as it writes them. The filter is called document by document, as its
pipeline does. Settings are its defaults: 12-grams of labels and of the border between query and label, numbers to 0,
punctuation and diacritics removed, spaCy's English tokenizer; `queries` looks for n-grams of queries too.
"""

import itertools
import json
import re
import resource
import sys
import time
import unicodedata
from dataclasses import replace
from importlib import metadata
from pathlib import Path

WALL, CPU = time.perf_counter(), time.process_time()

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.decont.n_grams import (  # noqa: E402
    NGramsDecontConfig,
    NGramsDecontFilter,
    NGramsDecontIndexer,
)
from datatrove.utils.text import ngrams, simplify_text  # noqa: E402
from loguru import logger  # noqa: E402

NGramsDecontIndexer._requires_dependencies = []  # lighteval, which only reads tasks from the hub
CONFIGS = {"default": NGramsDecontConfig(), "queries": NGramsDecontConfig(find_query_ngrams=True)}
SWITCHES = ("tokeniser", "numbers", "apostrophes", "punctuation", "compatibility", "characters", "commands")
"""What our normalisation does otherwise, one by one: words between spaces only, digits kept, apostrophes left out,
every sign that is no letter, digit or mark parts words, NFKC and casefold, a token a character where no spaces are
written, TeX commands of over 3 letters left out."""
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
APOSTROPHES = re.compile("['`\u00b4\u02bc\u02b9\u2018\u2019\u201b\u2032\uff07]")


def rows(path: str) -> list[dict]:
    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all().to_pylist()


def index(items: str, folder: Path) -> dict:
    """Writes FOLDER/CONFIG/TASK.index.hashes."""
    seconds = {}
    read = rows(items)
    for name, config in CONFIGS.items():
        start = time.process_time()
        indexer = NGramsDecontIndexer(str(folder / name), config=config)
        hashes: dict[str, set[int]] = {}
        for row in read:
            hashes.setdefault(row["task"], set()).update(indexer.compute_hashes(row["label"], row["query"]))
        (folder / name).mkdir(parents=True, exist_ok=True)
        for task, found in hashes.items():
            array = np.array(list(found), dtype=config.hash_config.np_descr)
            array.tofile(folder / name / f"{task}.index.hashes")
        count = sum(map(len, hashes.values()))
        seconds[name] = {"cpu_s": time.process_time() - start, "hashes": count, "megabytes": count * 8 / 1e6}
    return seconds


def scan(items: str, folder: Path, texts: str, configs: list[str]) -> dict:
    """Decisions and CPU seconds; `found` is [row, n-gram] of every text that goes."""
    documents = [Document(text=row["text"], id=str(i)) for i, row in enumerate(rows(texts))]
    size = sum(len(document.text.encode()) for document in documents)
    out: dict = {"megabytes": size / 1e6, "configs": {}}
    for name in configs:
        start = time.process_time()
        step = NGramsDecontFilter(str(folder / name), config=CONFIGS[name])
        step.filter(Document(text="The first text starts the tokenizer of this process.", id=""))
        load = time.process_time() - start
        wall, cpu = time.perf_counter(), time.process_time()
        kept = [step.filter(document) for document in documents]
        spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        found = [[i, documents[i].metadata["contaminated_ngram"]] for i, one in enumerate(kept) if one is not True]
        out["configs"][name] = {**spent, "load_cpu_s": load, "found": found}
        for document in documents:
            document.metadata.clear()
    if len(configs) > 1:
        out["witnesses"] = witnesses(items, {gram for name in configs for _, gram in out["configs"][name]["found"]})
    out["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return out


def witnesses(items: str, grams: set[str]) -> dict[str, int]:
    """The first item that has each n-gram, letter by letter; an n-gram that no item has was found by its hash alone."""
    indexer = NGramsDecontIndexer("unused", config=CONFIGS["queries"])
    size = indexer.config.n_grams
    found: dict[str, int] = {}
    for number, row in enumerate(rows(items)):
        cut = [indexer.tokenizer.word_tokenize(simplify_text(row[part], indexer.config.norm_config))
               for part in ("query", "label")]  # fmt: skip
        for gram in map(" ".join, ngrams(cut[0] + cut[1], size)):
            if gram in grams:
                found.setdefault(gram, number)
    return found


def tokens(text: str, on: frozenset[str], tokenizer) -> list[str]:
    """datatrove's tokens, less the differences that are switched on."""
    if "commands" in on:
        text = re.sub(r"\\[A-Za-z]{4,}", " ", text)
    if "compatibility" in on:
        folded = unicodedata.normalize("NFKC", text).casefold()
        text = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    if "apostrophes" in on:
        text = APOSTROPHES.sub("", text)
    if "punctuation" in on:
        text = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text)
    if "characters" in on:
        text = re.sub(f"([{SPACELESS}])", r" \1 ", text)
    config = replace(CONFIGS["queries"].norm_config, norm_numbers="numbers" not in on)
    text = simplify_text(text, config)
    return text.split() if "tokeniser" in on else tokenizer.word_tokenize(text)


def explain(pairs: str) -> list[dict]:
    """For each pair whether it matches as datatrove cuts, with all switches on, and the fewest that turn it over."""
    tokenizer = NGramsDecontIndexer("unused", config=CONFIGS["queries"]).tokenizer
    size = CONFIGS["queries"].n_grams
    out = []
    for row in rows(pairs):

        def shared(on: frozenset[str], row: dict = row) -> bool:
            item = tokens(row["query"], on, tokenizer) + tokens(row["label"], on, tokenizer)
            return not set(ngrams(item, size)).isdisjoint(ngrams(tokens(row["text"], on, tokenizer), size))

        theirs = shared(frozenset())
        sets = (frozenset(s) for n in range(1, len(SWITCHES) + 1) for s in itertools.combinations(SWITCHES, n))
        cause = next((sorted(on) for on in sets if shared(on) != theirs), None)
        out.append({"theirs": theirs, "all_on": shared(frozenset(SWITCHES)), "cause": cause})
    return out


def main() -> None:
    """See the module."""
    logger.remove()
    start = {"wall_s": time.perf_counter() - WALL, "cpu_s": time.process_time() - CPU}
    versions = {p: metadata.version(p) for p in ("datatrove", "spacy")}
    what, *given = sys.argv[1:]
    if what == "index":
        print(json.dumps({"start": start, "versions": versions, "configs": index(given[0], Path(given[1]))}))
    elif what == "scan":
        found = scan(given[0], Path(given[1]), given[2], given[4:])
        Path(given[3]).write_text(json.dumps({"start": start, "versions": versions, **found}))
    else:
        Path(given[1]).write_text(json.dumps(explain(given[0])))


if __name__ == "__main__":
    main()
