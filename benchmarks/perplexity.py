"""The bundled character models of the stage `perplexity` as a detector of gibberish, and their speed.

Thresholds come from some sources of real pages and from gibberish of one seed (`calibration`); false positives and
recall are counted on other sources and another seed (`held_out`). No source is part of the models' training text.

    make bench-perplexity     or: python -m benchmarks.perplexity [--data FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.common import SHARED, alternate, medians, write
from benchmarks.gibberish import KINDS
from benchmarks.texts import real_texts
from filters.lm.bundle import LANGUAGES
from filters.perplexity import Perplexity
from pipeline.stage import make

CALIBRATION = (
    "autopager", "cc_arc_2008_2010", "daniel_waddle", "debian_handbook", "formasaurus", "trafilatura", "webkb",
    "webstruct", "kocohub_ko", "eld_tweets",
)  # fmt: skip
"""Sources that thresholds may be chosen by; all others are held out."""
OTHER_LANGUAGES = "udhr_in_other_languages"
"""The UN declaration in languages that lid.176 takes for one of ours."""
OPTIONS: dict[str, Any] = {"by_language": "characters", "min_tokens": 100, "max_chars": 10_000}
"""As in the recipe crawl-to-shards."""
MADE_CHARS, MADE_A_LANGUAGE, MATERIAL_CHARS = 1500, 60, 100_000
SHORT_TEXTS = 20
"""Comments and tweets are judged so many at a time, as a page of them."""
LATIN = ("de", "en", "es", "fr", "it", "nl", "pl", "pt")
PLAIN_KINDS = ("random_letters", "keyboard_mash", "shuffled_characters")


def pages(data: Path) -> Iterable[tuple[str, str]]:
    """(source, text) of the real pages."""
    table = real_texts()
    source: dict[str, str] = {}
    udhr: dict[str, str] = {}
    for one in _json_lines(data / "lid" / "udhr_529.jsonl.gz"):
        udhr[one["code"]] = f"udhr_{one['bcp47'].split('-')[0]}"
    for file in sorted((data / "html").glob("*.index.jsonl.gz")):
        for one in _json_lines(file):
            name = file.name.split(".")[0]
            source.setdefault(str(one.get("url")), udhr[one["label_lang"]] if name == "udhr_html" else name)
    for url, text in zip(table["url"].to_pylist(), table["text"].to_pylist(), strict=True):
        yield source.get(url, "trafilatura"), text


def other_texts(data: Path) -> Iterable[tuple[str, str]]:
    """(source, text) of documents that are no HTML pages of ours, and of short texts put together."""
    from resiliparse.extract.html2text import extract_plain_text

    for one in _json_lines(data / "quality" / "dclm_human_agreement.jsonl.gz"):
        yield "dclm_human_agreement", one["text"]
    for one in _json_lines(data / "quality" / "chinesewebtext_sample.jsonl.gz"):
        yield "chinesewebtext", one.get("raw_content") or one.get("text") or ""
    for one in _json_lines(data / "charset" / "chardet_tests.jsonl.gz"):
        try:
            html = base64.b64decode(one["b64"]).decode(one["encoding_dir"].split("-None")[0].lower(), "strict")
        except (LookupError, UnicodeDecodeError):
            continue  # folders named after more than a charset, and files broken on purpose
        yield "chardet_tests", extract_plain_text(html, main_content=True)
    short: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in _json_lines(data / "lid" / "eld_bench.jsonl.gz"):
        if one["set"] == "tweets":
            short["eld_tweets", one["lang"]].append(one["text"])
    for name, file in (("kocohub_ko", "kocohub_ko"), ("cold_zh", "cold_zh"), ("mlma", "mlma_en_fr_ar")):
        for one in _json_lines(data / "toxicity" / f"{file}.jsonl.gz"):
            text = one.get("text") or one.get("comments") or one.get("TEXT") or one.get("tweet")
            short[name, str(one.get("lang", ""))].append(text or "")
    for (name, _), texts in short.items():
        for i in range(0, len(texts) - SHORT_TEXTS + 1, SHORT_TEXTS):
            yield name, "\n".join(texts[i : i + SHORT_TEXTS])


def _json_lines(file: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def clean(data: Path, limit: int | None) -> pa.Table:
    """(source, text, lang, perplexity) of real texts whose language is recognised with a score of 0.65 or more."""
    found = [*pages(data), *other_texts(data)]
    found = found[:: max(1, len(found) // limit)] if limit else found
    table = pa.table({"source": [s for s, _ in found], "text": pa.array([t for _, t in found], pa.large_string())})
    table = make("language", {"languages": list(LANGUAGES), "min_score": 0.65})(table)
    table = table.filter(table["drop_reason"].is_null()).select(["source", "text", "lang"])
    sources = [
        s if not s.startswith("udhr") else "udhr" if s == f"udhr_{lang}" else OTHER_LANGUAGES
        for s, lang in zip(table["source"].to_pylist(), table["lang"].to_pylist(), strict=True)
    ]
    return scored(table.set_column(0, "source", pa.array(sources, pa.string())))


def scored(table: pa.Table) -> pa.Table:
    """With the column `perplexity`, and `over`: above the bundled threshold."""
    made = make("perplexity", OPTIONS)(table)
    return made.append_column("over", made["drop_reason"].is_valid()).drop_columns(["drop_reason", "perplexity_bucket"])


def gibberish(texts: pa.Table, seed: int) -> pa.Table:
    """(kind, text, lang, perplexity, over) of each kind and language, made from real texts."""
    own: dict[str, list[str]] = defaultdict(list)
    for lang, text in zip(texts["lang"].to_pylist(), texts["text"].to_pylist(), strict=True):
        if len(text) >= 300:
            own[lang].append(text)
    rows = []
    for lang in LANGUAGES:
        if not own[lang]:
            continue
        material = "\n".join(own[lang])[:MATERIAL_CHARS]
        for kind, make_one in KINDS.items():
            for n in range(MADE_A_LANGUAGE):
                rng = random.Random(f"{seed} {lang} {kind} {n}")
                text = make_one(rng, own[lang][n % len(own[lang])][:MADE_CHARS], lang, material)
                if text:
                    rows.append({"kind": kind, "text": text, "lang": lang})
    schema = pa.schema([("kind", pa.string()), ("text", pa.large_string()), ("lang", pa.string())])
    return scored(pa.Table.from_pylist(rows, schema))


def chosen(texts: pa.Table, made: pa.Table) -> dict[str, dict[str, float]]:
    """By language: the highest perplexity of real text, the 5th percentile of plain gibberish, their geometric mean.

    Languages in Latin script share the real texts' highest.
    """
    high: dict[str, float] = defaultdict(float)
    for lang, value in zip(texts["lang"].to_pylist(), texts["perplexity"].to_pylist(), strict=True):
        group = "latin" if lang in LATIN else lang
        high[group] = max(high[group], value or 0)
    found = {}
    for lang in LANGUAGES:
        low = [r["perplexity"] for r in made.to_pylist() if r["lang"] == lang and r["kind"] in PLAIN_KINDS]
        low = [v for v in low if v is not None]
        if not low:
            continue
        top, bottom = high["latin" if lang in LATIN else lang], float(np.percentile(low, 5))
        found[lang] = {
            "highest_real": round(top, 1),
            "p5_gibberish": round(bottom, 1),
            "geometric_mean": round((top * bottom) ** 0.5, 1),
        }
    return found


def rate(over: list[bool]) -> dict[str, Any]:
    """Share above the threshold, with the upper end of its 95 % interval (Clopper and Pearson)."""
    from scipy.stats import beta

    n, k = len(over), sum(over)
    upper = 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
    return {"share": round(k / n, 5), "above": k, "texts": n, "share_upper_95": round(upper, 5)}


def by(table: pa.Table, *columns: str) -> dict[str, Any]:
    """`rate` for each value of some columns."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for row in table.select([*columns, "over"]).to_pylist():
        groups["/".join(row[c] for c in columns)].append(row["over"])
    return {key: rate(groups[key]) for key in sorted(groups)}


