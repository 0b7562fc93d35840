"""Harmless web text: the real pages of ../shared/data/html, extracted, by source: to train, to calibrate, to report.

A source stands on one side as a whole. Sources that are read for training state a licence that allows it (INDEX.md);
the others only set thresholds or are reported on.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .toxicity_texts import Example
from .toxicity_weak import bundled, list_words

TRAIN = {
    "wcxb": "CC-BY-4.0",
    "formasaurus": "MIT",
    "debian_libreoffice_help": "MPL-2.0",
    "debian_cppreference": "CC-BY-SA-3.0",
    "edgar_sec": "MIT",
    "juriscraper_courts": "BSD-2-Clause",
    "htmldate": "Apache-2.0",
    "metascraper": "MIT",
    "gerapy_zh": "Apache-2.0",
}
"""Sources that train, with their licences."""
CALIBRATE = ("postlight", "webstruct", "ota_recrawl", "mediacloud_hist", "gne_zh", "daniel_waddle", "udhr_html")
REPORT = (
    "autopager", "htmlparser_benchmark", "trafilatura", "cc_arc_2008_2010", "recipe_scrapers", "webkb",
    "debian_handbook", "fundus",
)  # fmt: skip
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "zh")
"""Those that false positives are held down in one by one."""


@dataclass(frozen=True)
class Page:
    """A page's text, as our extractor gives it."""

    text: str
    lang: str
    source: str
    url: str


def pages(data: Path, sources: Iterable[str]) -> list[Page]:
    """The pages of some sources that have a text. Raises ConfigError where a file is missing."""
    from filters.language import identify
    from pipeline.extract.evaluation.gold import pages_of
    from pipeline.extract.page import Extractor, Job

    extractor, found = Extractor(Job()), []
    for source in sources:
        read = pages_of(data / "html" / f"{source}.warc.gz", source)
        texts = [extractor.row(p.payload, "html", p.real_url, p.content_type, None)[0] or "" for p in read]
        languages, _ = identify(texts)
        found += [
            Page(t, lang or "", source, p.url) for p, t, lang in zip(read, texts, languages, strict=True) if t.strip()
        ]
    return found


def sentences(read: Sequence[Page]) -> list[Example]:
    """Their sentences with words enough to be judged, each once a source; group = the page's address."""
    import numpy as np
    import pyarrow as pa

    from filters.kernels.columns import text_of
    from filters.kernels.evidence import enough, evidence
    from filters.kernels.segments import sentences as split

    text = text_of(pa.array([p.text for p in read], pa.large_string()))
    spans = split(text)
    judged = enough(evidence(text.data, spans.starts, spans.ends))
    raw = text.data.tobytes()
    found: dict[tuple[str, str], Example] = {}
    owner = np.repeat(np.arange(len(read)), spans.counts)
    for i in np.flatnonzero(judged).tolist():
        page = read[owner[i]]
        sentence = raw[spans.starts[i] : spans.ends[i]].decode("utf-8")
        found.setdefault((page.source, sentence), Example(sentence, False, f"web_{page.source}", page.lang, page.url))
    return list(found.values())


class Listed:
    """Tells texts with a word of the public lists: not surely harmless."""

    def __init__(self, data: Path) -> None:
        words = {w for part in ("train", "test") for found in list_words(data, part).values() for w in found}
        spaceless = sorted(w for w in words if re.search("[\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]", w) and len(w) > 1)
        self.words = {w for w in words if " " not in w} - set(spaceless)
        self.parts = re.compile("|".join(map(re.escape, spaceless)))

    def __call__(self, text: str) -> bool:
        small = text.lower()
        return not self.words.isdisjoint(re.findall(r"[^\W\d_]+", small)) or bool(self.parts.search(small))


@functools.cache
def of_role(data: Path, sources: tuple[str, ...]) -> tuple[Example, ...]:
    """The sentences of some sources without a word of the public lists; WCXB's articles as they are."""
    listed = Listed(data)
    return tuple(e for e in sentences(pages(data, sources)) if e.source == "web_wcxb" or not listed(e.text))


def fragments() -> list[Example]:
    """Menus, notices and table rows written for training, alone and two by two."""
    found = []
    for lang, lines in bundled("web_fragments").items():
        pairs = [f"{a} | {b}" for a in lines for b in lines if a != b]
        found += [Example(t, False, "fragments", lang) for t in [*lines, *pairs]]
    return found
