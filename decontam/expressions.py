"""The small language in which a registry entry says where a part of an item stands in a record.

=========================== ==================================================================
`question`                  a field
`doc.answer.value`          a path through nested fields; in a list, through each of its values
`passage?`                  a field that may be missing
`answers[0]`                a place in a list, counted from 0
`choices[label]`            the place that another field names: a number from 0, digits, a letter A to Z, the text
                            itself; several letters (`AC`) or a list name several, joined by line breaks
`choices[label - 1]`        the same, counted from 1
`[label]`                   a place in the choices that this entry has mapped
`['no', 'yes'][answer]`     one of the texts given here
`[key in choices.label]`    the place at which a list holds the value of a field
`a | b`                     the first that is there
`{premise} so {ending}`     a text with fields in it; `{{` is a brace
`after(x, '\\nQ: ')`         the text behind the first mark; also `before`, `after_last`, `before_last`
`split(x, '\\n[A-E]\\. ')`    the list of texts between the matches of a regular expression
`remove(x, '^\\([A-E]\\) ')`  each text without its first match of a regular expression
`join(x, '\\n')`             the texts of a list in one
=========================== ==================================================================

An expression that names something absent gives None. In marks `\\n` and `\\t` stand for a line break and a tab.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, nearest

Record = Mapping[str, Any]
Evaluate = Callable[[Record, list[str] | None], Any]
FUNCTIONS = ("after", "before", "after_last", "before_last", "split", "remove", "join")
_LETTERS = re.compile(r"[A-Z](?:[ ,]{0,2}[A-Z]){1,9}")
LIST_CHOICES = "[label] counts in the mapped choices, and there are none"


class BadAnswer(ValueError):
    """A record's answer points outside its choices, or at nothing that is one."""


@dataclass(frozen=True)
class Expression:
    """One parsed expression. `paths`: the fields that must be there, for messages. `optional`: None is no error."""

    text: str
    paths: tuple[str, ...]
    optional: bool
    evaluate: Evaluate


def field(record: Any, path: str) -> Any:
    """The value at a path, or None. A key that holds the path's dots itself comes first; lists are walked through."""
    if isinstance(record, list):
        return [field(one, path) for one in record]
    if not isinstance(record, Mapping):
        return None
    if path in record:
        return record[path]
    head, dot, rest = path.partition(".")
    return field(record[head], rest) if dot and head in record else None


def parse(text: str, where: str) -> Expression:
    """Parse one expression. Raises ConfigError, naming `where`, with the place of the mistake."""
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{where}: an expression must be a text such as `question` or `choices[answer]`")
    if ("{" in text or "}" in text) and not text.lstrip().startswith(tuple(f"{name}(" for name in FUNCTIONS)):
        return _template(text, where)
    reader = _Reader(text.strip(), where)
    evaluate = reader.alternatives()
    if reader.at < len(reader.text):
        reader.fail("nothing is expected here")
    return Expression(text, tuple(reader.paths), reader.optional, evaluate)


def _template(text: str, where: str) -> Expression:
    """Constant texts and expressions in braces, joined; None if one of them is missing."""
    parts: list[str | Expression] = []
    for piece in re.split(r"(\{\{|\}\}|\{[^{}]*\})", text):
        if piece in ("{{", "}}"):
            parts.append(piece[0])
        elif piece.startswith("{") and piece.endswith("}"):
            parts.append(parse(piece[1:-1], where))
        elif "{" in piece or "}" in piece:
            raise ConfigError(f"{where}: '{text}' has a brace without its other half; `{{{{` is a brace as such")
        else:
            parts.append(piece)

    def evaluate(record: Record, choices: list[str] | None) -> Any:
        found = []
        for part in parts:
            value = part if isinstance(part, str) else plain(part.evaluate(record, choices))
            if value is None:
                if isinstance(part, Expression) and part.optional:
                    continue
                return None
            found.append(value)
        return "".join(found)

    inner = [part for part in parts if isinstance(part, Expression)]
    return Expression(text, tuple(path for part in inner for path in part.paths), False, evaluate)


