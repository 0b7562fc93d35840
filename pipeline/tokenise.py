"""Documents to token ids.

Reads `id, text` (and `title` where asked for); makes a token table:

    id            string
    input_ids     large_list<uint16 | uint32>   no begin token; the end-of-document id once, last
    title_tokens  int32                         leading ids that come from the title, else 0

A document without text has no ids at all (its row stays). The ids are those of
`tokenizers.Tokenizer.encode_batch_fast(..., add_special_tokens=False)` with control tokens in the
text read as plain text, whichever engine makes them (`pipeline/engines/`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .bpe import LoadedTokenizer
from .engines.encoder import Encoder, Tally
from .schema import require


def tokenise_table(
    docs: pa.Table,
    tok: LoadedTokenizer,
    *,
    with_title: bool = False,
    encoder: Encoder | None = None,
    tally: Tally | None = None,
) -> pa.Table:
    """The token table of `docs`, row for row.

    `with_title` puts the title, where a document has one, and a line end before the text. `encoder`, made for `tok`,
    does the work (the reference without one) and adds to `tally`. Runs on one thread: workers are processes.
    Raises SchemaError for missing columns, StepFailed where the library panics.
    """
    require(docs, ("id", "text", "title") if with_title else ("id", "text"), "tokenise")
    encoder = encoder or Encoder(tok, "reference")
    tally = tally if tally is not None else Tally()
    offsets, ids = encoder.encode(docs["text"], eos=True, keys=docs["id"], tally=tally)
    title_tokens = np.zeros(docs.num_rows, np.int32)
    if with_title:
        heads = _heads(docs["title"], docs["text"])
        head_offsets, head_ids = encoder.encode(heads, eos=False, keys=docs["id"], tally=tally)
        counts = np.where(np.diff(offsets) > 0, np.diff(head_offsets), 0)
        head_ids = head_ids[np.repeat(np.diff(offsets) > 0, np.diff(head_offsets))]
        offsets, ids = _joined(counts, head_ids, np.diff(offsets), ids)
        title_tokens = counts.astype(np.int32)
    columns = {
        "id": docs["id"].combine_chunks().cast(pa.string()),
        "input_ids": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids.astype(tok.dtype))),
        "title_tokens": pa.array(title_tokens),
    }
    return pa.table(columns)


def _heads(titles: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """`title` and a line end, where there are a title and a text; else empty."""
    titles = titles.cast(pa.large_string())
    heads = pc.binary_join_element_wise(titles, pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string()))
    shown = pc.and_(pc.greater(pc.binary_length(titles), 0), pc.greater(pc.binary_length(texts), 0))
    return pc.if_else(pc.fill_null(shown, False), heads, pa.scalar("", pa.large_string()))


def _joined(
    first_counts: NDArray[np.int64], first: NDArray[np.uint32], counts: NDArray[np.int64], ids: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """(offsets, ids) of rows that are each the row of `first` and then that of `ids`."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(first_counts + counts, out=offsets[1:])
    both = np.empty(offsets[-1], np.uint32)
    is_first = np.repeat(np.tile([True, False], len(counts)), np.stack([first_counts, counts], 1).ravel())
    both[is_first] = first
    both[~is_first] = ids
    return offsets, both
