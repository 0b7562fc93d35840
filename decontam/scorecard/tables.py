"""The figures of `compare` as tables, as one page and as a plot: nothing is computed here but differences of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.report import Section, Share, html_page

from .plot import dots

SHORT_NAMES = {
    "gpt3_13gram": "gpt3", "llama2_skipgram": "llama2", "llama3_8gram": "llama3", "tulu3_8gram": "tulu3",
}  # fmt: skip
"""What tables call the methods, to be narrow."""


def called(method: str) -> str:
    """The method's name in tables."""
    return SHORT_NAMES.get(method, method)


def sections(result: dict[str, Any], *, blocks: str = "", detail: str | None = None) -> list[Section]:
    """Tables for the terminal and the page. `detail`: the method whose counts are shown form by form; the first one
    if none is said."""
    names = list(result["methods"])
    shown = [_about(result), _summary(result), _rates(result, True), _rates(result, False)]
    shown += [_counts(result, detail or names[0]), _matchable(result)]
    shown += [one for one in (_guard(result),) if one.rows]
    return [*shown, _real(result)]


def page(result: dict[str, Any], detail: str | None = None) -> str:
    """One self-contained page: the plot, the tables, what each form is."""
    first, *rest = sections(result, detail=detail)
    first.figures = [dots(result)]
    rows = [
        [form["form"], "plant" if form["contaminated"] else "negative", form["expected"], form["doc"]]
        for form in result["forms"]
    ]
    forms = Section("Forms", ["form", "kind", "expected verdict", "what it is"], rows)
    rows = [[name, one["able"], _options(one), "; ".join(one["sources"])] for name, one in result["methods"].items()]
    methods = Section("Methods", ["method", "items it can find", "options", "sources"], rows)
    return html_page("Scorecard of decontamination", [first, *rest, _quoting(result), forms, methods])


def _options(method: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in method["options"].items())


def _about(result: dict[str, Any]) -> Section:
    hosts = result["hosts"]
    counts = {kind: sum(form["cases"] for form in result["forms"] if form["contaminated"] == kind) for kind in (0, 1)}
    text = (
        f"{counts[1]:,} plants and {counts[0]:,} hard negatives of the {result['half']} half (seed {result['seed']}), "
        f"{result['per_form']} a form: items of {', '.join(result['benchmarks'])}; {hosts['short'] + hosts['long']:,} "
        f"pages can hold a case, {hosts['quoting']} are left out as they quote an item. The index holds "
        f"{result['items']:,} items. A plant is found if an item that the text carries is called {result['level']}; a "
        "negative is flagged if any other item is. Every form weighs the same, and precision is at "
        f"{result['plants_per_negative']:g} plants to a negative. Intervals are Wilson's, 95 %."
    )
    if result["short"]:
        short = ", ".join(f"{name} {count}" for name, count in result["short"].items())
        text += f" Forms with fewer cases, for items or pages ran out: {short}."
    return Section("Scorecard", text=text)


def _summary(result: dict[str, Any]) -> Section:
    columns = [
        "method", "precision", "95 %", "recall", "95 %", "F1", "FPR", "as expected", "matchable",
        "wrong too",
    ]  # fmt: skip
    rows = []
    for name, method in result["methods"].items():
        one = method["summary"]
        rows.append(
            [
                called(name), _share(one["precision"]), _interval(one["precision_interval"]), _share(one["recall"]),
                _interval(one["recall_interval"]), _share(one["f1"]), _share(one["false_positive_rate"]),
                _share(one["as_expected"]), _share(method["matchable"]["summary"]["recall"]),
                _share(one["others"] / one["plants"] if one["plants"] else None),
            ]
        )  # fmt: skip
    text = (
        "FPR: false positive rate; as expected: plants with at least the verdict that their form deserves; matchable: "
        "recall of the plants that the method's own rule does not leave out; wrong too: plants in which an item that "
        "is not there is called dirty."
    )
    return Section("All forms", columns, rows, text=text)


def _rates(result: dict[str, Any], contaminated: bool) -> Section:
    rows = _by_form(result, contaminated, lambda method: method["forms"])
    title = "Recall by form of plants" if contaminated else "False positive rate by form of hard negatives"
    return Section(title, ["form", "cases", *map(called, result["methods"])], rows)


