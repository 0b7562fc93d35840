"""RefinedWeb's line-wise corrections: edited text and spans out."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .line_breaks import trim_left, trim_right
from .phrases import entry_at, find_phrase
from .reading import char_bytes, copied, line_end, properties

KINDS = ("uppercase", "numbers", "counter", "one_word", "pattern")
_NONE, UPPERCASE, NUMBERS, COUNTER, ONE_WORD, PATTERN = range(-1, 5)
PLACES = ("counter", "begin", "end", "anywhere", "line")
_COUNT, _BEGIN, _END, _ANYWHERE, _LINE = range(5)


@kernel_part
def line_facts(data, i, end, first, blocks, facts):
    """facts: characters, capitals, numerical characters, white space, words, characters without spaces of a line.

    Words are parted by white space; of characters in scripts without spaces two make a word.
    """
    characters = 0
    capitals = 0
    numbers = 0
    spaces = 0
    words = 0
    spaceless = 0
    whole = False  # inside a word that white space parts
    before = False  # after a character of a script without spaces
    while i < end:
        if data[i] < 128 and not before:  # no branch to be guessed wrong at the ends of words
            inside = 1 if whole else 0
            run = i
            while i < end and data[i] < 128:
                word = blocks[data[i]] + 0
                visible = 0 if word & t.SPACE else 1
                words += visible & ~inside
                inside = visible
                spaces += 1 - visible
                capitals += word & t.UPPER != 0
                numbers += word & t.NUMBER != 0
                i += 1
            characters += i - run
            whole = inside == 1
            continue
        characters += 1
        size = char_bytes(data, i, end)
        word = properties(data, i, size, first, blocks)
        script = word >> t.SCRIPT_SHIFT & 15
        other = script < 1 or script > t.LAST_SPACELESS
        spaceless += not other
        i += size
        if word & t.SPACE:
            spaces += 1
            whole = False
            before = False
            continue
        if not other:
            before = True
        elif not whole and (not before or word & (t.LETTER | t.NUMBER)):
            words += 1
            whole = True
        capitals += word & t.UPPER != 0
        numbers += word & t.NUMBER != 0
    facts[0] = characters
    facts[1] = capitals
    facts[2] = numbers
    facts[3] = spaces
    facts[4] = words
    facts[5] = spaceless


@kernel_part
def next_word(data, i, end, first, blocks):
    """The position of the first letter, number or mark from i on, `end` if there is none."""
    while i < end:
        size = char_bytes(data, i, end)
        if properties(data, i, size, first, blocks) & (t.LETTER | t.NUMBER | t.MARK):
            break
        i += size
    return i


@kernel_part
def amount_end(data, i, end, first, blocks):
    """Where the number at the beginning of a line ends (3, 1,234, 2.5K, 10+), -1 if it begins with none."""
    i = next_word(data, i, end, first, blocks)
    digits = 0
    while i < end and ((data[i] >= 48 and data[i] <= 57) or (digits and (data[i] == 44 or data[i] == 46))):
        i += 1
        digits += 1
    if digits == 0:
        return -1
    if i < end:
        b = data[i] | 32
        after = i + 1 >= end or data[i + 1] == 32
        if (b == 107 or b == 109 or b == 98) and after or data[i] == 43:
            i += 1
    return trim_left(data, i, end, first, blocks)


@plain_kernel
def edit_lines(
    data, offsets, document, max_uppercase, rules, max_words, fold, points, starts, keys, entries, places, first,
    blocks, facts, found, step, words, out, seen, out_offsets, cuts, cut_ends, which, counts,
):  # fmt: skip
    """Correct documents from `document` on; returns the first that found no room for its spans.

    rules: bits by kind. max_words: of lines that patterns are looked for in. places: where in a line each phrase
    counts. facts: int64[6], found and step: int64[1], room. words: int64[n, 2], the document's words before and after:
    parted by white space; of characters in scripts without spaces two make one. The rest as in `c4.edit_lines`.
    """
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        o = out_offsets[d]
        before = k
        old_words = 0
        old_spaceless = 0
        new_words = 0
        new_spaceless = 0
        while i < end:
            stop = line_end(data, i, end)
            after = stop + 1 if stop < end else end
            line = trim_left(data, i, stop, first, blocks)
            rest = trim_right(data, line, stop, first, blocks)
            if k + rest - line + 1 > len(cuts) and k + 2 * max_words + 2 > len(cuts):
                return d
            kind = _NONE
            mark = k
            if line < rest:
                line_facts(data, line, rest, first, blocks, facts)
                line_words = facts[4] + facts[5] // 2
                old_words += facts[4]
                old_spaceless += facts[5]
                if rules & 1 << UPPERCASE and facts[1] > max_uppercase * facts[0]:
                    kind = UPPERCASE
                elif rules & 1 << NUMBERS and facts[2] == facts[0] - facts[3]:
                    kind = NUMBERS
                elif rules & (1 << COUNTER | 1 << PATTERN) and line_words <= max_words:
                    amount = amount_end(data, line, rest, first, blocks) if rules & 1 << COUNTER else -1
                    j = line
                    visible = False  # whether a word stays
                    while j < rest:
                        entry = entry_at(data, j, rest, keys)
                        number = -1
                        if entry >= 0:
                            number = find_phrase(
                                data, j, line, rest, fold, points, starts, entries, entry, first, blocks, found, step
                            )
                        if number < 0:
                            size = char_bytes(data, j, rest)
                            word = properties(data, j, size, first, blocks)
                            visible |= word & (t.LETTER | t.NUMBER | t.MARK) != 0
                            j += size
                            if size == 1 and word & (t.LETTER | t.NUMBER):  # no phrase begins inside of a word
                                while j < rest and data[j] < 128 and blocks[data[j]] & (t.LETTER | t.NUMBER):
                                    j += 1
                            continue
                        place = places[number]
                        behind = next_word(data, found[0], rest, first, blocks)
                        if place == _COUNT:
                            if j == amount and behind == rest:
                                kind = COUNTER
                                break
                        elif rules & 1 << PATTERN:
                            taken = place == _ANYWHERE
                            taken |= place == _END and behind == rest
                            taken |= (
                                (place == _BEGIN or place == _LINE and behind == rest) and not visible and k == mark
                            )
                            if taken:
                                cuts[k] = j - offsets[d]
                                cut_ends[k] = (behind if behind == rest else found[0]) - offsets[d]
                                if behind == rest:
                                    cut_ends[k] = rest - offsets[d]
                                which[k] = PATTERN
                                k += 1
                                j = cut_ends[k - 1] + offsets[d]
                                continue
                        j = found[0]
                        visible = True
                    if kind == _NONE and k > mark and not visible:
                        kind = PATTERN
                if kind == _NONE and k == mark and rules & 1 << ONE_WORD and line_words < 2:
                    kind = ONE_WORD
            if kind != _NONE:
                k = mark
                cuts[k] = line - offsets[d]
                cut_ends[k] = rest - offsets[d]
                which[k] = kind
                k += 1
                i = after
                continue
            j = i
            written = o
            for c in range(mark, k):
                upto = trim_right(data, j, cuts[c] + offsets[d], first, blocks) if cuts[c] + offsets[d] > line else i
                o = copied(data, j, upto, out, o)
                j = cut_ends[c] + offsets[d]
                if cuts[c] + offsets[d] == line:
                    j = next_word(data, j, rest, first, blocks)
            o = copied(data, j, after, out, o)
            if k > mark:
                line_facts(seen, written, o, first, blocks, facts)
            if line < rest:
                new_words += facts[4]
                new_spaceless += facts[5]
            i = after
        words[d, 0] = old_words + old_spaceless // 2
        words[d, 1] = new_words + new_spaceless // 2
        if k > before:
            o = trim_right(seen, out_offsets[d], o, first, blocks)
        out_offsets[d + 1] = o
        counts[d + 1] = k
    return len(offsets) - 1
