"""zstd frames: where one ends, its dictionary, a reader bound to it.

Frame layout after RFC 8878, section 3.1; the dictionary frame after IIPC's "Zstandard compression for WARC files":
a skippable frame of type 0x184D2A5D at the file's beginning holds the dictionary, itself plain or zstd.
"""

from __future__ import annotations

from typing import IO, Any, cast

from .ranged import Ranged, RangedFile

MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = 0x184D2A5D
MAX_DICTIONARY = 64 << 20
BLOCKS_FREE = 1 << 20
BYTES_PER_BLOCK = 4
"""Of a file of empty frames, 9 bytes each, a frame's blocks may be walked twice."""

FIRST_SEARCH = 1 << 12
"""Bytes that are searched for the next frame at first; then twice as many each time, for damage may be frequent."""


class BadFrame(Exception):
    """A frame's structure is damaged. `kind` is the skip it becomes."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def is_skippable(magic: bytes) -> bool:
    """Whether four bytes are a skippable frame's magic number."""
    return len(magic) == 4 and 0x184D2A50 <= int.from_bytes(magic, "little") <= 0x184D2A5F


class Frames:
    """The frames of a file: where one ends, and the next whole one.

    Where a frame ends is known only by walking its block headers, and a block may be empty: a hostile file can have
    very many places that look like frames and lead into the same blocks. So all walks together may take `BLOCKS_FREE`
    blocks and one for every `BYTES_PER_BLOCK` bytes of the file; a frame that would take more counts as damaged.
    """

    def __init__(self, source: Ranged) -> None:
        self.source = source
        self._left = BLOCKS_FREE + source.size // BYTES_PER_BLOCK
        self._walked = (-1, -1)

    def end(self, start: int) -> int:
        """File offset after the frame at `start`. Raises BadFrame."""
        if self._walked[0] != start:
            self._walked = start, self._walk(start)
        return self._walked[1]

    def _walk(self, start: int) -> int:
        head = bytes(self.source.peek(start, 18))
        if is_skippable(head[:4]):
            if len(head) < 8:
                raise BadFrame("truncated", "the file ends inside a skippable zstd frame")
            end = start + 8 + int.from_bytes(head[4:8], "little")
        elif head[:4] != MAGIC or len(head) < 6:
            raise BadFrame("corrupt_zstd" if len(head) >= 6 else "truncated", "no zstd frame")
        else:
            descriptor = head[4]
            single = descriptor >> 5 & 1
            content_size = (single, 2, 4, 8)[descriptor >> 6]
            at = start + 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content_size
            end = self._blocks(at) + (4 if descriptor & 4 else 0)
        if end > self.source.size:
            raise BadFrame("truncated", "the file ends inside a zstd frame")
        return end

    def _blocks(self, at: int) -> int:
        """File offset after the blocks that begin at `at`."""
        while True:
            block = bytes(self.source.peek(at, 3))
            if len(block) < 3:
                raise BadFrame("truncated", "the file ends inside a zstd frame")
            header = int.from_bytes(block, "little")
            kind = header >> 1 & 3
            if kind == 3:
                raise BadFrame("corrupt_zstd", "reserved block type")
            if self._left <= 0:
                raise BadFrame("corrupt_zstd", "the file has too many blocks for its size")
            self._left -= 1
            at += 3 + (1 if kind == 1 else header >> 3)
            if header & 1:
                return at

    def find(self, lo: int) -> int | None:
        """The first offset from `lo` at which a whole frame lies, else None."""
        at, step = lo, FIRST_SEARCH
        while at < self.source.size and self._left > 0:
            window = self.source.read_at(at, step + 3)
            place = window.find(MAGIC)
            while 0 <= place < step:
                try:
                    self.end(at + place)
                    return at + place
                except BadFrame:
                    place = window.find(MAGIC, place + 1)
            at, step = at + step, min(2 * step, 1 << 20)
        return None


def frame_reader(data: RangedFile, dictionary: Any | None) -> Any:
    """A file-like object over the decompressed bytes of one frame."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << 27)
    return decompressor.stream_reader(cast("IO[bytes]", data), read_size=1 << 16)


def dictionary(source: Ranged) -> Any | None:
    """The dictionary that the file carries in its first frame, or None. Raises BadFrame."""
    head = bytes(source.peek(0, 8))
    if len(head) < 8 or int.from_bytes(head[:4], "little") != DICTIONARY_MAGIC:
        return None
    import zstandard

    size = int.from_bytes(head[4:8], "little")
    if size > min(MAX_DICTIONARY, source.size - 8):
        raise BadFrame("truncated", "the file ends inside its zstd dictionary")
    data = source.read_at(8, size)
    try:
        if data[:4] == MAGIC:
            data = zstandard.ZstdDecompressor().stream_reader(data).read(MAX_DICTIONARY)
        known = zstandard.ZstdCompressionDict(data)
        zstandard.ZstdDecompressor(dict_data=known)  # raises for one that is none
    except zstandard.ZstdError:
        raise BadFrame("corrupt_zstd", "the file's zstd dictionary is damaged") from None
    return known
