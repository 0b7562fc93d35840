"""Held-out documents: whole groups (sources, sites) on one side, and no text on both."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

TRAIN, TEST, OUT = 0, 1, 2


class Split(NamedTuple):
    """Where each document goes (TRAIN, TEST, or OUT), and how many were left out as copies."""

    side: NDArray[np.int8]
    copies: int


_SPACE = re.compile(r"\s+")


def text_key(text: str) -> bytes:
    """16 bytes that are the same for texts alike but for case, spacing and forms of letters (NFKC)."""
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()
    return hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=16).digest()


def draw(seed: int, key: str | bytes) -> int:
    """A number from 0 to 2^64 - 1 for a key, the same on every machine."""
    raw = key.encode("utf-8", "replace") if isinstance(key, str) else key
    return int.from_bytes(hashlib.blake2b(b"%d\0" % seed + raw, digest_size=8).digest(), "big")


def split_groups(
    labels: Sequence[str], groups: Sequence[str], keys: Sequence[bytes], *, test_share: float = 0.2, seed: int = 0
) -> Split:
    """Draw groups until each label has `test_share` of its documents on the test side.

    Copies (equal keys) stay once; on the training side if they are on both. Raises ConfigError where a label has one
    group only, since then nothing of it could be held out.
    """
    side = np.zeros(len(labels), np.int8)
    if test_share > 0:
        held = _held_out(labels, groups, test_share, seed)
        side[[group in held for group in groups]] = TEST
    seen: set[bytes] = set()
    copies = 0
    for wanted in (TRAIN, TEST):
        for i in np.flatnonzero(side == wanted).tolist():
            if keys[i] in seen:
                side[i] = OUT
                copies += 1
            seen.add(keys[i])
    return Split(side, copies)


def _held_out(labels: Sequence[str], groups: Sequence[str], share: float, seed: int) -> set[str]:
    names = sorted(set(groups), key=lambda g: (draw(seed, g), g))
    counts: dict[str, dict[str, int]] = {label: {} for label in sorted(set(labels))}
    for label, group in zip(labels, groups, strict=True):
        counts[label][group] = counts[label].get(group, 0) + 1
    held: set[str] = set()
    for label, own in counts.items():
        if len(own) < 2:
            raise ConfigError(
                f"all documents of label '{label}' are of one group ('{next(iter(own))}'): none can be held out. Give "
                "more sources or another --group-field; `--group-field -` makes a group of each document (the figures "
                "then flatter the model), --test-share 0 trains without a test"
            )
        total = sum(own.values())
        have = sum(own.get(g, 0) for g in held)
        left = len(own) - sum(g in held for g in own)
        for group in names:
            # a group that would overshoot by more than what is missing is passed over while others are left
            if have >= share * total or left <= 1:
                break
            if group in own and group not in held and have + own[group] <= max(2 * share * total, share * total + 1):
                held.add(group)
                have += own[group]
                left -= 1
        if not have:  # all groups are large: the smallest
            held.add(min(own, key=lambda g: (own[g], g)))
    return held
