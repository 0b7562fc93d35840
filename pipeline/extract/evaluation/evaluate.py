"""Scores engines (or ready-made texts) on the gold sets and sums the scores up.

Reported of each set: WCXB the mean word F1, DANIEL the mean 4-gram F1 (and with ideographs as words, which
changes Chinese only), trafilatura's segments F1 of the summed counts; each also by page type or language, with the
paired interval of the first contender's lead over each other one.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...progress import Progress
from . import fields
from .bootstrap import RESAMPLES, Interval, Statistic, mean, paired_difference
from .gold import GoldPage
from .running import Output
from .scores import Reference, Score, SnippetCounts, shingles, snippet_counts, snippet_f1, words

MEASURES = {"wcxb": "word F1", "daniel_waddle": "4-gram F1", "trafilatura_segments": "snippet F1"}
CHARACTERS = "4-gram F1, ideographs as words"

_UNITS: dict[str, Callable[[str], Sequence[Any]]] = {
    "word F1": words,
    "4-gram F1": shingles,
    CHARACTERS: functools.partial(shingles, characters=True),
}


@dataclass(frozen=True, slots=True)
class PageScore:
    """A page's result: `score` by the set's measure, `characters` beside it for DANIEL, or `snippets` instead."""

    score: Score | None = None
    characters: Score | None = None
    snippets: SnippetCounts | None = None

    def row(self, measure: str) -> list[float]:
        """What is summed over pages for a measure: see `statistic`."""
        if measure == "snippet F1":
            if self.snippets is None:
                raise ValueError("the page has no snippet counts")
            return [self.snippets.found, self.snippets.lost, self.snippets.leaked]
        score = self.characters if measure == CHARACTERS else self.score
        if score is None:
            raise ValueError(f"the page has no {measure}")
        return [score.f1, 1.0, score.precision, score.recall]


def statistic(measure: str) -> Statistic:
    """From sums of `PageScore.row` over pages to the measure's figure."""
    return _snippet_statistic if measure == "snippet F1" else mean


def _snippet_statistic(sums: np.ndarray) -> np.ndarray:
    return 2 * sums[..., 0] / np.maximum(2 * sums[..., 0] + sums[..., 1] + sums[..., 2], 1)


def measures(name: str) -> tuple[str, ...]:
    """The measures of a gold set, the main one first."""
    return (MEASURES[name], CHARACTERS) if name == "daniel_waddle" else (MEASURES[name],)


def score_texts(pages: Sequence[GoldPage], texts: Mapping[tuple[str, str], str] | Sequence[str]) -> list[PageScore]:
    """A score for each page: `texts` are in the order of the pages, or by (set, id).

    Raises ConfigError if a page has no text, since leaving it out or calling it empty would both mislead.
    """
    if isinstance(texts, Mapping):
        lacking = [page for page in pages if (page.set, page.id) not in texts]
        if lacking:
            raise ConfigError(f"{len(lacking)} pages have no text, first {lacking[0].set} '{lacking[0].id}'")
        texts = [texts[page.set, page.id] for page in pages]
    if len(texts) != len(pages):
        raise ConfigError(f"there are {len(texts)} texts for {len(pages)} pages")
    return [_score(page, text) for page, text in zip(pages, texts, strict=True)]


def _score(page: GoldPage, text: str) -> PageScore:
    measure = MEASURES[page.set]
    if measure == "snippet F1":
        return PageScore(snippets=snippet_counts(text, page.with_segments, page.without_segments))
    score = _reference(measure, page.text or "").score(text)
    return PageScore(
        score=score,
        characters=_reference(CHARACTERS, page.text or "").score(text) if page.set == "daniel_waddle" else None,
    )


@functools.lru_cache(maxsize=8192)
def _reference(measure: str, gold: str) -> Reference:
    return Reference.of(gold, _UNITS[measure])


def read_texts(file: Path) -> dict[tuple[str, str], Output]:
    """Ready-made texts: JSON lines with `set`, `id`, `text` and perhaps `title`, `author`, `date`, `page_type`.

    Raises ConfigError for what is no such file and for a page that it has twice.
    """
    found: dict[tuple[str, str], Output] = {}
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in ("set", "id")):
                    raise ConfigError(f"texts '{file}' line {number}: needs set, id and text")
                if not isinstance(record.get("text"), str):
                    raise ConfigError(f"texts '{file}' line {number}: `text` must be a string")
                key = (record["set"], record["id"])
                if key in found:
                    raise ConfigError(f"texts '{file}' line {number}: {key[0]} '{key[1]}' is there twice")
                title, author, date, kind = (record.get(name) for name in ("title", "author", "date", "page_type"))
                found[key] = Output(record["text"], title=title, author=author, date=date, page_type=kind)
    except FileNotFoundError as error:
        raise ConfigError(f"texts '{file}' does not exist") from error
    except ValueError as error:
        raise ConfigError(f"texts '{file}' is not JSON lines in UTF-8: {error}") from error
    return found


@dataclass(frozen=True)
class Slice:
    """Pages that are summed up together: a whole set, or one page type or language of it."""

    set: str
    name: str
    pages: tuple[int, ...]


