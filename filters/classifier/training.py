"""Training: labelled texts to a quantised fastText model, the same bytes every time (one thread, seeds)."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.store import atomic_path

from .card import LABEL, Card, card_path, sha256
from .evaluation import evaluate
from .model import Classifier, load
from .presets import Settings
from .split import TEST, TRAIN, draw, split_groups, text_key

_SPACE = re.compile(r"[ \t\n\v\f\r\0]+")
"""What fastText splits words at; other white space (no-break, ideographic) is part of a word there."""


@dataclass(frozen=True)
class Trained:
    """A trained model, and which side of the split each document of the table was on (split.TRAIN, TEST, OUT)."""

    classifier: Classifier
    card: Card
    side: np.ndarray


def labelled(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
) -> pa.Table:
    """A table of labelled texts as `train` and `evaluate` take it: text, label, group, source, lang."""
    n = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "label": pa.array(labels, pa.string()),
            "group": pa.array(groups if groups is not None else sources if sources is not None else [""] * n),
            "source": pa.array(sources if sources is not None else [""] * n, pa.string()),
            "lang": pa.array(languages if languages is not None else [""] * n, pa.string()),
        }
    )


def train(
    table: pa.Table,
    output: Path,
    settings: Settings,
    *,
    positive: str,
    name: str = "",
    description: str = "",
    data: Sequence[dict[str, Any]] = (),
    languages: Sequence[str] = (),
    limits: str = "",
    test_share: float = 0.2,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train on part of a table (see `labelled`), test on the rest, write model, card and readable card.

    `output` ends in .ftz (quantised) or .bin. Raises ConfigError where the data can't carry a model.
    """
    from .markdown import write_markdown

    shown = progress or Progress(quiet=True)
    _check(table, output, settings, positive, test_share)
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"classifier train: --threshold must lie in [0, 1], not {threshold}")
    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    keys = [text_key(text) for text in texts]
    split = split_groups(labels, table["group"].to_pylist(), keys, test_share=test_share, seed=settings.seed)
    chosen = np.flatnonzero(split.side == TRAIN)
    left = {labels[i] for i in chosen}
    if len(left) < 2 or positive not in left:
        raise ConfigError(
            f"classifier train: {split.copies:,} documents are copies of others, and what is left to train on has only "
            f"the labels {sorted(left)}: equal texts stay once, whatever their label"
        )
    order = sorted(chosen, key=lambda i: (draw(settings.seed, keys[i]), i))
    shown.say(f"train: {len(order):,} documents, {(split.side == TEST).sum():,} held out, {split.copies:,} copies")
    fit([texts[i] for i in order], [labels[i] for i in order], output, settings, verbose=not shown.quiet)
    card = Card(
        name=name or output.stem, description=description, positive=positive, languages=tuple(languages),
        normalisation=settings.normalisation, data=tuple(data), limits=limits, sha256=sha256(output),
        training={
            "settings": settings.json(),
            "split": {"by": "group", "test_share": test_share, "seed": settings.seed, "copies_left_out": split.copies},
            "documents": _counts(table, split.side),
            "bytes": output.stat().st_size,
            "versions": {"fasttext-community": importlib.metadata.version("fasttext-community")},
        },
    )  # fmt: skip
    card.write(card_path(output))
    held = table.filter(pa.array(split.side == TEST))
    classifier = load(output)
    if threshold is None:
        threshold = recommended(classifier, held, settings)
    card = replace(card, threshold=threshold)
    if held.num_rows:
        shown.say("train: judging the model on what was held out")
        card = replace(card, evaluation=evaluate(classifier, held, threshold=threshold, positive=positive))
    card.write(card_path(output))
    write_markdown(card, output.with_suffix(".md"))
    return Trained(load(output), card, split.side)


def recommended(classifier: Classifier, held: pa.Table, settings: Settings) -> float:
    """The threshold for the card: a quantile of held-out negatives' scores, or one half."""
    if settings.threshold_quantile is None or not held.num_rows:
        return 0.5
    scores = classifier.scores(held["text"])
    others = scores[np.array(held["label"].to_pylist()) != classifier.positive()]
    others = others[~np.isnan(others)]
    return float(np.quantile(others, settings.threshold_quantile)) if len(others) else 0.5


