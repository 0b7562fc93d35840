"""Kernels that lay items beside texts: alignments around shared runs, coverage by runs, skip-grams, near answers.

Names as in `search`: `text` holds a text's tokens, `item` those of all parts, by place.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

MISSING, INSERTED = 4, 12
"""Tokens of the item that may be missing, and of the text that may be inserted, at one place of an alignment."""
STRETCH = 3
"""Missing tokens on end that are no edit but a piece that is not there."""


@kernel_part
def agrees(text, d, b, item, q, low, high, step):
    """Whether the tokens at (d, q) are equal, and the next ones too, unless the part ends there."""
    if text[d] != item[q]:
        return False
    q += step
    if q < low or q >= high:
        return True
    d += step
    return d >= b[0] and d < b[1] and text[d] == item[q]


@kernel_part
def resume(text, d, b, item, q, low, high, step):
    """(tokens of the text, of the item) to pass over for the alignment to go on; (-1, -1) if it ends."""
    for total in range(1, MISSING + INSERTED + 1):
        for skipped in range(0, total + 1):
            inserted = total - skipped
            if skipped > MISSING or inserted > INSERTED:
                continue
            e = d + step * inserted
            r = q + step * skipped
            if e < b[0] or e >= b[1] or r < low or r >= high:
                continue
            if agrees(text, e, b, item, r, low, high, step):
                return inserted, skipped
    return -1, -1


@kernel_part
def cover(covered, at, stamp, weight):
    """The weight of a place that the cluster has not covered yet, else 0."""
    if covered[at] == stamp:
        return 0.0
    covered[at] = stamp
    return np.float64(weight)


@kernel_part
def longest_missing(covered, stamp, weights, low, high):
    """The weight of the heaviest stretch of at least STRETCH places on end that the cluster has not covered."""
    heaviest = 0.0
    weight = 0.0
    length = 0
    for q in range(low, high):
        if covered[q - low] == stamp:
            weight = 0.0
            length = 0
        else:
            weight += np.float64(weights[q])
            length += 1
            if length >= STRETCH and weight > heaviest:
                heaviest = weight
    return heaviest


@kernel_part
def align(
    text, bounds, item, weights, low, high, run_text, run_place, run_length, first, last, gap, covered, stamp,
    scores, missing, starts, ends, matched, out, room,
):  # fmt: skip
    """Clusters of runs `first` to `last` of one part (places low to high) in one text, each run extended both ways.

    Around a run equal tokens are sought on, over edits of up to MISSING and INSERTED tokens. Extended runs with at
    most `gap` tokens of text between them are a cluster. Its score is the weight of the item's tokens that it covers
    over that of all, `missing` that of the heaviest stretch that it lacks; `starts` and `ends` are tokens of the text.
    `bounds` are the text's first token and its end. Returns (where the output ends, the last stamp used); (-1, stamp)
    if there is no room.
    """
    whole = 0.0
    for q in range(low, high):
        whole += np.float64(weights[q])
    whole = whole if whole > 0 else 1.0
    begin = np.int64(0)
    end = np.int64(0)
    place_begin = np.int64(0)
    place_end = np.int64(0)
    score = 0.0
    count = 0
    open_ = False
    k = np.int64(first)
    while k <= last:
        d = np.int64(run_text[k]) if k < last else bounds[1] + gap + 1
        if open_ and (k == last or d > end + gap):
            if out == room:
                return -1, stamp
            scores[out] = score / whole
            missing[out] = longest_missing(covered, stamp, weights, low, high) / whole
            starts[out] = begin
            ends[out] = end
            matched[out] = count
            out += 1
            open_ = False
        if k == last:
            break
        q = np.int64(run_place[k])
        length = np.int64(run_length[k])
        k += 1
        if open_ and d + length <= end and d >= begin and q >= place_begin and q + length <= place_end:
            continue  # inside of what was extended already
        if not open_:
            stamp += 1
            open_ = True
            score = 0.0
            count = 0
            begin, end = d + 0, d + length
            place_begin, place_end = q + 0, q + length
        for i in range(q, q + length):
            w = cover(covered, i - low, stamp, weights[i])
            score += w
            count += w > 0
        right, right_place = d + length, q + length
        while right < bounds[1] and right_place < high:
            if text[right] != item[right_place]:
                inserted, skipped = resume(text, right, bounds, item, right_place, low, high, 1)
                if inserted < 0:
                    break
                right += inserted
                right_place += skipped
            w = cover(covered, right_place - low, stamp, weights[right_place])
            score += w
            count += w > 0
            right += 1
            right_place += 1
        left, left_place = d, q
        while left > bounds[0] and left_place > low:
            if text[left - 1] != item[left_place - 1]:
                inserted, skipped = resume(text, left - 1, bounds, item, left_place - 1, low, high, -1)
                if inserted < 0:
                    break
                left -= inserted
                left_place -= skipped
            w = cover(covered, left_place - 1 - low, stamp, weights[left_place - 1])
            score += w
            count += w > 0
            left -= 1
            left_place -= 1
        if right - left >= end - begin:  # the longest one tells where further runs lie inside
            place_begin, place_end = left_place, right_place
        begin = left if left < begin else begin
        end = right if right > end else end
    return out, stamp


@plain_kernel
def cover_runs(offsets, places, lengths, low, at, marks, out):
    """Mark the tokens of parts that lie in any run; out[g]: how many of group g's part.

    Group g has the runs offsets[g] to offsets[g + 1]; its part's first place is low[g], whose mark is marks[at[g]].
    `marks` has room for the parts of all groups, all 0.
    """
    for g in range(len(offsets) - 1):
        count = 0
        for k in range(offsets[g], offsets[g + 1]):
            first = at[g] + places[k] - low[g]
            for i in range(first, first + lengths[k]):
                count += 1 - marks[i]
                marks[i] = 1
        out[g] = count


@plain_kernel
def cover_skipgrams(
    text, item, offsets, low, high, stop, run_text, run_place, run_length, exact, budget, at, marks, out
):  # fmt: skip
    """As `cover_runs`, for runs of at least `exact` tokens that go on over up to `budget` tokens that differ.

    A window begins with `exact` equal tokens, ends with an equal one and is longer than `exact`. high[g]: behind the
    part's last place; stop[g]: behind the text's last token. Tokens that differ are not covered.
    """
    for g in range(len(offsets) - 1):
        count = 0
        for k in range(offsets[g], offsets[g + 1]):
            if run_length[k] < exact:
                continue
            q = run_place[k] + np.int64(run_length[k])
            d = run_text[k] + np.int64(run_length[k])
            left = budget + 0
            end = q + 0
            while d < stop[g] and q < high[g]:
                if text[d] == item[q]:
                    end = q + 1
                else:
                    if left == 0:
                        break
                    left -= 1
                d += 1
                q += 1
            if end - run_place[k] <= exact:
                continue
            shift = run_text[k] - run_place[k]
            into = at[g] - low[g]
            for r in range(run_place[k], end):
                if text[r + shift] == item[r]:
                    count += 1 - marks[into + r]
                    marks[into + r] = 1
        out[g] = count


@plain_kernel
def nearest_sequence(text, lows, highs, item, first, last, longest, at):
    """longest[i]: most tokens in a row that text lows[i]:highs[i] shares with places first[i]:last[i]; at[i]: where.

    What is not longer than longest[i] was before is left as it was.
    """
    for i in range(len(lows)):
        for d in range(lows[i], highs[i]):
            for q in range(first[i], last[i]):
                k = 0
                while d + k < highs[i] and q + k < last[i] and text[d + k] == item[q + k]:
                    k += 1
                if k > longest[i]:
                    longest[i] = k
                    at[i] = d
