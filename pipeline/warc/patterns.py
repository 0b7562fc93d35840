"""What a record's first bytes look like, in WARC and in ARC."""

from __future__ import annotations

import re
from re import Pattern

WARC_START = re.compile(rb"WARC/\d{1,2}\.\d{1,3}[ \t]*\r*\n", re.IGNORECASE)
"""Version line of a WARC record (ISO 28500, section 4), in any case and with doubled CR as some writers have it."""

ARC_START = re.compile(
    rb"(?P<uri>[A-Za-z][A-Za-z0-9+.-]*:[^\r\n]{0,8192}?) (?P<ip>[0-9A-Fa-f.:]{1,45}|-) (?P<date>\d{8,17}) "
    rb"(?P<mime>[^\r\n]{0,1024}?)"
    rb"(?: (?:\d{1,4}|-) \S{1,128} \S{1,8192} \d{1,19} \S{1,1024})? (?P<length>\d{1,19})[ \t]*\r?\n"
)
"""URL-record line of ARC version 1 (five fields) or 2 (ten fields), Internet Archive's ARC file format."""

HEAD_END = re.compile(rb"\n\r*\n")
"""The blank line after a header block, also where lines end in LF alone."""

WARC_HEADER = re.compile(rb"\n(?:WARC-Type|WARC-Record-ID|Content-Length)[ \t]*:", re.IGNORECASE)
"""A header without which a WARC version line in the middle of data isn't believed."""

START_WINDOW = 20_000
"""Bytes that settle whether a record begins at a place: the longest ARC line that is believed."""


def starts(data: bytes | memoryview, at: int = 0) -> Pattern[bytes] | None:
    """The pattern (WARC_START or ARC_START) that matches at `at` of `data`, else None."""
    for pattern in (WARC_START, ARC_START):
        if pattern.match(data, at):
            return pattern
    return None
