"""What the bundled quality models learn from and are judged by: sources, their licences, and how each is read.

A data folder is `shared/data` (see its INDEX.md). Pages go through the default extraction engine, plain texts lose
the marks of their format; all is kept only where language identification says English. Good and bad text then looks
alike in everything but what it says and how it is written. A `group` is a site, an article or a book's section: no
group is ever on two sides. Labels are weak: they hold for a source, not for each of its documents.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import ConfigError

Role = Literal["train", "evaluate"]


@dataclass(frozen=True)
class Source:
    """One source. `fold` is left out together when held-out sources are measured; 0 is never trained on."""

    name: str
    good: bool | None  # None: by page type
    fold: int
    licence: str
    read: Literal["pages", "wikitext", "openstax_md", "openstax_cnxml", "nltk"] = "pages"
    encyclopaedic: bool = False

    @property
    def trains(self) -> bool:
        """Whether a bundled model learns from it."""
        return self.fold > 0


NC = "evaluation only: non-commercial"
SOURCES = (
    Source("wikitext2", True, 2, "CC BY-SA 3.0", "wikitext", True),
    Source("openstax_md", True, 5, "CC BY (OpenStax College)", "openstax_md", True),
    Source("inaugural", True, 2, "public domain (works of the US government)", "nltk"),
    Source("state_union", True, 2, "public domain (works of the US government)", "nltk"),
    Source("debian_cppreference", True, 3, "CC BY-SA 3.0 / GFDL"),
    Source("debian_handbook", True, 3, "GPL-2+ / CC BY-SA 3.0"),
    Source("debian_libreoffice_help", True, 3, "MPL-2.0"),
    Source("htmlparser_benchmark", True, 1, "MIT package; pages remain their publishers'"),
    Source("postlight", True, 1, "Apache-2.0 / MIT; pages remain their publishers'"),
    Source("fundus", True, 1, "MIT; pages remain their publishers'"),
    Source("htmldate", True, 1, "Apache-2.0; pages remain their publishers'"),
    Source("trafilatura", True, 1, "Apache-2.0; pages remain their publishers'"),
    Source("daniel_waddle", True, 1, "GPL-3.0; pages remain their publishers'"),
    Source("wcxb", None, 4, "CC BY 4.0; pages remain their publishers'"),
    Source("formasaurus", False, 1, "MIT; pages remain their publishers'"),
    Source("webstruct", False, 2, "MIT; pages remain their publishers'"),
    Source("autopager", False, 3, "MIT; pages remain their publishers'"),
    Source("juriscraper_courts", False, 5, "BSD-2"),
    Source("metascraper", False, 5, "MIT; pages remain their publishers'"),
    Source("openstax_cnxml", True, 0, f"{NC} (CC BY-NC-SA 4.0)", "openstax_cnxml", True),
    Source("brown", True, 0, NC, "nltk"),
    Source("abc", True, 0, "evaluation only: no licence stated", "nltk"),
    Source("cc_arc_2008_2010", False, 0, "evaluation only: Common Crawl's terms"),
    Source("webkb", False, 0, "evaluation only: no licence stated"),
)
GOOD_TYPES = ("article", "documentation")
UNSURE_TYPES = ("forum",)
"""WCXB's threads are neither good nor bad by their type: left out."""
SHARED_WITH_TRAINING = ("osbooks-university-physics-bundle",)
"""A book of `openstax_cnxml` that shares text with one of `openstax_md`: not used."""
MIN_WORDS = 25


@dataclass(frozen=True)
class Document:
    """One text. `part` names a page type or a book within the source, or `boilerplate`."""

    source: Source
    part: str
    group: str
    text: str
    good: bool

    @property
    def words(self) -> int:
        """Words between white space."""
        return len(self.text.split())

    @property
    def boilerplate(self) -> bool:
        """Whether this is what the extractor threw away."""
        return self.part == "boilerplate"


def read_documents(data: Path, sources: tuple[Source, ...] = SOURCES) -> list[Document]:
    """All documents of the sources, in a fixed order, equal texts once. Raises ConfigError where a file is missing."""
    found: dict[bytes, Document] = {}
    for source in sources:
        for document in _READERS[source.read](data, source):
            if document.words >= MIN_WORDS:
                found.setdefault(hashlib.blake2b(document.text.encode(), digest_size=16).digest(), document)
    return list(found.values())


def tidy(text: str) -> str:
    """Lines without white space around them and without empty lines between: paragraphs look alike in all sources."""
    return "\n".join(line for line in (" ".join(raw.split()) for raw in text.split("\n")) if line)