def plain(value: Any) -> str | None:
    """A text of a plain value; the first of a list that has one, where an inner list is one answer of several parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return None if value != value else str(value)  # NaN: a missing cell, as pandas writes it
    if isinstance(value, list):
        for one in value:
            if isinstance(one, list):
                texts = [text for text in map(plain, one) if text]
                text: str | None = ", ".join(texts)
            else:
                text = plain(one)
            if text:
                return text
    return None


def place(value: Any, choices: list[str], less: int = 0) -> int | None:
    """The index that an answer means among `choices`: a number, digits, a letter, or the text of one of them.

    `less`: 1 where numbers count from 1. None for no answer: null, an empty text, or -1 as Hugging Face's test
    sets have it. Raises BadAnswer.
    """
    if value is None:
        return None
    if isinstance(value, str):
        short = value.strip()
        if not short:
            return None
        letter = re.fullmatch(r"\(?([A-Za-z])[).:]?", short)
        if re.fullmatch(r"[+-]?[0-9]{1,9}", short):
            value = int(short)
        elif letter:
            value = ord(letter[1].upper()) - ord("A") + less
        else:
            same = [index for index, choice in enumerate(choices) if choice.strip() == short]
            if not same:
                raise BadAnswer(f"the answer {_short(value)} is neither a place nor one of the choices")
            return same[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise BadAnswer(f"the answer {_short(value)} names no place in the choices")
    index = int(value) - less
    if value == -1:
        return None
    if not 0 <= index < len(choices):
        raise BadAnswer(f"the answer {_short(value)} points outside the {len(choices)} choices")
    return index


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Reader:
    """A recursive-descent parser over one expression."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.at = text, where, 0
        self.paths: list[str] = []
        self.optional = False

    def fail(self, why: str) -> None:
        raise ConfigError(f"{self.where}: '{self.text}' at character {self.at + 1}: {why}")

    def skip(self, token: str) -> bool:
        """Whether `token` comes next; if so it is passed."""
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.skip(token):
            self.fail(f"`{token}` is expected")

    def alternatives(self) -> Evaluate:
        ways = [self.indexed()]
        while self.skip("|"):
            ways.append(self.indexed())
        if len(ways) == 1:
            return ways[0]

        def first(record: Record, choices: list[str] | None) -> Any:
            for number, way in enumerate(ways, 1):
                try:
                    value = way(record, choices)
                except BadAnswer:
                    if number == len(ways):
                        raise
                    continue
                if value is not None and value != "" and value != []:
                    return value
            return None

        return first

    def indexed(self) -> Evaluate:
        self.skip("")
        mapped = self.text.startswith("[", self.at) and self.text[self.at + 1 : self.at + 2] not in ("'", '"')
        base = (lambda record, choices: choices) if mapped else self.primary()
        while self.skip("["):
            base = self.index(base, mapped)
            mapped = False
        return base

    def primary(self) -> Evaluate:
        if self.skip("["):
            texts = [self.quoted()]
            while self.skip(","):
                texts.append(self.quoted())
            self.expect("]")
            return lambda record, choices: texts
        if self.text[self.at : self.at + 1] in ("'", '"'):
            constant = self.quoted()
            return lambda record, choices: constant
        path = self.path()
        if self.skip("("):
            return self.function(path)
        if self.skip("?"):
            self.optional = True
        else:
            self.paths.append(path)
        return lambda record, choices: field(record, path)

    def path(self) -> str:
        match = re.compile(r"[^\[\]()|,?'\"{}]+").match(self.text, self.at)
        if match is None or not match[0].strip():
            self.fail("a field's name is expected")
            raise AssertionError
        self.at = match.end()
        return match[0].strip()

    def quoted(self) -> str:
        self.skip("")
        mark = self.text[self.at : self.at + 1]
        end = self.text.find(mark, self.at + 1) if mark in ("'", '"') and mark else -1
        if end < 0:
            self.fail("a text in quotation marks is expected")
        text = self.text[self.at + 1 : end]
        self.at = end + 1
        return text

    def index(self, base: Evaluate, mapped: bool) -> Evaluate:
        """`[3]`, `[field]`, `[field - 1]`, `[field in list]`; the opening bracket has been passed."""
        end = self.text.find("]", self.at)
        inner = self.text[self.at : end] if end >= 0 else ""
        match = re.fullmatch(r"\s*(.+?)(?:\s+in\s+(.+?)|\s*-\s*(\d+))?\s*", inner)
        if match is None:
            self.fail("`3]`, `field]`, `field - 1]` or `field in list]` is expected")
            raise AssertionError
        self.at = end + 1
        name, inside, less = match[1], match[2], int(match[3] or 0)
        number = int(name) if re.fullmatch(r"\d{1,9}", name) else None
        self.paths += [path for path in (name if number is None else None, inside) if path]

        def at(record: Record, choices: list[str] | None) -> Any:
            values = base(record, choices)
            if values is None and mapped:
                raise BadAnswer(LIST_CHOICES)
            if not isinstance(values, list):
                return None
            if number is not None and not inside:
                return values[number] if number < len(values) else None
            wanted = number if number is not None else field(record, name)
            if inside:
                keys = field(record, inside)
                if wanted is None or wanted == "" or not isinstance(keys, list):
                    return None
                if wanted not in keys:
                    raise BadAnswer(f"the answer {_short(wanted)} is none of `{inside}`")
                where = keys.index(wanted)
                return values[where] if where < len(values) else None
            texts = [plain(value) or "" for value in values]
            if isinstance(wanted, str) and wanted not in texts and _LETTERS.fullmatch(wanted):
                wanted = re.findall("[A-Z]", wanted)
            if isinstance(wanted, list):
                found = [index for index in (place(one, texts, less) for one in wanted) if index is not None]
                return "\n".join(texts[index] for index in found) or None
            index = place(wanted, texts, less)
            return None if index is None else values[index]

        return at

    def function(self, name: str) -> Evaluate:
        """A call; the name and the opening bracket have been passed."""
        if name not in FUNCTIONS:
            self.fail(f"there is no function `{name}`{nearest(name, FUNCTIONS)}; there are {', '.join(FUNCTIONS)}")
        inner = self.indexed()
        self.expect(",")
        mark = self.quoted()
        self.expect(")")
        if name in ("split", "remove"):
            try:
                pattern = re.compile(mark)
            except re.error as error:
                raise ConfigError(f"{self.where}: '{mark}' is no regular expression: {error}") from error
            change = _splitter(pattern) if name == "split" else _remover(pattern)
        elif name == "join":
            change = _joiner(mark.replace("\\n", "\n").replace("\\t", "\t"))
        else:
            if not mark:
                self.fail(f"`{name}` needs a mark that is not empty")
            change = _cutter(name, mark.replace("\\n", "\n").replace("\\t", "\t"))
        return lambda record, choices: change(inner(record, choices))


def _splitter(pattern: re.Pattern[str]) -> Callable[[Any], Any]:
    def split(value: Any) -> Any:
        if not isinstance(value, str):
            return None
        return [piece for piece in pattern.split(value) if piece and piece.strip()]

    return split


def _remover(pattern: re.Pattern[str]) -> Callable[[Any], Any]:
    def remove(value: Any) -> Any:
        if isinstance(value, list):
            return [remove(one) for one in value]
        return pattern.sub("", value, count=1) if isinstance(value, str) else value

    return remove


def _joiner(mark: str) -> Callable[[Any], Any]:
    def join(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return mark.join(text for text in map(plain, value) if text)

    return join


def _cutter(name: str, mark: str) -> Callable[[Any], Any]:
    def cut(value: Any) -> Any:
        if not isinstance(value, str) or mark not in value:
            return None
        head, _, tail = value.rpartition(mark) if name.endswith("_last") else value.partition(mark)
        return tail if name.startswith("after") else head

    return cut
