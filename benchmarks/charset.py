"""Character-set accuracy beside charset-normalizer and other detectors, in one run.

    python -m benchmarks.charset ../shared/data/charset/chardet_tests.jsonl.gz
        [--sentences ../shared/data/lid/lingua_sentences75.jsonl.gz]

Right means: the same text as by the codec that the file's folder names, or by what the WHATWG Encoding
Standard decodes that label with (Shift_JIS as windows-31j, GB2312 as gb18030, TIS-620 as windows-874, ...).
Three measures: `no_declaration` (XML and HTML declarations made unreadable: detection alone), `as_found`
(the file as it is), and `sentences`: sentences of 32 languages put into a small HTML page and encoded as
their languages were before UTF-8. The last guards against a detector that knows the first collection, which
is chardet's own test suite. Writes benchmarks/results/charset.json.
"""

from __future__ import annotations

import argparse
import base64
import collections
import gzip
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import SHARED
from pipeline.extract.charset import decode
from pipeline.extract.labels import CODECS, resolve

COLLECTION = SHARED / "charset" / "chardet_tests.jsonl.gz"
SENTENCES = SHARED / "lid" / "lingua_sentences75.jsonl.gz"
RESULT = Path(__file__).parent / "results" / "charset.json"
Case = tuple[str, bytes, frozenset[str]]  # name of the truth, bytes, texts that are right
Decoder = Callable[[bytes], str | None]

_TRUTH = re.compile(r"(?i)(windows-125\d|iso-8859-\d+)-\w+")
_PYTHON = {"ibm855": "cp855", "ibm866": "cp866", "maccyrillic": "mac_cyrillic", "macroman": "mac_roman"}
_DECLARATION = re.compile(rb"(charset|encoding)(?=[\t\n\f\r ]*=)", re.IGNORECASE)

# language: codecs in which its pages were written before UTF-8
LEGACY = {
    "ru": "cp1251 koi8_r iso8859_5 cp866 mac_cyrillic", "uk": "cp1251 koi8_u", "bg": "cp1251", "be": "cp1251",
    "ja": "cp932 euc_jp iso2022_jp", "ko": "cp949", "zh": "gb18030 big5", "el": "cp1253 iso8859_7", "he": "cp1255",
    "ar": "cp1256 iso8859_6", "fa": "cp1256", "tr": "cp1254", "pl": "cp1250 iso8859_2", "cs": "cp1250 iso8859_2",
    "hu": "cp1250 iso8859_2", "sk": "cp1250 iso8859_2", "ro": "cp1250", "hr": "cp1250", "de": "cp1252",
    "fr": "cp1252", "es": "cp1252", "pt": "cp1252", "it": "cp1252", "sv": "cp1252", "da": "cp1252", "nb": "cp1252",
    "fi": "cp1252", "nl": "cp1252", "is": "cp1252", "lt": "cp1257", "lv": "cp1257", "th": "cp874",
}  # fmt: skip


def chardet_files(path: Path) -> list[Case]:
    """The files of the collection with the texts that count as right; none does where Python has no codec."""
    cases = []
    with gzip.open(path) as stream:
        for line in stream:
            row = json.loads(line)
            name = row["encoding_dir"]
            match = _TRUTH.fullmatch(name)
            label = (match[1] if match else name).lower()
            cases.append((name, base64.b64decode(row["b64"]), label))
    return [(name, payload, right(payload, label)) for name, payload, label in cases]


def right(payload: bytes, label: str) -> frozenset[str]:
    """The text by Python's codec for a label and by the standard's."""
    codecs = {_PYTHON.get(label, label)}
    charset = resolve(label)
    if charset:
        codecs.add(CODECS[charset])
    texts = set()
    for codec in codecs:
        try:
            texts.add(plain(payload.decode(codec, "replace")))
        except LookupError:
            continue
    return frozenset(texts)


def plain(text: str) -> str:
    """Without the byte order mark, which some decoders keep, and with NULs as our decoder leaves them."""
    return text.removeprefix("\ufeff").replace("\0", "\ufffd")


def blanked(cases: Iterable[Case]) -> list[Case]:
    """The same cases with declarations made unreadable (same length, same other bytes)."""
    found = []
    for name, payload, _ in cases:
        match = _TRUTH.fullmatch(name)
        label = (match[1] if match else name).lower()
        bare = _DECLARATION.sub(lambda m: b"x" * len(m[0]), payload)
        found.append((name, bare, right(bare, label)))
    return found


