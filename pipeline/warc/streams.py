"""A file, or a run of compressed members, as one stream of bytes in which records are framed.

Positions are file offsets in a `PlainStream` and offsets in the decompressed text of the run in a
`MemberStream`. A run (*segment*) is a member that begins a record and the members after it that don't:
usually one member, but all of a file whose gzip blocks were cut without regard to records.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .members import Damage, Member, begins_record
from .patterns import START_WINDOW
from .ranged import WINDOW, Ranged

DISCARD_RATIO = 32
"""Bytes inflated and thrown away per compressed byte before an over-large record counts as a bomb."""

MAX_RATIO = 40_000
"""No compressed format here (deflate 1032, lz4 255, zstd 32 768) gives more bytes per byte, but for bzip2: it gives up
to 928 000 where all bytes are alike, as in no page."""

DISCARD_FREE = 256 << 20
"""Bytes inflated and thrown away for an over-large record in any case (a quarter of a second or so)."""


class Stream(Protocol):
    """What framing needs.

    `most` is an upper bound of a record's length; `damage` is known once the end has been met, `damage_from` is
    its position; before `base` nothing can be read any more.
    """

    seekable: bool
    most: int
    base: int
    damage: Damage | None
    damage_from: int
    abandoned: bool

    def at(self, pos: int, n: int) -> memoryview:
        """Up to `n` bytes from `pos`; fewer only at the end of the stream."""
        ...

    def reach(self, pos: int, keep: bool) -> bool:
        """Whether the stream goes on to `pos`. `keep` false: bytes before `pos` won't be asked for again."""
        ...

    def release(self, pos: int) -> None:
        """Bytes before `pos` won't be asked for again."""
        ...

    def locate(self, pos: int) -> tuple[int, int]:
        """(file offset of the record or its member, position in that member's text)."""
        ...

    def boundary(self, lo: int, hi: int) -> bool:
        """Whether a member ended cleanly at a position in `[lo, hi]`."""
        ...

    def abandon(self) -> None:
        """Give up the rest of the stream."""
        ...


class PlainStream:
    """An uncompressed file."""

    seekable = True
    base = 0
    damage: Damage | None = None
    damage_from = 0
    abandoned = False

    def __init__(self, source: Ranged) -> None:
        self._source = source
        self.most = source.size

    def at(self, pos: int, n: int) -> memoryview:
        if n > WINDOW // 4:
            return memoryview(self._source.read_at(pos, n))
        return self._source.peek(pos, n)

    def reach(self, pos: int, keep: bool) -> bool:
        return pos <= self._source.size

    def release(self, pos: int) -> None:
        pass

    def locate(self, pos: int) -> tuple[int, int]:
        return pos, 0

    def boundary(self, lo: int, hi: int) -> bool:
        return False

    def abandon(self) -> None:
        self.abandoned = True


@dataclass
class Opened:
    """A member that has been opened to look at its beginning."""

    start: int
    member: Member
    text: bytes