def slices(pages: Sequence[GoldPage]) -> list[Slice]:
    """Each set, followed by its page types (languages), by name."""
    found: dict[str, dict[str, list[int]]] = {}
    for i, page in enumerate(pages):
        parts = found.setdefault(page.set, {})
        parts.setdefault("", []).append(i)
        part = page.page_type or page.lang
        if part:
            parts.setdefault(part, []).append(i)
    return [
        Slice(name, part or "all", tuple(members))
        for name, parts in found.items()
        for part, members in sorted(parts.items())
    ]


def summarise(
    pages: Sequence[GoldPage],
    scores: Mapping[str, Sequence[PageScore]],
    groups: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row for each slice, measure and contender, the first of `scores` being the one whose lead is tested.

    Keys: set, slice, measure, contender, pages, precision, recall, f1, lead (None for the first itself, else
    [difference, low, high]: the first's figure less this one's, the ends None where all pages are of one group).
    """
    rows = []
    first = next(iter(scores))
    for part in slices(pages):
        chosen = [groups[i] for i in part.pages]
        for measure in measures(part.set):
            if measure == CHARACTERS and part.name not in ("all", "Chinese"):
                continue  # no other language has ideographs
            sums = {name: np.array([found[i].row(measure) for i in part.pages]) for name, found in scores.items()}
            for name, found in scores.items():
                lead: Interval | None = None
                if name != first:
                    lead = paired_difference(
                        sums[first], sums[name], chosen, statistic(measure), resamples=resamples, seed=seed
                    )
                row: dict[str, Any] = {"set": part.set, "slice": part.name, "measure": measure, "contender": name}
                row |= {"pages": len(part.pages)} | _total(measure, [found[i] for i in part.pages])._asdict()
                rows.append(row | {"lead": None if lead is None else list(lead)})
    return rows


def _total(measure: str, scores: Sequence[PageScore]) -> Score:
    if measure == "snippet F1":
        return snippet_f1([score.snippets for score in scores if score.snippets is not None])
    totals = np.array([score.row(measure) for score in scores]).mean(axis=0)
    return Score(float(totals[2]), float(totals[3]), float(totals[0]))


def speeds(outputs: Mapping[str, Sequence[Output]]) -> list[dict[str, Any]]:
    """Of each engine pages a second of CPU time, pages without text, and errors by kind."""
    rows = []
    for name, found in outputs.items():
        seconds = sum(output.seconds for output in found)
        kinds = Counter(output.error.partition(":")[0] for output in found if output.error)
        rows.append(
            {
                "contender": name,
                "pages": len(found),
                "seconds": seconds,
                "pages_per_s": len(found) / seconds if seconds else None,
                "slowest_s": max((output.seconds for output in found), default=0.0),
                "empty": sum(not output.text for output in found),
                "errors": dict(sorted(kinds.items())),
            }
        )
    return rows


def metadata_rows(pages: Sequence[GoldPage], outputs: Mapping[str, Sequence[Output]]) -> list[dict[str, Any]]:
    """How often each contender has title, author, date and page type right, over WCXB's pages.

    Keys: contender, field, pages (that have it in the gold), right (share of these), given (share of these for
    which it said anything), unasked (share of the others for which it said something).
    A contender that says nothing of a field anywhere has no row for it.
    """
    rows = []
    chosen = [i for i, page in enumerate(pages) if page.set == "wcxb"]
    for name, found in outputs.items():
        for field in (*fields.FIELDS, "page_type"):
            if not any(getattr(found[i], field) for i in chosen):
                continue
            having = [i for i in chosen if getattr(pages[i], field)]
            others = [i for i in chosen if not getattr(pages[i], field)]
            right = [fields.same(field, getattr(found[i], field), getattr(pages[i], field)) for i in having]
            rows.append(
                {
                    "contender": name,
                    "field": field,
                    "pages": len(having),
                    "right": _share(right),
                    "given": _share([bool(getattr(found[i], field)) for i in having]),
                    "unasked": _share([bool(getattr(found[i], field)) for i in others]),
                }
            )
    return rows


def _share(marks: Sequence[bool]) -> float | None:
    return sum(marks) / len(marks) if marks else None


def score_outputs(
    pages: Sequence[GoldPage], outputs: Mapping[str, Sequence[Output]], progress: Progress | None = None
) -> dict[str, list[PageScore]]:
    """`score_texts` for each contender."""
    scores: dict[str, list[PageScore]] = {}
    with (progress or Progress(quiet=True)).bar("scores", total=len(outputs), unit="pages") as bar:
        for name, found in outputs.items():
            scores[name] = score_texts(pages, [output.text for output in found])
            bar.advance(1, len(pages))
    return scores


def page_rows(
    pages: Sequence[GoldPage],
    scores: Mapping[str, Sequence[PageScore]],
    outputs: Mapping[str, Sequence[Output]],
    groups: Sequence[int],
) -> list[dict[str, Any]]:
    """Each page with its group and, by contender, precision, recall and F1 or the snippet counts, and the error."""
    rows = []
    for i, page in enumerate(pages):
        results: dict[str, Any] = {}
        for name, found in scores.items():
            score = found[i].score or found[i].snippets
            results[name] = {k: round(v, 5) for k, v in score._asdict().items()} if score else {}
            if outputs[name][i].error:
                results[name]["error"] = outputs[name][i].error
        rows.append({"set": page.set, "id": page.id, "part": page.page_type or page.lang, "group": groups[i]} | results)
    return rows