def sentence_pages(path: Path, sentences: int, pages: int) -> list[Case]:
    """Up to `pages` small HTML pages a language and codec, with so many sentences each."""
    texts: dict[str, list[str]] = collections.defaultdict(list)
    with gzip.open(path) as stream:
        for line in stream:
            row = json.loads(line)
            texts[row["lang"]].append(row["text"])
    cases = []
    for language, codecs in LEGACY.items():
        own = texts[language]
        for codec in codecs.split():
            made = 0
            for start in range(0, len(own) - sentences, sentences):
                body = "</p>\n<p>".join(own[start : start + sentences])
                payload = f"<html><head><title>x</title></head><body><p>{body}</p></body></html>".encode(
                    codec, "ignore"
                )
                if payload.isascii() and b"\x1b" not in payload:
                    continue
                cases.append((f"{language} {codec}", payload, frozenset({plain(payload.decode(codec))})))
                made += 1
                if made == pages:
                    break
    return cases


def ours(payload: bytes) -> str | None:
    """The whole chain without an HTTP header."""
    return decode(payload).text


def charset_normalizer(declared: bool) -> Decoder:
    """Its best guess, with or without its look at declarations."""
    from charset_normalizer import from_bytes

    def run(payload: bytes) -> str | None:
        best = from_bytes(payload, preemptive_behaviour=declared).best()
        return None if best is None else str(best)

    return run


def by_name(detect: Callable[[bytes], str | None]) -> Decoder:
    """A detector that only names: decode by the standard's codec for that name, else Python's."""

    def run(payload: bytes) -> str | None:
        name = detect(payload)
        if not name:
            return None
        charset = resolve(name)
        try:
            return payload.decode(CODECS[charset] if charset else name, "replace")
        except LookupError:
            return None

    return run


def peers(declared: bool) -> dict[str, Decoder]:
    """charset-normalizer, resiliparse's uchardet, and the others that happen to be installed."""
    from resiliparse.parse.encoding import detect_encoding

    found: dict[str, Decoder] = {
        "charset-normalizer": charset_normalizer(declared),
        "resiliparse": by_name(lambda b: detect_encoding(b, html5_compatible=False)),
    }
    import chardet

    found["chardet"] = by_name(lambda b: chardet.detect(b, compat_names=False)["encoding"])
    try:
        import cchardet

        found["faust-cchardet"] = by_name(lambda b: cchardet.detect(b)["encoding"])
    except ImportError:
        pass
    return found


def measure(cases: list[Case], decoders: dict[str, Decoder]) -> dict[str, Any]:
    """Share right, seconds and the table by encoding for each decoder."""
    result: dict[str, Any] = {"files": len(cases), "bytes": sum(len(c[1]) for c in cases)}
    tables: dict[str, dict[str, int]] = {}
    for name, run in decoders.items():
        run(cases[0][1])  # loads its model
        table: collections.Counter[str] = collections.Counter()
        seconds = 0.0
        for truth, payload, texts in cases:
            start = time.perf_counter()
            text = run(payload)
            seconds += time.perf_counter() - start
            table[truth] += text is not None and plain(text) in texts
        tables[name] = table
        total = sum(table.values())
        result[name] = {"right": total, "share": round(total / len(cases), 4), "seconds": round(seconds, 3)}
    counts = collections.Counter(c[0] for c in cases)
    result["by_encoding"] = {
        truth: {"files": n, **{name: tables[name][truth] for name in decoders}} for truth, n in sorted(counts.items())
    }
    return result


def main(argv: list[str] | None = None) -> int:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "collection", type=Path, nargs="?", default=COLLECTION, help="JSON lines with encoding_dir, file, b64"
    )
    parser.add_argument("--sentences", type=Path, default=SENTENCES, help="JSON lines with lang, text")
    parser.add_argument("--output", type=Path, default=RESULT)
    args = parser.parse_args(argv)
    cases = chardet_files(args.collection)
    packages = ["charset-normalizer", "resiliparse", "chardet", "faust-cchardet"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.charset ../shared/data/charset/chardet_tests.jsonl.gz"
        + (" --sentences ../shared/data/lid/lingua_sentences75.jsonl.gz" if args.sentences else ""),
        "commit": commit,
        "python": platform.python_version(),
        "versions": {p: _version(p) for p in packages},
        "no_declaration": measure(blanked(cases), {"gristmill": ours, **peers(declared=False)}),
        "as_found": measure(cases, {"gristmill": ours, **peers(declared=True)}),
    }
    if args.sentences:
        for sentences in (1, 5, 40):
            pages = sentence_pages(args.sentences, sentences, pages=20)
            result[f"sentences_{sentences}"] = measure(pages, {"gristmill": ours, **peers(declared=False)})
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    for measured, values in result.items():
        if isinstance(values, dict) and "files" in values:
            print(measured, values["files"], {k: v for k, v in values.items() if isinstance(v, dict) and "share" in v})
    return 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
