"""Counts of a method's verdicts on cases: recall and precision of each form of plants, false positives of each form of
negatives, with Wilson intervals.

The ratio of plants to negatives is fixed (PLANTS_PER_NEGATIVE) and does not hang on how many cases were made: every
form of plants weighs the same, every form of negatives weighs the same, and precision is
`ratio * recall / (ratio * recall + false positive rate)`, which at ratio 1 is that of as many plants as negatives.
A form of plants has its own recall and precision, the latter against all negatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pipeline.errors import ConfigError, nearest

from .cases import FORMS, Case
from .forms import VERDICTS

PLANTS_PER_NEGATIVE = 1.0
Z95 = 1.959963984540054
"""The normal quantile of two-sided 95 % intervals."""

Verdict = str | Mapping[str, str]
"""`dirty`, `suspect` or `clean` for a text as a whole, or the verdict for each item that the method names."""
Method = Callable[[Sequence[str]], Sequence[Verdict]]
"""Any method: texts to one verdict each."""


def wilson(successes: float, trials: float, z: float = Z95) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927); (0, 1) without trials. Raises ValueError outside 0 <= s <= n."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def precision_at(recall: float, false_positive_rate: float, ratio: float = PLANTS_PER_NEGATIVE) -> float | None:
    """Share of right ones among what is flagged, with `ratio` plants to a negative; None where nothing is flagged."""
    flagged = ratio * recall + false_positive_rate
    return ratio * recall / flagged if flagged else None


def f1_of(precision: float | None, recall: float) -> float:
    """Harmonic mean of precision and recall; 0 where both are 0 or nothing is flagged."""
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def judge(cases: Sequence[Case], method: Method, batch: int = 500) -> list[Verdict]:
    """The method's verdicts on the cases' texts, asked for in batches.

    Raises ConfigError where it gives another number of verdicts than texts, or a word that is no verdict."""
    verdicts: list[Verdict] = []
    for start in range(0, len(cases), batch):
        texts = [case.text for case in cases[start : start + batch]]
        given = list(method(texts))
        if len(given) != len(texts):
            raise ConfigError(f"scorecard: the method gave {len(given)} verdicts on {len(texts)} texts")
        verdicts += given
    for verdict in verdicts:
        for word in [verdict] if isinstance(verdict, str) else verdict.values():
            if word not in VERDICTS:
                raise ConfigError(f"scorecard: {word!r} is no verdict{nearest(word, VERDICTS)}")
    return verdicts


def verdict_on(case: Case, verdict: Verdict) -> str:
    """One word for a case: the gravest verdict on an item that a plant carries; of a negative, on one that it doesn't.

    Where a method names items, the wrong one found in a plant is no find."""
    if isinstance(verdict, str):
        return verdict
    return _gravest(case, verdict, FORMS[case.form].contaminated)


def _gravest(case: Case, verdict: Mapping[str, str], carried: bool) -> str:
    ranks = [VERDICTS.index(word) for item, word in verdict.items() if (item in case.carries) == carried]
    return VERDICTS[max(ranks, default=0)]


@dataclass(frozen=True)
class FormScore:
    """Counts of one form. `flagged`: cases at the scorecard's level or above, `rate` their share with its 95 %
    interval (`low`, `high`): the recall of plants, the false positive rate of negatives. `as_expected`: plants with at
    least, negatives with at most the expected verdict. `others`: plants in which the method named, at the level or
    above, an item that is not there (0 for methods that name none). `precision`, `f1`: None for negatives."""

    form: str
    contaminated: bool
    expected: str
    cases: int
    dirty: int
    suspect: int
    clean: int
    flagged: int
    rate: float
    low: float
    high: float
    as_expected: int
    others: int
    precision: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Scorecard:
    """A method's counts: `forms` in the order of FORMS, and over all of them, each form weighing the same.

    Shares come with 95 % intervals: Wilson's with as many trials as cases for recall and false positive rate; that of
    precision combines their ends, so that it is rather too wide. None where there are no plants or no negatives."""

    level: str
    plants_per_negative: float
    forms: tuple[FormScore, ...]
    recall: float | None
    recall_interval: tuple[float, float] | None
    false_positive_rate: float | None
    false_positive_interval: tuple[float, float] | None
    precision: float | None
    precision_interval: tuple[float | None, float | None] | None
    f1: float | None

    def rows(self) -> list[dict[str, object]]:
        """One flat record a form, for tables, CSV and JSON."""
        return [asdict(form) for form in self.forms]


def _count(form: str, judged: Iterable[tuple[Case, Verdict]], level: str) -> FormScore:
    kind = FORMS[form]
    least, expected = VERDICTS.index(level), VERDICTS.index(kind.expected)
    ranks, others = [], 0
    for case, verdict in judged:
        ranks.append(VERDICTS.index(verdict_on(case, verdict)))
        if kind.contaminated and not isinstance(verdict, str):
            others += VERDICTS.index(_gravest(case, verdict, False)) >= least
    flagged = sum(rank >= least for rank in ranks)
    low, high = wilson(flagged, len(ranks))
    right = sum(rank >= expected if kind.contaminated else rank <= expected for rank in ranks)
    counts = [ranks.count(rank) for rank in range(len(VERDICTS))]
    return FormScore(form, kind.contaminated, kind.expected, len(ranks), counts[2], counts[1], counts[0],
                     flagged, flagged / len(ranks), low, high, right, others)  # fmt: skip


def _mean(forms: Sequence[FormScore]) -> tuple[float, tuple[float, float]] | None:
    if not forms:
        return None
    rate = sum(form.rate for form in forms) / len(forms)
    trials = sum(form.cases for form in forms)
    return rate, wilson(min(rate * trials, trials), trials)


def scorecard(
    cases: Sequence[Case], verdicts: Sequence[Verdict], level: str = "dirty", ratio: float = PLANTS_PER_NEGATIVE
) -> Scorecard:
    """Counts verdicts, one a case. level: the least verdict that counts as flagged, `dirty` or `suspect`.

    Raises ConfigError for another level, a ratio that is not above 0, or another number of verdicts than cases."""
    if level not in VERDICTS[1:]:
        raise ConfigError(f"scorecard: level is {level!r}, not suspect or dirty{nearest(level, VERDICTS[1:])}")
    if not ratio > 0:
        raise ConfigError(f"scorecard: the ratio of plants to negatives is {ratio}; it must be above 0")
    if len(cases) != len(verdicts):
        raise ConfigError(f"scorecard: {len(verdicts)} verdicts on {len(cases)} cases")
    groups: dict[str, list[tuple[Case, Verdict]]] = {name: [] for name in FORMS}
    for case, verdict in zip(cases, verdicts, strict=True):
        groups[case.form].append((case, verdict))
    counted = [_count(name, judged, level) for name, judged in groups.items() if judged]
    plants = _mean([form for form in counted if form.contaminated])
    negatives = _mean([form for form in counted if not form.contaminated])
    recall, recalls = plants or (None, None)
    false, falses = negatives or (None, None)
    precision = f1 = interval = None
    if plants and negatives:
        precision = precision_at(plants[0], negatives[0], ratio)
        f1 = f1_of(precision, plants[0])
        interval = (
            precision_at(plants[1][0], negatives[1][1], ratio),
            precision_at(plants[1][1], negatives[1][0], ratio),
        )
    forms = tuple(_with_precision(form, false, ratio) for form in counted)
    return Scorecard(level, ratio, forms, recall, recalls, false, falses, precision, interval, f1)


def _with_precision(form: FormScore, false_positive_rate: float | None, ratio: float) -> FormScore:
    if not form.contaminated or false_positive_rate is None:
        return form
    precision = precision_at(form.rate, false_positive_rate, ratio)
    return FormScore(**{**asdict(form), "precision": precision, "f1": f1_of(precision, form.rate)})