class MemberStream:
    """Text of the member opened as `first` and of the following members that begin no record.

    After the end: `next_start` is the offset of the next member that begins a record (`opened` holds it if
    its beginning has been read), or None; `resume` is the offset from which to search where there is damage.
    """

    seekable = False

    def __init__(
        self,
        source: Ranged,
        start: int,
        first: Opened | None,
        open_member: Callable[[int], Member],
        has_magic: Callable[[int], bool],
        text_at: Callable[[int], bytes],
    ) -> None:
        self._source = source
        self._open = open_member
        self._has_magic = has_magic
        self._text_at = text_at
        self.most = MAX_RATIO * source.size
        self.base = 0
        self.damage: Damage | None = None
        self.damage_from = 0
        self.abandoned = False
        self.next_start: int | None = None
        self.opened: Opened | None = None
        self.resume = start
        self._buffer = b""
        self._low = 0
        self._high = 0
        self._ended = False
        self._member: Member | None = None
        self._starts = [0]
        self._offsets = [start]
        self._boundaries: list[int] = []
        if first is not None:
            self._member = first.member
            self._buffer = first.text
            self._high = len(first.text)
        elif not has_magic(start):
            self._stop(Damage("garbage", "no compressed member where one should begin"), start)
        else:
            try:
                self._member = open_member(start)
            except Damage as damage:
                self._stop(damage, start + 1)

    def _stop(self, damage: Damage | None, resume: int) -> None:
        self._ended = True
        self._member = None
        self.damage = damage
        self.damage_from = self._starts[-1]
        self.resume = resume

    def _read(self) -> bytes:
        """The next text, b"" once the stream has ended."""
        while not self._ended and self._member is not None:
            try:
                text = self._member.read()
            except Damage as damage:
                self._stop(damage, self._offsets[-1] + 1)
                break
            if text:
                return text
            self._boundaries.append(self._high)
            text = self._follow(self._member.end)
            if text:
                return text
        return b""

    def _follow(self, end: int) -> bytes:
        """Go on after the member that ended at file offset `end`; its text if it belongs to this stream."""
        while True:
            start = self._skip_padding(end)
            if start is None:
                self._stop(None, self._source.size)
                return b""
            self._starts.append(self._high)
            self._offsets.append(start)
            if not self._has_magic(start):
                self._stop(Damage("garbage", "bytes between compressed members"), start)
                return b""
            try:
                member = self._open(start)
                text = member.read()
            except Damage as damage:
                if begins_record(self._text_at(start)):
                    self._hand_over(start, None)
                else:
                    self._stop(damage, start + 1)
                return b""
            if not text:  # of very many empty members none is remembered
                self._starts.pop()
                self._offsets.pop()
                end = member.end
                continue
            if begins_record(text) or (len(text) < START_WINDOW and begins_record(self._text_at(start))):
                self._hand_over(start, Opened(start, member, text))
                return b""
            self._member = member
            return text

    def _hand_over(self, start: int, opened: Opened | None) -> None:
        self._starts.pop()
        self._offsets.pop()
        self._stop(None, start)
        self.next_start = start
        self.opened = opened

    def _skip_padding(self, at: int) -> int | None:
        """First offset from `at` that isn't NUL, CR or LF; None at the end of the file."""
        while at < self._source.size:
            window = bytes(self._source.peek(at, 64))
            rest = window.lstrip(b"\0\r\n")
            if rest:
                return at + len(window) - len(rest)
            at += len(window)
        return None

    def _fill(self, pos: int) -> None:
        """Have the text up to `pos` in the buffer, if there is so much."""
        if pos <= self._high or self._ended:
            return
        cut = self.base - self._low
        parts = [self._buffer[cut:] if cut else self._buffer] if cut < len(self._buffer) else []
        self._low = min(self.base, self._high)
        while self._high < pos:
            text = self._read()
            if not text:
                break
            parts.append(text)
            self._high += len(text)
        self._buffer = parts[0] if len(parts) == 1 else b"".join(parts)

    def at(self, pos: int, n: int) -> memoryview:
        self._fill(pos + n)
        lo = pos - self._low
        return memoryview(self._buffer)[lo : lo + n]

    def reach(self, pos: int, keep: bool) -> bool:
        if keep:
            self._fill(pos)
            return pos <= self._high
        begin = self._high
        taken = self._member.taken if self._member else 0
        while self._high < pos:
            self.release(self._high)
            high = self._high
            self._fill(min(pos, high + 1))
            if self._high == high:
                return False
            more = self._member.taken - taken if self._member else 0
            if self._high - begin > DISCARD_RATIO * more + DISCARD_FREE:
                self.abandon()
                return False
        self.release(pos)
        return True

    def release(self, pos: int) -> None:
        self.base = max(self.base, min(pos, self._high))
        if len(self._starts) > 64:
            keep = bisect.bisect_right(self._starts, self.base) - 1
            del self._starts[:keep], self._offsets[:keep]
        if len(self._boundaries) > 64:
            del self._boundaries[: bisect.bisect_left(self._boundaries, self.base)]

    def locate(self, pos: int) -> tuple[int, int]:
        k = max(0, bisect.bisect_right(self._starts, pos) - 1)
        return self._offsets[k], pos - self._starts[k]

    def boundary(self, lo: int, hi: int) -> bool:
        k = bisect.bisect_left(self._boundaries, lo)
        return k < len(self._boundaries) and self._boundaries[k] <= hi

    def abandon(self) -> None:
        self.abandoned = True
        resume = self._offsets[-1] + 1
        self._stop(None, resume)