def _by_form(result: dict[str, Any], contaminated: bool, forms_of: Any) -> list[list[Any]]:
    tables = [{row["form"]: row for row in forms_of(method)} for method in result["methods"].values()]
    chosen = [form for form in result["forms"] if form["contaminated"] == contaminated and form["cases"]]
    return [
        [form["form"], form["cases"], *(_share(table[form["form"]]["rate"] if form["form"] in table else None)
                                        for table in tables)]
        for form in chosen
    ]  # fmt: skip


def _counts(result: dict[str, Any], name: str) -> Section:
    rows = [
        [
            row["form"], row["expected"], row["cases"], row["dirty"], row["suspect"], _share(row["rate"]),
            _interval([row["low"], row["high"]]), _share(row["precision"]), _share(row["f1"]), row["others"],
        ]
        for row in result["methods"][name]["forms"]
    ]  # fmt: skip
    columns = ["form", "expected", "cases", "dirty", "suspect", "flagged", "interval", "precision", "F1", "wrong too"]
    text = "flagged is recall for plants and the false positive rate for hard negatives, which have no precision."
    return Section(f"{name}, form by form", columns, rows, text=text)


def _matchable(result: dict[str, Any]) -> Section:
    rows = _by_form(result, True, lambda method: method["matchable"]["forms"])
    text = "Only plants of items that the method's own rule does not leave out; how many of all items those are:"
    counts = [f"{called(name)} {method['able'] / result['items']:.0%}" for name, method in result["methods"].items()]
    for row in rows:
        del row[1]
    told = f"{text} {', '.join(counts)}."
    return Section("Recall on matchable items", ["form", *map(called, result["methods"])], rows, text=told)


def _guard(result: dict[str, Any]) -> Section:
    guard = result["guard"]
    limits = ", ".join(f"{name} {value}" for name, value in guard["limits"].items())
    rows = []
    for name, method in result["methods"].items():
        off, common = guard["off"][name], guard["common"][name]
        for row in method["forms"]:
            form = row["form"]
            if not row["contaminated"] and len({row["rate"], off[form], common[form]}) > 1:
                rows.append([called(name), form, *map(_share, (off[form], row["rate"], common[form]))])
        if rows and rows[-1][0] == called(name):
            recalls = off["recall"], method["summary"]["recall"], common["recall"]
            rows.append([called(name), "(recall of all plants)", *map(_share, recalls)])
    text = (
        f"False positives without a guard, with its limits on what many items share ({limits}), and with a background "
        f"sample too: {guard['documents']:,} documents, among which each text of {', '.join(guard['sources'])} stands "
        f"{guard['copies']} times. Only the forms that differ."
    )
    return Section("Guard against what is common", ["method", "form", "off", "on", "and background"], rows, text=text)


def _real(result: dict[str, Any]) -> Section:
    real = result["real"]
    rows = [
        [called(name), one["dirty"], one["dirty_quoting"], one["suspect"], _share(one["dirty"] / real["pages"])]
        for name, one in real["methods"].items()
    ]
    text = (
        f"{real['pages']:,} pages of {real['bytes'] / 1e6:.1f} MB as they are. Pages that quote an item share 13 words "
        "on end with it, or a short question whole, which is not yet contamination."
    )
    columns = ["method", "pages dirty", "of these quote an item", "pages suspect only", "share dirty"]
    return Section("Real pages without plants", columns, rows, text=text)


def _quoting(result: dict[str, Any]) -> Section:
    rows = []
    for one in result["real"]["quoting"]:
        said = [f"{called(name)}: {_said(given)}" for name, given in one["methods"].items()]
        rows.append([one["url"] or one["id"], "; ".join(said)])
    return Section("Pages that quote an item", ["page", "what the methods say"], rows)


def _said(verdicts: dict[str, str]) -> str:
    words = [f"{item} {word}" for item, word in list(verdicts.items())[:2]]
    return ", ".join(words) + (f" and {len(verdicts) - 2} more" if len(verdicts) > 2 else "")


def _share(value: float | None) -> Share | None:
    return None if value is None else Share(value)


def _interval(ends: Sequence[float | None] | None) -> str:
    if ends is None:
        return ""
    low, high = ("" if end is None else f"{100 * end:.1f}" for end in ends)
    return f"{low}–{high}"
