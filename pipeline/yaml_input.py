"""YAML that users write: recipes, option values, tables by language."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from .errors import ConfigError

MAX_NODES = 1_000_000
"""Values that a text may stand for once its aliases are written out."""
MAX_DIGITS = 400
"""Characters of a whole number; Python writes none of over 4300 digits, not even in a message."""


def load_yaml(text: str | bytes, where: str) -> Any:
    """Plain values. Raises ConfigError, naming `where`, for what is no YAML, or holds itself, or grows without bound.

    A few lines of anchors and aliases can stand for billions of values ("billion laughs"); they are counted first.
    A key that is given twice is an error too: YAML forbids it, PyYAML would drop the first value unseen.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            if _nodes(root, {}, where) > MAX_NODES:
                raise ConfigError(f"{where}: its aliases stand for more than {MAX_NODES:,} values")
            return _constructed(loader, root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where} can't be read as YAML: {_why(error)}{_place(error)}") from error


_SCIENTIFIC = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")


def load_word(text: str, where: str) -> Any:
    """A value from the command line: as `load_yaml`, but `1e-3` and `2e9` are numbers there.

    YAML 1.1, which PyYAML reads, takes them for texts; YAML 1.2 and everyone at a command line for numbers. A number
    without a fraction is an int, so that `--steps 1e4` is a whole number.
    """
    if not _SCIENTIFIC.fullmatch(text.strip()) or not math.isfinite(float(text)):
        return load_yaml(text, where)
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1 << 53 else value


def _constructed(loader: yaml.SafeLoader, root: yaml.Node) -> Any:
    """The values of a node; PyYAML lets these errors of its own through for tagged values such as `!!bool x`."""
    try:
        return loader.construct_document(root)
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError("a value does not fit its !!tag") from error


def _why(error: Exception) -> str:
    """The reason in one line."""
    if isinstance(error, RecursionError):
        return "it nests too deep"
    if isinstance(error, yaml.reader.ReaderError):
        return f"{error.reason} at {'character' if error.encoding == 'unicode' else 'byte'} {error.position}"
    return str(getattr(error, "problem", None) or str(error)).splitlines()[0]


def _place(error: Exception | yaml.Node) -> str:
    place = error.start_mark if isinstance(error, yaml.Node) else getattr(error, "problem_mark", None)
    return f" (line {place.line + 1}, column {place.column + 1})" if place is not None else ""


def _nodes(node: yaml.Node, known: dict[int, int], where: str) -> int:
    """How many values a node stands for."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag.endswith(":int") and len(node.value) > MAX_DIGITS:
            raise ConfigError(f"{where}: a whole number has {len(node.value):,} digits{_place(node)}")
        return 1
    if id(node) in known:
        if known[id(node)] < 0:
            raise ConfigError(f"{where}: an alias names the value that it stands in")
        return known[id(node)]
    known[id(node)] = -1
    inner = list(node.value)
    if isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise ConfigError(f"{where}: the key '{key.value}' is there twice{_place(key)}")
            keys.add((key.tag, str(key.value)))
        inner = [one for pair in node.value for one in pair]
    known[id(node)] = 1 + sum(_nodes(one, known, where) for one in inner)
    return known[id(node)]
