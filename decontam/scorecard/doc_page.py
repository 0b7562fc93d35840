"""docs/decontam-scorecard.md: the forms and what was measured, `python -m decontam.scorecard.doc_page RESULTS`.

RESULTS is the folder of committed measurements; the page goes to the standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..doc_tables import markdown, share
from .cases import FORMS
from .compare import COPIES

HEAD = """# Scorecard of decontamination

This page is made from the code and from `benchmarks/results/decontam_scorecard.json` by `make docs`; change these, not
the page.

`gristmill decontam benchmark` plants benchmark items in web pages, in many forms and with known answers, beside hard
negatives, runs all methods over them in one pass and counts what each finds. Without options it takes the sample crawl
and its twenty questions; with `--bench` and `--texts` your own benchmarks and pages. `--html` writes a page with the
plot, `--cases` all cases with all verdicts, to be read.

- A plant is found if an item that the text truly carries is called dirty; to name another one is no find. A negative is
  a false positive if any item that it does not carry is called dirty.
- Every form weighs the same. Precision is at one plant to a negative, whatever the number of cases:
  recall / (recall + false positive rate). Intervals are Wilson's, of 95 %.
- Half of the benchmarks and hosts, by a hash of their names, are for tuning, the others for reporting. The generators
  were committed before any method was tuned, and the default method was frozen before the reporting half was run first.
  What that showed was then worked on, so that both halves are development data since. The last word is that of a third
  set, *fresh*: benchmarks in neither half, committed before that work began, and run once after it, on pages of both.
- `matchable` is recall on the plants of items that the method's own rule does not leave out: a 13-gram method can't
  find an item of twelve words.
"""
SHORT_OF = """Where the default method falls short on the fresh set, which was not worked on after it was run:

