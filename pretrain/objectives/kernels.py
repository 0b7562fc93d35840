"""Corruption of token sequences, by a generator without state: what a position draws depends on its counter alone.

Sequences are int64 (B, T) with int32 segments: the document's number, -1 where nothing may be learned. All random
numbers are splitmix64's outputs (Steele, Lea and Flood 2014) at counters, under a key for each sequence made of the
seed, the epoch and the sequence's number. So neither the batch nor the rank that a sequence is in changes it.
"""

from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SALT = np.uint64(0x5851F42D4C957F2D)
"""Keeps these keys apart from those of the loader's order, which come from the same seed."""
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32, _11 = (np.uint64(n) for n in (30, 27, 31, 32, 11))
_LOW = np.uint64(0xFFFFFFFF)
_UNIT = 2.0**-53
IGNORED = -100
_ORDINARY, _CONTROL = 1, 2


@kernel_part
def mixed(x):  # type: ignore[no-untyped-def]
    """splitmix64's output function."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@kernel_part
def sequence_key(seed, epoch, index):  # type: ignore[no-untyped-def]
    """The key of a sequence: of its number in its set, the epoch and the seed."""
    key = mixed((seed ^ SALT) + GOLDEN)
    key = mixed((key ^ epoch) + GOLDEN)
    return mixed((key ^ np.uint64(index)) + GOLDEN)


@kernel_part
def draw(key, counter):  # type: ignore[no-untyped-def]
    """64 random bits: number `counter` under a key."""
    return mixed(key + GOLDEN * np.uint64(counter + 1))


@kernel_part
def unit(key, counter):  # type: ignore[no-untyped-def]
    """A random number in [0, 1), of 53 bits."""
    return np.float64(draw(key, counter) >> _11) * _UNIT


@plain_kernel
def mask_tokens(  # type: ignore[no-untyped-def]
    ids, segments, indices, seed, epoch, kinds, controls, ordinary, mask_id, chosen, masked, replaced, inputs, targets
):
    """BERT's corruption; returns how many positions are targets.

    `chosen`, `masked` and `replaced` are bounds of 32 random bits: a position is a target if its draw is below
    `chosen`; of targets those below `masked` become the mask id, those below `replaced` a random id of `ordinary`.
    """
    rows, length = ids.shape
    count = 0
    size = np.uint64(len(ordinary))
    for b in range(rows):
        key = sequence_key(seed, epoch, indices[b])
        for t in range(length):
            token = ids[b, t]
            inputs[b, t] = token
            targets[b, t] = IGNORED
            if segments[b, t] < 0 or draw(key, 2 * t) >> _32 >= chosen:
                continue
            if kinds[token] != _ORDINARY and not (controls and kinds[token] == _CONTROL):
                continue
            targets[b, t] = token
            count += 1
            bits = draw(key, 2 * t + 1)
            if bits >> _32 < masked:
                inputs[b, t] = mask_id
            elif bits >> _32 < replaced:
                inputs[b, t] = ordinary[np.int64((bits & _LOW) * size >> _32)]
    return count


@plain_kernel
def corrupt_spans(  # type: ignore[no-untyped-def]
    ids, segments, indices, seed, epoch, kinds, controls, density, mean, sentinels, end_id, max_targets, max_spans,
    inputs, input_segments, targets, target_segments
):  # fmt: skip
    """T5's span corruption of every document; returns how many targets there are.

    `inputs` (B, T) get the documents with each span replaced by a sentinel, `targets` (B, D) for each document its
    sentinels with their spans and `end_id`. Both keep the document's segment, rows are filled from the left, and what
    is left over keeps what it had. A document that would take its row beyond `max_targets` targets or `max_spans`
    spans is left whole, and so has no targets. Of the draws under a document's key the first two round the number of
    tokens and of spans, the rest choose the cuts.
    """
    rows, length = ids.shape
    count = 0
    for b in range(rows):
        row_key = sequence_key(seed, epoch, indices[b])
        source = target = all_spans = start = 0
        while start < length:
            segment = segments[b, start]
            stop = start + 1
            while stop < length and segments[b, stop] == segment:
                stop += 1
            if segment < 0:
                start = stop
                continue
            low, high = start, stop
            if kinds[ids[b, low]] == _CONTROL and not controls:
                low += 1
            if high > low and ids[b, high - 1] == end_id:
                high -= 1
            key = mixed(row_key + GOLDEN * np.uint64(start + 1))
            n = high - low
            noise = int(n * density + unit(key, 0))
            if noise > n - 1:
                noise = n - 1
            spans = int(noise / mean + unit(key, 1))
            if spans > n - noise + 1:
                spans = n - noise + 1
            if spans > noise:
                spans = noise
            if spans > len(sentinels):
                spans = len(sentinels)
            if spans < 1:
                spans = 1
            if noise < 1 or target + noise + spans + 1 > max_targets or all_spans + spans > max_spans:
                noise = spans = 0
            # Gaps around the spans: spans + 1 of any length, but that two spans never touch.
            slots, bars = n - noise + 1, spans  # free gap tokens and bars in a row
            cuts = spans - 1  # between tokens of spans: where one ends and the next begins
            left = noise
            counter = 2
            at = low
            for i in range(start, low):
                inputs[b, source] = ids[b, i]
                input_segments[b, source] = segment
                source += 1
            for span in range(spans):
                while unit(key, counter) * slots >= bars:
                    counter += 1
                    slots -= 1
                    inputs[b, source] = ids[b, at]
                    input_segments[b, source] = segment
                    source += 1
                    at += 1
                counter += 1
                slots -= 1
                bars -= 1
                inputs[b, source] = sentinels[span]
                input_segments[b, source] = segment
                source += 1
                targets[b, target] = sentinels[span]
                target_segments[b, target] = segment
                target += 1
                while True:
                    targets[b, target] = ids[b, at]
                    target_segments[b, target] = segment
                    target += 1
                    at += 1
                    left -= 1
                    if left == 0:
                        break
                    counter += 1
                    if unit(key, counter - 1) * left < cuts:
                        cuts -= 1
                        inputs[b, source] = ids[b, at]  # the token that keeps this span from the next
                        input_segments[b, source] = segment
                        source += 1
                        at += 1
                        break
            while at < stop:
                inputs[b, source] = ids[b, at]
                input_segments[b, source] = segment
                source += 1
                at += 1
            if spans:
                targets[b, target] = end_id
                target_segments[b, target] = segment
                target += 1
                count += noise + spans + 1
            all_spans += spans
            start = stop
    return count


@plain_kernel
def join_targets(inputs, input_segments, targets, target_segments, ids, segments, wanted):  # type: ignore[no-untyped-def]
    """Rows in which each document's input is followed by its targets but for the last; `wanted` are the targets.

    The last position of the input predicts the first target. `ids`, `segments` and `wanted` (B, T + room) keep what
    they had where nothing comes.
    """
    rows, length = inputs.shape
    for b in range(rows):
        at = source = target = 0
        while source < length and input_segments[b, source] >= 0:
            segment = input_segments[b, source]
            while source < length and input_segments[b, source] == segment:
                ids[b, at] = inputs[b, source]
                segments[b, at] = segment
                at += 1
                source += 1
            first = True
            while target < targets.shape[1] and target_segments[b, target] == segment:
                if not first:
                    ids[b, at] = targets[b, target - 1]
                    segments[b, at] = segment
                    at += 1
                wanted[b, at - 1] = targets[b, target]
                first = False
                target += 1


@plain_kernel
def lead_with(ids, segments, begins, control, first, stop, new_ids, new_segments):  # type: ignore[no-untyped-def]
    """Rows with `control` where a document begins, in place of an id from `first` to before `stop` there."""
    rows, length = ids.shape
    for b in range(rows):
        at = 0
        for t in range(length):
            if begins[b, t]:
                new_ids[b, at] = control
                new_segments[b, at] = segments[b, t]
                at += 1
                if first <= ids[b, t] < stop:
                    continue
            new_ids[b, at] = ids[b, t]
            new_segments[b, at] = segments[b, t]
            at += 1
