"""Titles of the documents in a pack set, taken from its documents' table by id and tokenised once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bpe import load_tokenizer
from pipeline.engines.encoder import Encoder, Tally
from pipeline.errors import ConfigError
from pipeline.packreader import PackReader
from pipeline.packs import TOKENIZER


class Titles:
    """Which piece of a pack set has which title; the titles as tokens of the set's own tokenizer.

    `documents` is the number of different documents in the packs, `without_title` of those that have no title (removed
    documents among them, whose titles are emptied). Raises ConfigError for a set without a table of its documents,
    without a title in it, or without its tokenizer.
    """

    def __init__(self, reader: PackReader) -> None:
        import pyarrow.dataset as ds

        self.reader = reader
        files = [path for path in reader.document_files() if path.is_file()]
        described = ds.dataset([str(path) for path in files]) if files else None
        if described is None or not {"id", "title"} <= set(described.schema.names):
            raise ConfigError(
                f"contrastive: {reader.folder} has no documents/*.parquet with titles; pack a run's output"
            )
        tokenizer = reader.folder / TOKENIZER
        if not tokenizer.is_file():
            raise ConfigError(f"contrastive: {reader.folder} has no {TOKENIZER} to read titles with")
        allow = reader.manifest.get("recipe", {}).get("tokenize", {}).get("allow_tokens", ())
        loaded = load_tokenizer(tokenizer, reader.manifest.get("eos"), allow)
        self._tokenizer = loaded.tokenizer
        titles = pc.utf8_trim_whitespace(pc.field("title"))
        table = described.to_table(columns={"id": pc.field("id"), "title": titles}, filter=pc.utf8_length(titles) > 0)
        if not table.num_rows:
            raise ConfigError(f"contrastive: no document of {reader.folder} has a title")
        # All at once: of a batch's few titles each call took longer than the rest of the batch's work.
        self._offsets, self._ids = Encoder(loaded).encode(table["title"], eos=False, tally=Tally())
        keys = pc.utf8_lower(table["title"].combine_chunks()).dictionary_encode()
        self._groups = np.asarray((keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys).indices)
        ids = pa.chunked_array([block.doc_ids for block in reader.blocks], pa.string())
        found = pc.index_in(ids, value_set=table["id"].cast(pa.string()))
        self._rows = np.asarray(pc.fill_null(found, -1).to_numpy())
        self._starts = np.concatenate([[0], np.cumsum([len(block.doc_ids) for block in reader.blocks])])
        self.documents = int(pc.count_distinct(ids).as_py())
        self.without_title = int(pc.count_distinct(ids.filter(pc.is_null(found))).as_py())

    def pieces(self, index: int) -> list[tuple[int, int, int]]:
        """(first position of the body, end, number of the title or -1) of each piece of sequence `index`.

        Behind a title that was packed before its text, where the set says so.
        """
        reader = self.reader
        number = int(np.searchsorted(reader.block_starts, index, side="right")) - 1
        block, row = reader.locate(index)
        low, high = int(block.doc_bounds[row]), int(block.doc_bounds[row + 1])
        starts = block.doc_starts[low:high]
        if "body_starts" in block.batch.schema.names:
            bodies = block.batch.column("body_starts").values.to_numpy()[low:high]
        else:
            bodies = starts
        ends = [*starts[1:].tolist(), int(block.lengths[row])]
        rows = self._rows[self._starts[number] + low : self._starts[number] + high]
        return list(zip(bodies.tolist(), ends, rows.tolist(), strict=True))

    def tokens(self, numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Ids of titles by number."""
        bounds = zip(self._offsets[numbers].tolist(), self._offsets[numbers + 1].tolist(), strict=True)
        return [self._ids[begin:end].astype(np.int64) for begin, end in bounds]

    def behind(self, title: npt.NDArray[np.int64], body: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A body without the title's text (and the line end that may be in its last token), if it begins with that."""
        if not len(body) or body[0] != title[0]:
            return body
        text = self._tokenizer.decode(title.tolist(), skip_special_tokens=False)
        for n in range(max(1, len(title) - 2), min(len(title) + 2, len(body)) + 1):
            if self._tokenizer.decode(body[:n].tolist(), skip_special_tokens=False).rstrip() == text:
                return body[n:]
        return body

    def groups(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """int64: equal for titles that are the same but for the case of letters."""
        return self._groups[numbers].astype(np.int64)


def lay_out(
    texts: list[npt.NDArray[np.int64]], length: int, pad_id: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Texts one after the other in rows of `length`, cut to it: (ids, segments, number of the text or -1), each (R, T).

    There is at least one row.
    """
    places, row, at = [], 0, 0
    for text in texts:
        size = min(len(text), length)
        if at + size > length:
            row, at = row + 1, 0
        places.append((row, at, size))
        at += size
    ids = np.full((row + 1, length), pad_id, np.int64)
    segments, numbers = np.full(ids.shape, -1, np.int32), np.full(ids.shape, -1, np.int64)
    firsts = [k for k, (a, b) in enumerate(pairwise([(-1, 0, 0), *places])) if a[0] != b[0]]
    first_of_row = np.zeros(row + 1, np.int64)
    first_of_row[: len(firsts)] = firsts
    for number, (text, (r, begin, size)) in enumerate(zip(texts, places, strict=True)):
        ids[r, begin : begin + size] = text[:size]
        segments[r, begin : begin + size] = number - first_of_row[r]
        numbers[r, begin : begin + size] = number
    return ids, segments, numbers