- **Two lines that say nearly the same** (MRPC's pairs of news): one of them alone is aligned with both, and is called
  dirty on any page that has it. The same stretch of text should not count for two places of a question.
- **Rows of letters and numbers** (`A B C`, then `D`; `2 4 6 8`, then `10`, of OLMo's basic skills): such few tokens and
  their answer stand in instructions (`A, B, C, or D`), code, tables and calendars. The exact search names them too.

On the halves it was developed on:

- **A long source with a short question.** MMLU's history questions quote half a page and ask one line. A missing piece
  that tells as much as a question has to makes a hit suspect, which the line does most often, not always.
- **Cloze questions written on a sentence** (SciQ): the passage says nearly the words of the question, and its answer.
  A textbook that has the sentence is a false positive here; those who read the pairs in real textbooks called it true.
- **Items that are punctuation** (BBH's brackets): the normalisation leaves nothing of them but what all have in common.
  They are counted as not matchable.
- **Short questions cut in two** by a page's footer: neither half has a seed.
- **Formulas in another notation**, and a fifth of the words changed: many are suspect, not dirty.
"""
KINDS = (("plants", True), ("hard negatives", False))


def forms() -> str:
    """What each form is, in two tables."""
    parts = []
    for title, contaminated in KINDS:
        rows = [
            [f"`{form.name}`", form.expected, form.doc] for form in FORMS.values() if form.contaminated == contaminated
        ]
        verdict = "least verdict it deserves" if contaminated else "gravest verdict it may get"
        parts.append(f"### {title.capitalize()}\n\n{markdown(['form', verdict, 'what it is'], rows)}")
    return "\n".join(parts)


def targets(result: dict[str, Any]) -> str:
    """What the default method had to reach, and reached: on the fresh set, and on the halves it was developed on."""
    rows = []
    for name, one in result["halves"]["fresh"]["targets"].items():
        halves = [share(result["halves"][half]["targets"][name]["reached"]) for half in ("tuning", "reporting")]
        met = "yes" if one["met"] else "**no**"
        first = share(result["first_look"][name])
        rows.append([name, f"at least {share(one['target'])}", first, *halves, share(one["reached"]), met])
    columns = [
        "reporting half, first look",
        "tuning half",
        "reporting half, second look",
        "fresh set, once",
        "met there",
    ]
    return markdown(["default method", "target", *columns], rows)


def summary(half: dict[str, Any]) -> str:
    """All methods on one half."""
    rows = []
    for name, method in half["methods"].items():
        one = method["summary"]
        rows.append(
            [
                f"`{name}`", share(one["precision"]), interval(one["precision_interval"]), share(one["recall"]),
                interval(one["recall_interval"]), share(one["f1"]), share(one["false_positive_rate"]),
                share(method["matchable"]["summary"]["recall"]), share(one["others"] / one["plants"]),
            ]
        )  # fmt: skip
    columns = ["method", "precision", "95 %", "recall", "95 %", "F1", "false positives", "matchable", "wrong item too"]
    return markdown(columns, rows)


def by_form(half: dict[str, Any], contaminated: bool) -> str:
    """Shares by form and method, with the default method's interval."""
    tables = {name: {row["form"]: row for row in method["forms"]} for name, method in half["methods"].items()}
    rows = []
    for form in half["forms"]:
        if form["contaminated"] == contaminated and form["cases"]:
            found = [table[form["form"]] for table in tables.values()]
            first = interval([found[0]["low"], found[0]["high"]])
            shares = [share(row["rate"]) for row in found]
            rows.append([f"`{form['form']}`", form["cases"], shares[0], first, *shares[1:]])
    names = [f"`{name}`" for name in tables]
    return markdown(["form", "cases", names[0], "95 %", *names[1:]], rows)


def guard(half: dict[str, Any]) -> str:
    """False positives with the guard off, on, and on with a background sample, where they differ."""
    one = half["guard"]
    rows = []
    for name, method in half["methods"].items():
        off, common = one["off"][name], one["common"][name]
        on = {"recall": method["summary"]["recall"], **{row["form"]: row["rate"] for row in method["forms"]}}
        told = [
            form["form"]
            for form in half["forms"]
            if form["cases"] and not form["contaminated"]
            and len({off[form["form"]], on[form["form"]], common[form["form"]]}) > 1
        ]  # fmt: skip
        for form in [*told, "recall"] if told else []:
            shown = "recall of all plants" if form == "recall" else f"`{form}`"
            rows.append([f"`{name}`", shown, *(share(table[form]) for table in (off, on, common))])
    return markdown(["method", "form", "off", "on", "on, with the background"], rows)


def _with_background(half: dict[str, Any], method: str = "coverage") -> float:
    """A method's precision where the background sample holds what many pages quote."""
    common = half["guard"]["common"][method]
    rates = [common[form["form"]] for form in half["forms"] if form["cases"] and not form["contaminated"]]
    precision: float = common["recall"] / (common["recall"] + sum(rates) / len(rates))
    return precision


def real(half: dict[str, Any]) -> list[list[object]]:
    """Pages without plants, by method."""
    pages = half["real"]["pages"]
    return [[f"`{name}`", pages, one["dirty"], one["suspect"]] for name, one in half["real"]["methods"].items()]


def known(result: dict[str, Any]) -> str:
    """What the methods say of the pages that are known to quote an item."""
    rows = []
    for name, one in result["known_pages"].items():
        said = [
            f"`{method}`: " + ", ".join(f"{item} {word}" for item, word in list(given.items())[:2])
            + (f" and {len(given) - 2} more" if len(given) > 2 else "")
            for method, given in one["methods"].items()
        ]  # fmt: skip
        rows.append([f"{name}, {one['url'].split('/')[2]}", "; ".join(said)])
    return markdown(["page", "what the methods say"], rows)


def interval(ends: Sequence[float | None]) -> str:
    """Both ends of an interval."""
    return " to ".join(share(end) for end in ends)


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    tuning, reporting, fresh = (result["halves"][name] for name in ("tuning", "reporting", "fresh"))
    size = f"{sum(form['cases'] for form in fresh['forms']):,} cases, {fresh['items']:,} items in the index"
    short = "; ".join(
        f"{half}: " + ", ".join(f"`{name}` {count}" for name, count in result["halves"][half]["short"].items())
        for half in result["halves"]
        if result["halves"][half]["short"]
    )
    mixed = [[*left, *right[1:]] for left, right in zip(real(tuning), real(reporting), strict=True)]
    return "\n".join(
        [
            HEAD,
            f"## Forms\n\n{forms()}",
            f"## Targets\n\nThe first look at the reporting half was at commit {result['first_frozen']}; the method "
            f"was frozen again at {result['frozen']}. Fresh set: {', '.join(fresh['benchmarks'])}; {size}.\n\n"
            f"{targets(result)}",
            SHORT_OF,
            "With a background sample in which the sources stand (see below) the default method's precision is "
            f"{share(_with_background(fresh))} on the fresh set, {share(_with_background(reporting))} on the reporting "
            "half.\n",
            f"## All methods, fresh set\n\n{summary(fresh)}",
            f"Recall by form of plants:\n\n{by_form(fresh, True)}",
            f"False positive rate by form of hard negatives:\n\n{by_form(fresh, False)}",
            f"## All methods, reporting half, second look\n\n{summary(reporting)}",
            f"Recall by form of plants:\n\n{by_form(reporting, True)}",
            f"False positive rate by form of hard negatives:\n\n{by_form(reporting, False)}",
            f"## All methods, tuning half\n\n{summary(tuning)}",
            f"Recall by form of plants:\n\n{by_form(tuning, True)}",
            f"False positive rate by form of hard negatives:\n\n{by_form(tuning, False)}",
            f"Forms that lack some of the {fresh['per_form']} cases, for items ran out: {short or 'none'}.\n",
            "## The guard against what is common\n\nOff, on (n-grams that many items share are no match alone), and on "
            f"with a background sample in which each source, passage, boilerplate and famous text stands {COPIES} "
            "times, as in a corpus that has them on many pages. Reporting half; forms in which it tells, and what it "
            f"costs in recall.\n\n{guard(reporting)}",
            "## Real pages without plants\n\nEvery figure above is of planted text. Of the pages as they are the "
            "methods call so many dirty or suspect:\n\n"
            + markdown(["method", *(f"{half}: {name}" for half in ("tuning", "reporting") for name in
                                    ("pages", "dirty", "suspect"))], mixed),
            "Six of them are known to share 13 words on end with an item, or a short question whole. Most hold a "
            f"phrase or a title that is also a question, which is suspect at most:\n\n{known(result)}",
        ]
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """See the module."""
    (folder,) = map(Path, argv if argv is not None else sys.argv[1:])
    result = json.loads((folder / "decontam_scorecard.json").read_text(encoding="utf-8"))
    print(page(result), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
