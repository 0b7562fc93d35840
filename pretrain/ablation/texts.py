"""Held-out texts as documents: plain text files cut up, and the preset for the data that the project is developed on.

Documents are what the bootstrap draws, so that a text of one piece would say nothing of its own spread.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.store import atomic_path

from .design import PRESET_SETS, WHERE, HeldOut

TEXT_ENDINGS = (".txt", ".txt.gz")
PIECE_CHARACTERS = 4000
"""A plain text file becomes documents of about as much, cut at blank lines."""
_HEADING = re.compile(r"^ = [^=].*[^=] = $", re.MULTILINE)

PRESET_GOLD = ("foundry_arc_easy", "hf_sciq", "hf_piqa", "hf_openbookqa")
"""Multiple-choice sets of the preset, files of `evals/`."""


def pieces(text: str, least: int = PIECE_CHARACTERS) -> list[str]:
    """Paragraphs (parted by blank lines) put together to pieces of at least so many characters; nothing is lost."""
    made: list[str] = []
    held: list[str] = []
    size = 0
    for paragraph in re.split(r"\n[ \t]*\n", text):
        held.append(paragraph)
        size += len(paragraph)
        if size >= least:
            made.append("\n\n".join(held))
            held, size = [], 0
    return [*made, "\n\n".join(held)] if held and "".join(held).strip() else made


def as_documents(one: HeldOut, folder: Path) -> list[str]:
    """The set's inputs, with plain text files turned to JSON lines in `folder`. Raises ConfigError."""
    inputs = []
    for number, path in enumerate(one.inputs):
        if not path.endswith(TEXT_ENDINGS):
            inputs.append(path)
            continue
        file = Path(path)
        try:
            raw = gzip.decompress(file.read_bytes()) if path.endswith(".gz") else file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{WHERE}: held-out file '{path}' can't be read: {error.strerror or error}") from error
        inputs.append(write_texts(folder / f"{one.name}-{number}.jsonl", pieces(raw.decode("utf-8", "replace"))))
    return inputs


def preset(data: str | Path, folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """(held-out sets, benchmarks) of a folder laid out as the project's development data; documents go to `folder`.

    wikitext: the articles of WikiText-2's validation part. openstax: textbook sections. brown: the Brown corpus without
    its tags. web: main texts of web pages that people marked up (WCXB). news: the same of DAnIEL's news pages in
    English. dclm: web documents that people called good (Li et al. 2024). None was chosen by a filter of Gristmill.
    What is not there is left out; raises ConfigError where nothing is.
    """
    paths, benchmarks = preset_files(data)
    readers: Mapping[str, Callable[[Path], Iterable[str]]] = {
        "wikitext": _articles, "openstax": _texts, "brown": _brown, "web": _texts,
        "news": lambda path: _texts(path, {"lang": "English"}), "dclm": lambda path: _texts(path, {"label": 1}),
    }  # fmt: skip
    sets = {name: [write_texts(folder / f"{name}.jsonl", readers[name](path))] for name, path in paths.items()}
    return sets, benchmarks


def preset_files(data: str | Path) -> tuple[dict[str, Path], list[str]]:
    """(files of the preset's held-out sets by name, of its benchmarks) that are there; raises ConfigError for none."""
    data = Path(data)
    quality, gold = data / "quality", data / "html" / "gold"
    known = {
        "wikitext": quality / "wikitext2_valid.txt",
        "openstax": quality / "openstax_cnxml.jsonl.gz",
        "brown": quality / "nltk" / "brown.zip",
        "web": gold / "wcxb.jsonl.gz",
        "news": gold / "daniel_waddle.jsonl.gz",
        "dclm": quality / "dclm_human_agreement.jsonl.gz",
    }
    there = {name: known[name] for name in PRESET_SETS if known[name].is_file()}
    sets = [data / "evals" / f"{name}.jsonl.gz" for name in PRESET_GOLD]
    benchmarks = [str(path) for path in sets if path.is_file()]
    if not there and not benchmarks:
        raise ConfigError(f"{WHERE}: '{data}' has none of the preset's sets (quality/, html/gold/, evals/)")
    return there, benchmarks


def write_texts(path: Path, documents: Iterable[str]) -> str:
    """Write texts as JSON lines; blank ones are left out. Returns the path."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for number, text in enumerate(documents):
            if text.strip():
                out.write(json.dumps({"id": f"{path.stem}-{number}", "text": text}, ensure_ascii=False) + "\n")
    return str(path)


def _articles(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    begins = [match.start() for match in _HEADING.finditer(text)]
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        yield text[begin:end].strip()


def _texts(path: Path, wanted: Mapping[str, object] | None = None) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if all(record.get(key) == value for key, value in (wanted or {}).items()):
                yield record["text"]


def _brown(path: Path) -> Iterator[str]:
    """Files of the Brown corpus as text: tags gone, a line a sentence, a blank line a paragraph."""
    with zipfile.ZipFile(path) as archive:
        names: Sequence[str] = sorted(name for name in archive.namelist() if re.fullmatch(r"brown/c[a-r]\d\d", name))
        for name in names:
            lines = archive.read(name).decode("latin-1").split("\n")
            words = [" ".join(word.rpartition("/")[0] for word in line.split()) for line in lines]
            yield re.sub(r"\n{3,}", "\n\n", "\n".join(words)).strip()
