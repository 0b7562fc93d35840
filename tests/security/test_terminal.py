"""Escape sequences in titles, URLs, file names and errors don't reach a terminal."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.progress import Progress
from pipeline.report import Section, print_sections
from pipeline.terminal import guard_log, json_text, plain

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mred\u202egnirts\x7f\r\udc80"
ACTING = set("\x1b\x07\x9b\u202e\x7f\r\udc80")


def test_every_acting_character_is_written_out() -> None:
    assert not set(plain(HOSTILE)) & ACTING
    for number in (*range(32), *range(127, 160), 0x200B, 0x202A, 0x2066, 0xFEFF, 0xE0001):
        char = chr(number)
        assert (plain(char) == char) == (char in "\n\t"), hex(number)
        assert plain(char, keep="") != char
    for fine in ("plain text", "Größe 漢字 हिन्दी", "a\nb\tc", "\\x1b"):
        assert plain(fine) == fine


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_tables_messages_and_bars() -> None:
    stream = io.StringIO()
    print_sections([Section(HOSTILE, ("column",), [(HOSTILE,)], HOSTILE)], stream)
    progress = Progress(stream=stream, every_s=0)
    progress.say(HOSTILE)
    with progress.bar(HOSTILE, total=2) as bar:
        bar.note(HOSTILE)
        bar.advance(1, 1)
    assert "owned" in stream.getvalue() and not set(stream.getvalue()) & ACTING


def test_rich_bars() -> None:
    stream = Terminal()
    with Progress(stream=stream).bar(HOSTILE + "[red]mark[/red]", total=1) as bar:
        bar.note(HOSTILE)
    text = stream.getvalue()
    assert "\x07" not in text and "\x9b" not in text and "\u202e" not in text and "]0;owned" in text
    assert "[red]mark[/red]" in text


def test_errors_and_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;owned\x07.jsonl"
    assert main(["filter", "gopher_quality", str(tmp_path / name), "-o", str(tmp_path / "o.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "owned" in error and not set(error) & ACTING
    logger, stream = logging.getLogger("gristmill.security"), io.StringIO()
    guard_log(logger)
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("task %s", HOSTILE)
    assert "owned" in stream.getvalue() and not set(stream.getvalue()) & ACTING


def test_json_for_a_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    text = json_text({"title": HOSTILE})
    assert not set(text) & (ACTING - {"\x7f"}) and json.loads(text) == {"title": HOSTILE}
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert json_text({"title": "漢"}) == '{\n "title": "漢"\n}'