def _pages(data: Path, source: Source) -> Iterator[Document]:
    from filters.language import identify
    from pipeline.extract.evaluation.gold import load, pages_of
    from pipeline.extract.page import Extractor, Job

    if source.name == "wcxb":
        pages = list(load(data, ["wcxb"]).pages)
    else:
        pages = pages_of(data / "html" / f"{source.name}.warc.gz", source.name)
    extractor = Extractor(Job())
    rows = [extractor.row(p.payload, "html", p.real_url, p.content_type, None) for p in pages]
    languages, _ = identify([row[0] or "" for row in rows])
    for page, row, language in zip(pages, rows, languages, strict=True):
        if language != "en" or page.page_type in UNSURE_TYPES:
            continue
        group = page.host or page.id
        good = page.page_type in GOOD_TYPES if source.good is None else source.good
        main = tidy(row[0] or "")
        yield Document(source, page.page_type or "", group, main, good)
        yield Document(source, "boilerplate", group, _left_over(page.payload, page.content_type, main), False)


def _left_over(payload: bytes, content_type: str | None, main: str) -> str:
    """Lines of the whole page that the extractor did not take."""
    from resiliparse.extract.html2text import extract_plain_text

    from pipeline.extract.charset import decode

    whole = tidy(re.sub(r"[•*|»]+", " ", extract_plain_text(decode(payload, content_type).text, main_content=False)))
    taken = main.lower()
    return "\n".join(line for line in whole.split("\n") if line.lower() not in taken)


_WIKITEXT_TITLE = re.compile(r"= ([^=].*[^=]|[^=]) =")


def _wikitext(data: Path, source: Source) -> Iterator[Document]:
    for part in ("valid", "test"):
        articles: list[list[str]] = []
        for raw in _lines(data / "quality" / f"wikitext2_{part}.txt"):
            line = raw.strip()
            title = _WIKITEXT_TITLE.fullmatch(line)
            if title:
                articles.append([title[1]])
            elif articles and line:
                articles[-1].append(line.strip("= "))
        for number, article in enumerate(articles):
            yield Document(source, part, f"wikitext2:{part}:{number}", tidy(_detokenised("\n".join(article))), True)


def _detokenised(text: str) -> str:
    """WikiText's spaces before signs and its place-holders undone, as far as rules can."""
    text = re.sub(r" @(.)@ ", r"\1", text).replace("<unk> ", "").replace("<unk>", "")
    text = re.sub(r'" (.*?) "', r'"\1"', re.sub(r"([(\[$£]) ", r"\1", re.sub(r" ([.,;:!?%)\]])", r"\1", text)))
    return text.replace(" 's", "'s").replace("s ' ", "s' ").replace(" n't", "n't").replace(" – ", "–")


_MARKDOWN = (
    (re.compile(r"\A---\n.*?\n---\n", re.S), ""),
    (re.compile(r"<(m:)?math.*?</(m:)?math>|<!--.*?-->|<[^>]*>", re.S), " "),
    (re.compile(r"\{:[^}]*\}"), ""),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\$\$.*?\$\$|\\\(.*?\\\)", re.S), " "),
    (re.compile(r"\*\*|__|`|\\"), ""),
    (re.compile(r"(?m)^\s*(?:#+\s*|\*\s+|>\s?|\d+\.\s+(?=[A-Z]))"), ""),
    (re.compile(r"\*(\S[^*\n]*)\*"), r"\1"),
)


def _openstax_md(data: Path, source: Source) -> Iterator[Document]:
    for record in _records(data / "quality" / "openstax_md.jsonl.gz"):
        text = record["text"]
        for pattern, by in _MARKDOWN:
            text = pattern.sub(by, text)
        yield Document(source, record["book"], f"openstax_md:{record['file']}", tidy(text), True)


def _openstax_cnxml(data: Path, source: Source) -> Iterator[Document]:
    for record in _records(data / "quality" / "openstax_cnxml.jsonl.gz"):
        if record["book"] not in SHARED_WITH_TRAINING:
            group = f"openstax_cnxml:{record['book']}:{record['title']}"
            yield Document(source, record["book"], group, tidy(record["text"]), True)


def _nltk(data: Path, source: Source) -> Iterator[Document]:
    path = data / "quality" / "nltk" / f"{source.name}.zip"
    if not path.is_file():
        raise ConfigError(f"'{path}' does not exist; see --data")
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith("/") or any(word in name for word in ("README", "CONTENTS", "cats")):
                continue
            text = archive.read(name).decode("latin-1")
            if source.name == "brown":  # word/tag
                text = re.sub(r"/\S+", "", text).replace("``", '"').replace("''", '"')
            yield Document(source, "", name, tidy(text), True)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ConfigError(f"'{path}' can't be read: {error.strerror}; see --data") from error


def _records(path: Path) -> Iterator[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError) as error:
        raise ConfigError(f"'{path}' can't be read: {error}; see --data") from error


_READERS: dict[str, Callable[[Path, Source], Iterator[Document]]] = {
    "pages": _pages, "wikitext": _wikitext, "openstax_md": _openstax_md, "openstax_cnxml": _openstax_cnxml,
    "nltk": _nltk,
}  # fmt: skip
