"""The kernel that turns texts into ids: added tokens, pre-tokens, a table of words seen, merges.

The table of words remembers the ids of pre-tokens: int64[4 * slots], open addressing. A slot holds the word's
first 8 and next 8 bytes (of a longer word: a hash, and where its bytes stand in the store), `bytes << 32 | number
of ids`, and the ids: up to three of 21 bits in the number, more in their own store. Words are compared byte by
byte, so that two words never share ids. A full table is emptied.
"""

from __future__ import annotations

from ..kernels import kernel_part, plain_kernel
from .merging import SHORT, merge_long, merge_short, mix
from .splits import CL100K, DEEPSEEK, NUMBER, O200K, cl100k, deepseek, gpt2, look, numbers, o200k, stretch_end

MAX_WORD = 192
"""Longer pre-tokens are merged each time."""
MAX_ID = 1 << 21
"""Ids lie below: three fit in one number."""
ENTRIES, BYTES_USED, IDS_USED, MISSES, KEY0, KEY1 = range(6)
"""What the state (int64) of a table holds: how full it is, and the key of the word in hand."""
STATE = 8
SPLIT, DIGITS, EOS, WHOLE_WORDS, ADDED = range(5)
"""The settings (int64): the split pattern, digits in a number (for GPT-2's only if numbers are split off before),
the end id or -1, whether a pre-token that is in the vocabulary is not merged, and whether there are added tokens."""
SETTINGS = 5


@kernel_part
def key_of(src, begin, end, state):  # type: ignore[no-untyped-def]
    """Put the key of `src[begin:end]` in the state; returns its hash."""
    first = 0
    second = 0
    if end - begin <= 8:
        for k in range(end - begin):
            first |= src[begin + k] << (8 * k)
        hashed = mix(first ^ (end - begin))
    elif end - begin <= 16:
        for k in range(8):
            first |= src[begin + k] << (8 * k)
        for k in range(8, end - begin):
            second |= src[begin + k] << (8 * (k - 8))
        hashed = mix(first ^ mix(second + end - begin))
    else:
        for k in range(begin, end):
            first = (first ^ src[k]) * 0x100000001B3
        hashed = mix(first)
    state[KEY0] = first
    state[KEY1] = second
    return hashed


@kernel_part
def slot_of(src, begin, end, hashed, words, store, state):  # type: ignore[no-untyped-def]
    """Where the word stands in the table, or the empty slot for it."""
    mask = len(words) // 4 - 1
    slot = 4 * (hashed & mask)
    size = end - begin
    while words[slot + 2] != 0:
        if words[slot] == state[KEY0] and words[slot + 2] >> 32 == size:
            if size <= 16:
                if words[slot + 1] == state[KEY1]:
                    return slot
            else:
                at = words[slot + 1]
                k = 0
                while k < size and store[at + k] == src[begin + k]:
                    k += 1
                if k == size:
                    return slot
        slot = 4 * (((slot >> 2) + 1) & mask)
    return slot


@kernel_part
def remember(src, begin, end, slot, words, store, id_store, state, out, first, last):  # type: ignore[no-untyped-def]
    """Put a word and its ids `out[first:last]` in an empty slot, or empty the table where there is no room."""
    size = end - begin
    count = last - first
    full = 2 * state[ENTRIES] >= len(words) // 4
    if full or state[BYTES_USED] + size > len(store) or state[IDS_USED] + count > len(id_store):
        for k in range(2, len(words), 4):
            words[k] = 0
        state[ENTRIES] = 0
        state[BYTES_USED] = 0
        state[IDS_USED] = 0
        return
    state[ENTRIES] += 1
    words[slot] = state[KEY0]
    words[slot + 1] = state[KEY1]
    words[slot + 2] = size << 32 | count
    if size > 16:
        words[slot + 1] = state[BYTES_USED]
        for k in range(size):
            store[state[BYTES_USED] + k] = src[begin + k]
        state[BYTES_USED] += size
    if count <= 3:
        packed = 0
        for k in range(count):
            packed |= int(out[first + k]) << (21 * k)
        words[slot + 3] = packed
    else:
        words[slot + 3] = state[IDS_USED]
        for k in range(count):
            id_store[state[IDS_USED] + k] = out[first + k]
        state[IDS_USED] += count


@kernel_part
def recall(words, slot, id_store, out, at):  # type: ignore[no-untyped-def]
    """Write a word's ids to `out` from `at` on; returns their end."""
    count = words[slot + 2] & 0xFFFFFFFF
    value = words[slot + 3]
    if count <= 3:
        for k in range(count):
            out[at + k] = (value >> (21 * k)) & (MAX_ID - 1)
    else:
        for k in range(count):
            out[at + k] = id_store[value + k]
    return at + count