def fit(
    texts: Sequence[str], labels: Sequence[str], output: Path, settings: Settings, *, verbose: bool = False
) -> None:
    """Write the model that fastText makes of these texts in this order, normalised as the settings say.

    `verbose`: fastText shows its progress, where there is a terminal.
    """
    import fasttext

    loud = 2 if verbose and sys.stderr.isatty() else 0
    lines = [f"{LABEL}{b} {_line(settings.normalisation.text(t))}\n" for t, b in zip(texts, labels, strict=True)]
    if settings.balance:
        lines = balanced(lines, labels)
    with tempfile.TemporaryDirectory() as folder, atomic_path(output) as target:
        file = Path(folder) / "train.txt"
        file.write_text("".join(lines), encoding="utf-8", newline="\n")
        try:
            model = fasttext.train_supervised(
                input=str(file), lr=settings.lr, dim=settings.dim, epoch=settings.epoch, minCount=settings.min_count,
                minn=settings.minn, maxn=settings.maxn, wordNgrams=settings.word_ngrams, loss=settings.loss,
                bucket=settings.bucket, thread=1, verbose=loud, seed=settings.seed,
            )  # fmt: skip
            if settings.quantise:
                model.quantize(
                    input=str(file) if settings.retrain and settings.cutoff else None, cutoff=settings.cutoff,
                    retrain=bool(settings.retrain and settings.cutoff), thread=1, verbose=loud, qnorm=settings.qnorm,
                    dsub=settings.dsub,
                )  # fmt: skip
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"classifier train: fastText says: {error}") from error
        model.save_model(str(target))


def balanced(lines: list[str], labels: Sequence[str]) -> list[str]:
    """The lines with those of rarer labels repeated, spread evenly, until all labels have about as many."""
    counts = Counter(labels)
    most = max(counts.values())
    found, seen = [], Counter[str]()
    for line, label in zip(lines, labels, strict=True):
        before = seen[label] * most // counts[label]
        seen[label] += 1
        found += [line] * (seen[label] * most // counts[label] - before)
    if len(counts) < 2 or len(found) == len(lines):
        return lines
    # copies stand beside each other: deal them out so that a label does not come in runs
    step = next(s for s in range(int(len(found) * 0.618) | 1, 2 * len(found) + 3) if np.gcd(s, len(found)) == 1)
    return [found[i * step % len(found)] for i in range(len(found))]


def _line(text: str) -> str:
    """On one line, with nothing that fastText would take for a label or the end of the text."""
    return " ".join(word for word in _SPACE.split(text) if word and not word.startswith(LABEL) and word != "</s>")


def _check(table: pa.Table, output: Path, settings: Settings, positive: str, test_share: float) -> None:
    settings.check()
    if not 0 <= test_share < 1:
        raise ConfigError(f"classifier train: --test-share must lie in [0, 1), not {test_share}")
    wanted = ".ftz" if settings.quantise else ".bin"
    if output.suffix != wanted:
        raise ConfigError(f"classifier train: output '{output}' must end in {wanted}")
    labels = table["label"].unique().to_pylist()
    if len(labels) < 2:
        raise ConfigError(f"classifier train: two labels or more are needed, the documents have {labels}")
    if positive not in labels:
        raise ConfigError(f"classifier train: no document has the positive label '{positive}'; there are {labels}")
    for label in labels:
        if not label or any(c.isspace() for c in label):
            raise ConfigError(f"classifier train: a label can't be empty or hold spaces: {label!r}")


def _counts(table: pa.Table, side: np.ndarray) -> list[dict[str, Any]]:
    """Documents by label and source on each side."""
    found: Counter[tuple[str, str, int]] = Counter(
        zip(table["label"].to_pylist(), table["source"].to_pylist(), side.tolist(), strict=True)
    )
    pairs = sorted({(label, source) for label, source, _ in found})
    return [{"label": a, "source": b, "train": found[a, b, TRAIN], "test": found[a, b, TEST]} for a, b in pairs]
