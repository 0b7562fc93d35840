"""The report of an audit as one HTML page that needs no network, no other file and no server.

The tables stand in the page as they are; the items lie in it as data, and its script (written here, run under a policy
that allows no other) draws those in sight. Text of corpora and benchmarks reaches the page only escaped or as data,
and the script makes text of it, never markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources

from ..audit.result import AuditResult
from .content import corpus_wide_section, guide_section, methods_section, summary_section
from .data import BLOCK, blocks, embedded, head, packed
from .markup import Markup, escaped

SCRIPTS = ("inflate.js", "data.js", "list.js", "detail.js", "main.js")
PRINT_ROWS = 500
"""Rows of the list that a print of the page has at most."""
_SAVED = {"clean": "of clean items", "unmatchable": "that no method can look for"}


def page(result: AuditResult, clean: Sequence[str] = ()) -> str:
    """The whole page; it lets its reader save the ids of `clean` items, if they are given.

    10 000 items with three matches each make some 27 MB (benchmarks/decontam_page.py).
    """
    title = "Contamination of benchmarks in " + (", ".join(result.corpus["inputs"][:1]) or "a corpus")
    saved = {name: ids for name, ids in (("clean", clean), ("unmatchable", result.unmatchable)) if ids}
    script = "\n".join(_resource(name) for name in SCRIPTS)
    style = _resource("page.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
            f"<title>{escaped(title)}</title><style>{style}</style></head>\n<body>",
            f"<header><h1>{escaped(title)}</h1></header>\n<main>",
            summary_section(result),
            methods_section(result),
            corpus_wide_section(result),
            _browser(saved),
            guide_section(result),
            "</main>\n",
            _data(result, saved),
            f"<script>{script}</script></body></html>\n",
        ]
    )


def _browser(saved: Mapping[str, Sequence[str]]) -> str:
    """The place where the script puts the list of items and the opened one."""
    buttons = [
        f'<button type="button" data-save="{name}">Save the {escaped(len(ids))} ids {_SAVED[name]}</button>'
        for name, ids in saved.items()
    ]
    return _resource("browser.html").replace("<!--saved-->", " ".join(buttons))


def _data(result: AuditResult, saved: Mapping[str, Sequence[str]]) -> Markup:
    """The data elements. Methods are numbered in the order of the settings, groups in that of the table."""
    methods = list(result.settings["methods"])
    rows = zip(*(result.benchmarks[name].to_pylist() for name in ("benchmark", "split")), strict=True)
    kept = zip(*(result.items[name].to_pylist() for name in ("benchmark", "split")), strict=True)
    groups = list(dict.fromkeys([*rows, *kept]))
    found = Counter(result.matches["item"].to_pylist())
    summary = {
        "groups": groups,
        "methods": methods,
        "default": result.settings["default"],
        "block": BLOCK,
        "print_rows": PRINT_ROWS,
    }
    parts = [
        _element("summary", embedded(summary)),
        _element("items", packed(head(result.items, methods, groups, found)), "packed"),
    ]
    for number, block in enumerate(blocks(result.items, result.matches, methods)):
        parts.append(_element(f"block-{number}", packed(block), "packed"))
    parts += [_element(name, packed(list(ids)), "packed") for name, ids in saved.items()]
    return Markup("\n".join(parts))


def _element(name: str, text: str, kind: str = "plain") -> str:
    return f'<script type="application/json" id="{name}" class="{kind}">{text}</script>'


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression of CSP that allows this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
