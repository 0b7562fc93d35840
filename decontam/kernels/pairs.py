"""The kernel that goes through a chunk of texts and keeps each pair of a text and a part that share enough."""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .align import align
from .search import count_runs, take_runs


@kernel_part
def reset(touched, t, tally, cursor):
    """Make the counts of the touched parts what they were before."""
    for i in range(t):
        p = touched[i]
        tally[4 * p] = 0
        tally[4 * p + 1] = 0
        tally[4 * p + 2] = 0
        cursor[p] = -1


@kernel_part
def choose(touched, t, tally, need, long_run, cursor, at):
    """Give the parts that share enough their places among the runs, from `at` on; returns how many runs they have."""
    wanted = 0
    for i in range(t):
        p = touched[i]
        if tally[4 * p] >= need[p] or tally[4 * p + 1] >= long_run:
            cursor[p] = at + wanted
            wanted += tally[4 * p + 2]
    return wanted


@kernel_part
def fetch(grams, at, low, high, posted, postings, part_gram, part_of, flags, tally):
    """Read what `count_runs` will ask for, step by step for many tokens; returns a sum of it that says nothing.

    No read of a step waits for another one, so that memory answers many at once.
    """
    seen = np.int64(0)
    for i in range(low, high):
        g = grams[at[i]]
        seen += flags[g] + posted[g]
    for i in range(low, high):
        seen += postings[posted[grams[at[i]]]]
    for i in range(low, high):
        q = postings[posted[grams[at[i]]]]
        seen += part_of[q] + part_gram[q]
    for i in range(low, high):
        seen += tally[4 * np.int64(part_of[postings[posted[grams[at[i]]]]])]
    return seen


@plain_kernel
def find_pairs(
    text, offsets, grams, at, counts, document, n, gap, least_score, long_run, need,
    posted, postings, part_gram, part_of, part_offsets, item, weights, flags,
    tally, cursor, touched, covered,
    run_text, run_place, run_length, pair_document, pair_part, pair_runs, pair_clusters,
    scores, missing, starts, ends, matched, state,
):  # fmt: skip
    """Fill in pairs, their runs and clusters from text `document` on; returns the text for which there was no room.

    A pair is kept if a run has `long_run` grams, or a cluster the score `least_score`; of the rest, parts with fewer
    than need[p] shared grams are not even aligned. pair_runs[i + 1], pair_clusters[i + 1]: where pair i's end.
    `state`: pairs, runs, clusters so far, the last stamp.
    """
    low = np.int64(0)
    for d in range(document):
        low += counts[d]
    high = low + 0
    for d in range(document, len(offsets) - 1):
        high += counts[d]
    state[4] = fetch(grams, at, low, high, posted, postings, part_gram, part_of, flags, tally)
    high = low + 0
    for d in range(document, len(offsets) - 1):
        if counts[d] == 0:
            continue
        a = offsets[d]
        b = offsets[d + 1]
        low = high + 0
        high = low + counts[d]
        pairs = state[0]
        run = state[1]
        cluster = state[2]
        t = count_runs(grams, a, b, at, low, high, posted, postings, part_gram, part_of, flags, True, tally, touched)
        wanted = choose(touched, t, tally, need, long_run, cursor, run)
        reset(touched, t, tally, cursor)
        if wanted == 0:
            continue
        t = count_runs(grams, a, b, at, low, high, posted, postings, part_gram, part_of, flags, False, tally, touched)
        wanted = choose(touched, t, tally, need, long_run, cursor, run)
        full = run + wanted > len(run_text) or pairs + t >= len(pair_document)
        if not full:
            take_runs(
                grams, a, b, at, low, high, posted, postings, part_gram, part_of, flags, cursor, n,
                run_text, run_place, run_length,
            )  # fmt: skip
        for i in range(t):
            p = touched[i]
            if full or cursor[p] < 0:
                continue
            last = cursor[p]
            first = last - tally[4 * p + 2]
            made, stamp = align(
                text, (a, b), item, weights, part_offsets[p], part_offsets[p + 1], run_text, run_place, run_length,
                first, last, gap, covered, state[3], scores, missing, starts, ends, matched, cluster, len(scores),
            )  # fmt: skip
            state[3] = stamp
            if made < 0:
                full = True
                continue
            best = 0.0
            for c in range(cluster, made):
                if scores[c] > best:
                    best = scores[c]
            if best >= least_score or tally[4 * p + 1] >= long_run:
                pair_document[pairs] = d
                pair_part[pairs] = p
                for k in range(first, last):  # close the gap that parts that were not kept have left
                    run_text[run] = run_text[k]
                    run_place[run] = run_place[k]
                    run_length[run] = run_length[k]
                    run += 1
                pairs += 1
                cluster = made
                pair_runs[pairs] = run
                pair_clusters[pairs] = cluster
        reset(touched, t, tally, cursor)
        if full:
            return d
        state[0] = pairs
        state[1] = run
        state[2] = cluster
    return len(offsets) - 1