@kernel_part
def word_ids(  # type: ignore[no-untyped-def]
    src, begin, end, settings, byte_ids, pairs, vocabulary, vocabulary_bytes, words, store, id_store, state,
    ids, before, behind, heap, out, at,
):  # fmt: skip
    """Write the ids of one pre-token to `out` from `at` on; returns their end."""
    size = end - begin
    slot = -1
    last = -1
    if size <= MAX_WORD or settings[WHOLE_WORDS]:
        hashed = key_of(src, begin, end, state)
        if size <= MAX_WORD:
            slot = slot_of(src, begin, end, hashed, words, store, state)
            if words[slot + 2] != 0:
                return recall(words, slot, id_store, out, at)
        state[MISSES] += 1
        if settings[WHOLE_WORDS]:
            known = slot_of(src, begin, end, hashed, vocabulary, vocabulary_bytes, state)
            if vocabulary[known + 2] != 0:
                last = recall(vocabulary, known, id_store, out, at)
    if last >= 0:
        pass
    elif size <= SHORT:
        last = merge_short(src, begin, end, byte_ids, pairs, ids, heap, out, at)
    else:
        last = merge_long(src, begin, end, byte_ids, pairs, ids, before, behind, heap, out, at)
    if slot >= 0:
        remember(src, begin, end, slot, words, store, id_store, state, out, at, last)
    return last


@kernel_part
def added_at(src, i, end, tree, token):  # type: ignore[no-untyped-def]
    """The length of the longest added token that starts at `i`, else 0; its id goes to `token`."""
    node = 0
    found = 0
    k = i
    while k < end:
        node = tree[257 * node + src[k]]
        if node == 0:
            break
        k += 1
        if tree[257 * node + 256] >= 0:
            found = k - i
            token[0] = tree[257 * node + 256]
    return found


@plain_kernel
def encode_texts(  # type: ignore[no-untyped-def]
    src, offsets, settings, kinds, tree, token, byte_ids, pairs, vocabulary, vocabulary_bytes, words, store, id_store,
    state, ids, before, behind, heap, out, ends,
):  # fmt: skip
    """The ids of all texts, one after the other, in `out`; those of text i end at `ends[i + 1]`.

    src, offsets: the texts' bytes and offsets. kinds: uint8[0x110000]. tree: int32, nodes of 257 (the next node by
    byte, and the id of the added token that ends here or -1). token: int64[1], scratch. byte_ids: int64[256].
    ids, before, behind: int32, and heap: int64, scratch of the longest text's bytes (heap: three times, of 64 at
    least). out: uint32, one for each byte and text. An end id follows each text that has ids.
    """
    at = 0
    split = settings[SPLIT]
    digits = settings[DIGITS]
    for text in range(len(offsets) - 1):
        i = offsets[text]
        end = offsets[text + 1]
        begin_at = at
        while i < end:
            stop = end
            length = 0
            if settings[ADDED]:
                stop = i
                while stop < end:
                    if tree[src[stop]] != 0:
                        length = added_at(src, stop, end, tree, token)
                        if length > 0:
                            break
                    stop += 1
            stretch = i
            while i < stop:
                if split == CL100K:
                    after = cl100k(src, i, stop, kinds, digits)
                elif split >= O200K:
                    after = o200k(src, i, stop, kinds, digits, split == O200K)
                elif digits > 0 and look(src, i, stop, kinds) & 7 == NUMBER:
                    after = numbers(src, i, stop, kinds, digits)
                else:
                    if i >= stretch:
                        stretch = stretch_end(src, i, stop, kinds) if digits > 0 else stop
                    after = deepseek(src, i, stretch, kinds) if split == DEEPSEEK else gpt2(src, i, stretch, kinds)
                at = word_ids(
                    src, i, after, settings, byte_ids, pairs, vocabulary, vocabulary_bytes, words, store, id_store,
                    state, ids, before, behind, heap, out, at,
                )  # fmt: skip
                i = after
            if length > 0:
                out[at] = token[0]
                at += 1
                i += length
        if at > begin_at and settings[EOS] >= 0:
            out[at] = settings[EOS]
            at += 1
        ends[text + 1] = at


@plain_kernel
def fill_words(src, offsets, token_ids, words, state):  # type: ignore[no-untyped-def]
    """Put vocabulary entries (their bytes are `src`) with one id each into a table whose store is `src` itself."""
    for k in range(len(offsets) - 1):
        begin, end = offsets[k], offsets[k + 1]
        hashed = key_of(src, begin, end, state)
        slot = slot_of(src, begin, end, hashed, words, src, state)
        words[slot] = state[KEY0]
        words[slot + 1] = state[KEY1] if end - begin <= 16 else begin
        words[slot + 2] = (end - begin) << 32 | 1
        words[slot + 3] = token_ids[k]


@plain_kernel
def mark_not_nfc(src, offsets, classes, flags):  # type: ignore[no-untyped-def]
    """flags[i] = 1 for each text that NFC may change. classes: uint8[0x110000], of `classes.nfc_classes`."""
    for text in range(len(offsets) - 1):
        i = offsets[text]
        end = offsets[text + 1]
        last = 0
        while i < end:
            lead = src[i]
            if lead < 0x80:
                i += 1
                last = 0
                continue
            size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            if i + size > end:
                break
            point = lead & (0x7F >> size)
            for k in range(1, size):
                point = point << 6 | src[i + k] & 63
            one = classes[point] if point < len(classes) else 0
            if one == 255 or one != 0 and one < last:
                flags[text] = 1
                break
            last = one
            i += size
