"""The measured tables of docs/decontamination.md: `python -m decontam.doc_tables docs/decontamination.md RESULTS`.

RESULTS is the folder of committed measurements; a table whose measurement is not there is left as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.store import atomic_path

END = "<!-- end -->"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def share(value: float | None) -> str:
    """.98 as people write it, - where there is none."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def scorecard(result: dict[str, Any]) -> str:
    """Each method's precision, recall and F1 on the fresh set, and recall of the main forms."""
    forms = (
        "verbatim",
        "verbatim_short",
        "question_only",
        "case_noise",
        "unicode_noise",
        "substituted_10",
        "dropped_10",
    )
    rows = []
    for name, method in result["halves"]["fresh"]["methods"].items():
        one = method["summary"]
        rates = {row["form"]: row["rate"] for row in method["forms"]}
        figures = [one["precision"], one["recall"], one["f1"], one["false_positive_rate"], *map(rates.get, forms)]
        rows.append([f"`{name}`", *map(share, figures)])
    columns = ["method", "precision", "recall", "F1", "false positives", *(form.replace("_", " ") for form in forms)]
    return markdown(columns, rows)


def real(result: dict[str, Any]) -> str:
    """What each method called dirty in web pages and in other text, as the reader of the labels saw it."""
    rows = []
    for name, levels in result["web_pages"].items():
        row: list[object] = [f"`{name}`"]
        for one in (levels["dirty"], result["other_text"][name]["dirty"]):
            row += [one["pairs"], one["true"], one["arguable"], one["false"]]
        rows.append([*row, result["other_text"][name]["dirty"]["unread"], share(one["estimated"])])
    columns = ["dirty pairs", "true", "arguable", "false"]
    head = ["method", *(f"web: {c}" for c in columns), *(f"other: {c}" for c in columns), "unread", "precision (other)"]
    size = {name: (one["texts"], one["megabytes"]) for name, one in result["collections"].items()}
    told = ", ".join(f"{name} {texts:,} texts, {mb:g} MB" for name, (texts, mb) in size.items())
    return markdown(head, rows) + f"\nScanned: {told}; {result['items']:,} items.\n"


def peers(result: dict[str, Any]) -> str:
    """Speed, index and recall beside other tools."""
    forms = ("verbatim", "verbatim_short", "question_only", "apart", "case_noise", "substituted_10")
    names = {
        "ours_default": "Gristmill, default method", "ours_same_rule": "Gristmill, 12-grams", "datatrove_default":
        "datatrove, default", "datatrove_queries": "datatrove, find_query_ngrams", "decon": "AI2's decon",
        "ours_decon_method": "Gristmill, method `decon`",
    }  # fmt: skip
    rows = []
    for name, title in names.items():
        found = result["dirty_by_form"].get(name)
        if found is None:
            continue
        speed = result["speed"].get(name, {}).get("megabytes_per_second", "-")
        index = result["index"].get(name, {}).get("cpu_s", "-")
        shown = [
            f"{dirty / every:.2f}" if every else "-" for dirty, every in (found.get(form, (0, 0)) for form in forms)
        ]
        rows.append([title, speed, index if index == "-" else f"{index:.0f}", *shown])
    head = ["system", "MB/s a core", "index, CPU s", *(f"recall: {form.replace('_', ' ')}" for form in forms)]
    ratios = ", ".join(
        f"{value:g} times {name.split('_')[0]}'s" for name, value in result["ratio_of_default_to"].items()
    )
    return markdown(head, rows) + (
        f"\n{result['documents']:,} texts of {result['megabytes']:g} MB, {result['items']:,} items, "
        f"{result['runs']} run{'s' if result['runs'] > 1 else ''}. The default method reads {ratios} MB/s.\n"
    )


def decisions(result: dict[str, Any]) -> str:
    """Why decisions differ from datatrove's."""
    one = result["decisions"]
    rows = [["both", one["both"], ""], ["neither", one["neither"], ""]]
    rows += [["only datatrove", count, cause] for cause, count in one["theirs_only"]]
    rows += [["only ours", count, cause] for cause, count in one["ours_only"]]
    told = (
        f"\nOf {one['examined']} differences {one['their_decision_reproduced']} of datatrove's decisions and "
        f"{one['ours_reproduced_with_all_switches']} of ours came out again in this way; "
        f"{one['their_hash_collisions']} were collisions of hashes.\n"
    )
    return markdown(["dirty for", "texts", "what makes the difference"], rows) + told


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "scorecard": ("decontam_scorecard", scorecard),
    "real": ("decontam_real", real),
    "peers": ("decontam_peers", peers),
    "decisions": ("decontam_peers", decisions),
}
"""Name of a table's mark, the measurement, and what makes it."""


def put(text: str, results: Path) -> str:
    """The page with the tables between their marks."""
    for name, (file, made) in TABLES.items():
        path = results / f"{file}.json"
        begin = f"<!-- {name} -->\n"
        before, found, rest = text.partition(begin)
        if path.is_file() and found:
            table = made(json.loads(path.read_text(encoding="utf-8")))
            text = before + begin + table + END + rest.partition(END)[2]
    return text


def main(argv: list[str] | None = None) -> int:
    """See the module."""
    page, results = map(Path, argv if argv is not None else sys.argv[1:])
    text = put(page.read_text(encoding="utf-8"), results)
    with atomic_path(page) as part:
        part.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
