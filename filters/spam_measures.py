"""What of a text speaks of web spam, as numbers: the features of the filter `web_spam`.

Kinds of term spam after Gyöngyi and Garcia-Molina 2005 (Web Spam Taxonomy) and features after Ntoulas et al. 2006
(Detecting spam web pages through content analysis). All are shares or rates, none is a length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .kernels.columns import Spans

MIN_WORDS = 20
"""Below so many words nothing is measured."""
MEASURES = (
    "word_concentration",  # chance that two content words of the document are the same one (Simpson)
    "pair_concentration",  # the same for neighbouring pairs of content words
    "top_word_share",  # of the most frequent content word among all words
    "content_share",  # words that are no stop words
    "offer_share",  # words of OFFERS
    "offer_variety",  # different words of OFFERS, by the root of the words
    "exclamation_rate",  # exclamation marks a word
    "unended_share",  # lines that don't end in terminal punctuation
)
STOP_WORDS = (
    "a about after all also an and any are as at be because been before being but by can could did do does each for "
    "from had has have he her here him his how i if in into is it its just like made make many may me more most much "
    "must my no not now of off on one only or other our out over own said same she should so some such than that the "
    "their them then there these they this those through to too two under up us use very was way we well were what "
    "when where which while who why will with would you your"
)
OFFERS = (
    "affordable apply bargain best bonus book brand bucks buy call cash casino cheap cheapest claim click code coupon "
    "credit credits deal deals debt deposit discount earn exclusive expires fast free gift guarantee guaranteed hurry "
    "income instant limited loan loans lowest luxury miracle money near offer offers online order orders pharmacy "
    "pills poker premium prescription price prices profit promo purchase quote quotes rated replica risk sale save "
    "satisfaction shipping shop sign signup slots specials spins subscribe today top trusted unlimited urgent visit "
    "wholesale win winner"
)


def measure(texts: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """float64[n, len(MEASURES)]; nan in all of them where a text has fewer than MIN_WORDS words."""
    from .kernels import measures as k
    from .kernels import segments

    plain = pc.utf8_lower(pc.fill_null(texts.cast(pa.large_string()), ""))
    text = segments.text_of(plain)
    spans = segments.words(text)
    tokens = segments.describe(text, spans)
    n = len(text)
    lettered = (spans.kinds == segments.WORD) | (spans.kinds == segments.NUMBER)
    words = k.per_document(spans, lettered).astype(np.float64)
    stop = np.isin(tokens.hashes, _hashes(STOP_WORDS))
    offer = np.isin(tokens.hashes, _hashes(OFFERS)) & lettered
    content = lettered & ~stop & (tokens.chars > 1)
    document = np.repeat(np.arange(n), spans.counts)
    counts = np.bincount((spans.offsets[document] + tokens.ids)[content], minlength=max(1, len(spans)))
    contents = k.per_document(spans, content).astype(np.float64)
    top = np.zeros(n)
    np.maximum.at(top, document, counts[: len(document)] if len(document) else np.zeros(0))
    lines = segments.lines(text)
    holds = k.line_holds(text, lines)
    filled = (holds & k.BLANK) == 0
    ended = filled & ((holds & k.TERMINAL_END) > 0)
    safe = np.maximum(words, 1)
    found = np.stack(
        [
            _concentration(counts, spans.offsets, contents),
            _pairs(tokens.hashes, content, document, n),
            top / safe,
            contents / safe,
            k.per_document(spans, offer) / safe,
            _different(spans, tokens.ids, offer, document, n) / np.sqrt(safe),
            _exclamations(text.data, text.offsets) / safe,
            1 - k.per_document(lines, ended) / np.maximum(k.per_document(lines, filled), 1),
        ],
        axis=1,
    )
    found[words < MIN_WORDS] = np.nan
    return found


def _hashes(words: str) -> NDArray[np.uint64]:
    from .kernels import segments

    text = segments.text_of(pa.array([words], pa.large_string()))
    return segments.describe(text, segments.whitespace_words(text)).hashes


def _sums(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return total[offsets[1:]] - total[offsets[:-1]]


def _concentration(
    counts: NDArray[np.int64], offsets: NDArray[np.int64], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Simpson's index of the content words: sum of c (c - 1) over n (n - 1)."""
    squares = (counts * (counts - 1)).astype(np.float64)
    return _sums(squares, offsets) / np.maximum(total * (total - 1), 1)


def _pairs(
    hashes: NDArray[np.uint64], content: NDArray[np.bool_], document: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Simpson's index of the pairs of neighbouring content words."""
    if len(hashes) < 2:
        return np.zeros(n)
    both = content[1:] & content[:-1] & (document[1:] == document[:-1])
    pair = (hashes[:-1] * np.uint64(0x9E3779B97F4A7C15) + hashes[1:])[both]
    where = document[1:][both]
    order = np.lexsort((pair, where))
    pair, where = pair[order], where[order]
    first = np.flatnonzero(np.append(True, (pair[1:] != pair[:-1]) | (where[1:] != where[:-1]))[: len(pair)])
    runs = np.diff(np.append(first, len(pair))).astype(np.float64)
    squares = np.bincount(where[first], runs * (runs - 1), minlength=n)
    total = np.bincount(where, minlength=n).astype(np.float64)
    return squares / np.maximum(total * (total - 1), 1)


def _different(
    spans: Spans, ids: NDArray[np.int32], mask: NDArray[np.bool_], document: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Different words of a mask in each document."""
    slots = np.unique((spans.offsets[document] + ids)[mask])
    return np.bincount(document[slots], minlength=n) if len(slots) else np.zeros(n, np.int64)


def _exclamations(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    at = np.flatnonzero(data[offsets[0] : offsets[-1]] == ord("!")) + offsets[0]
    return np.diff(np.searchsorted(at, offsets))