def recall(made: pa.Table) -> dict[str, Any]:
    """Share of each kind that is caught: over all languages, and by language where they differ from 1."""
    found = {}
    for kind in KINDS:
        own = made.filter(pc.equal(made["kind"], kind))
        langs = by(own, "lang")
        found[kind] = {**rate(own["over"].to_pylist()), "by_language": {k: v["share"] for k, v in langs.items()}}
        del found[kind]["share_upper_95"]
    return found


def recognised(made: pa.Table) -> dict[str, Any]:
    """What of the gibberish gets past the stage `language` at all, and how much of that is caught."""
    table = make("language", {"languages": list(LANGUAGES), "min_score": 0.65})(made.select(["kind", "text"]))
    table = scored(table.filter(table["drop_reason"].is_null()).select(["kind", "text", "lang"]))
    return {"passed_language": table.num_rows, "of": made.num_rows, "caught_of_these": by(table, "kind")}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--quick", action="store_true", help="a few hundred texts, and no JSON")
    given = parser.parse_args()
    texts = clean(given.data, 400 if given.quick else None)
    mask = pa.array([s in CALIBRATION for s in texts["source"].to_pylist()])
    calibration, held = texts.filter(mask), texts.filter(pc.invert(mask))
    other = pc.equal(held["source"], OTHER_LANGUAGES)
    held, taken_for_ours = held.filter(pc.invert(other)), held.filter(other)
    made_calibration, made_held = gibberish(calibration, 1), gibberish(held, 2)
    timed = real_texts().select(["text", "lang"])
    timed = timed.filter(pc.is_in(timed["lang"], pa.array(LANGUAGES))).slice(0, 200 if given.quick else None)
    megabytes = sum(len(t.encode()) for t in timed["text"].to_pylist()) / 1e6
    whole, head = Perplexity(min_tokens=100), Perplexity(min_tokens=100, max_chars=OPTIONS["max_chars"])
    whole.scored(timed.slice(0, 100))
    seconds = alternate({"whole_text": lambda: whole.scored(timed), "max_chars": lambda: head.scored(timed)})
    value = {
        "what": "bundled model `characters`, thresholds `by_language: characters`, " + json.dumps(OPTIONS),
        "calibration": {
            "sources": dict(Counter(calibration["source"].to_pylist())),
            "false_positives": {"all": rate(calibration["over"].to_pylist())},
            "thresholds": chosen(calibration, made_calibration),
        },
        "held_out": {
            "false_positives": {
                "all": rate(held["over"].to_pylist()),
                "by_language": by(held, "lang"),
                "by_source": by(held, "source"),
                OTHER_LANGUAGES: rate(taken_for_ours["over"].to_pylist()),
            },
            "recall": recall(made_held),
            "gibberish_after_language": recognised(made_held),
        },
        "speed": {
            "documents": timed.num_rows,
            "megabytes": round(megabytes, 1),
            "megabytes_per_second": {k: round(megabytes / s, 2) for k, s in medians(seconds).items()},
            "documents_per_second": {k: round(timed.num_rows / s) for k, s in medians(seconds).items()},
            "seconds": {k: [round(s, 3) for s in v] for k, v in seconds.items()},
        },
    }
    print(json.dumps(value, indent=1, ensure_ascii=False))
    if not given.quick:
        write("perplexity", value, ("camel-kenlm", "pyarrow"))


if __name__ == "__main__":
    main()
