"""Hostile pages: seconds and memory of the scan and of the whole engine against the page's size, by construct.

Each construct is read at 1, 5, 25 and 50 MB; `exponent` is the slope of log time over log size from 5 to
50 MB (1: linear, 2: quadratic); `peak_mb` is what the process grew by meanwhile, beyond the page (for the engine
that has the page's text as str and its UTF-8 in it). The engine's work beyond the scan grows with the elements and
blocks, of which there are at most 150 000 and 40 000, so its exponent can be far below 1.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .common import ROOT, write

SIZES_MB = (1, 5, 25, 50)
BAR_MB = {"scan": 200, "engine": 300}
BAR_EXPONENT = 1.25

CONSTRUCTS: dict[str, tuple[bytes, bytes, bytes]] = {
    "text": (b"", b"word ", b""),
    "div nested": (b"", b"<div>", b""),
    "div nested with text": (b"", b"<div>a", b""),
    "b nested": (b"", b"<b>", b""),
    "b end tags": (b"<b>" + b"<i>" * 3000, b"</b>", b""),
    "p end tags": (b"<p>" + b"<i>" * 3000, b"</p>", b""),
    "end tags of nothing": (b"", b"</div>", b""),
    "end tags behind a cell": (b"<b><table><td>" + b"<i>" * 3000, b"</b>", b""),
    "unknown elements": (b"", b"<x-y>", b""),
    "unknown end tags": (b"<x-y>" + b"<x-z>" * 3000, b"</x-y></x-q>", b""),
    "a nested": (b"", b"<a href=x>", b""),
    "a behind a cell": (b"<a><table><td>" + b"<i>" * 3000, b"<a>", b""),
    "li": (b"<ul>" + b"<i>" * 3000, b"<li>", b""),
    "p": (b"", b"<p>a", b""),
    "br": (b"", b"a<br>", b""),
    "table nested": (b"", b"<table><tr><td>", b""),
    "table misnested": (b"", b"<table><tr></table><td>", b""),
    "attributes": (b"<p ", b"a=b ", b">c"),
    "attributes never closed": (b"<p ", b"a=b ", b""),
    "style attributes": (b"", b"<p style='display  :  display'>", b""),
    "long attribute": (b"<p class='", b"name ", b"'>c"),
    "long name": (b"<p", b"p", b">c"),
    "double quotes never closed": (b"", b'<p a="', b""),
    "single quotes never closed": (b"", b"<p a='>", b""),
    "comments never closed": (b"", b"<!--", b""),
    "comments nearly closed": (b"", b"<!-- --", b""),
    "titles never closed": (b"", b"<title>", b""),
    "textareas never closed": (b"", b"<textarea>a", b""),
    "scripts never closed": (b"", b"<script>", b""),
    "scripts in comments": (b"", b"<script><!--<script></script>", b""),
    "raw elements by turns": (b"", b"<xmp></xmp><iframe><noembed>", b""),
    "xmp": (b"", b"<xmp><</xmp>", b""),
    "math never closed": (b"", b"<math>", b""),
    "math": (b"", b"<math></math>", b""),
    "math nested": (b"<math>", b"<mfrac><mi>", b"</math>"),
    "fractions": (b"<math>", b"<mfrac><a/><msqrt>b</msqrt></mfrac>", b"</math>"),
    "annotations": (b"<math>", b"<annotation", b"></math>"),
    "svg nested": (b"", b"<svg>", b""),
    "ampersands": (b"", b"&", b""),
    "references of two characters": (b"", b"&nGt;", b""),
    "references never closed": (b"", b"&CounterClockwiseContourIntegra", b""),
    "long number": (b"&#", b"9", b";"),
    "entity declarations": (b"<!DOCTYPE a [", b"<!ENTITY b '&a;&a;&a;&a;'>", b"]>&b;"),
    "cdata": (b"", b"<![CDATA[", b""),
    "angle brackets": (b"", b"<", b""),
    "bogus comments": (b"", b"</ ", b""),
    "NULs": (b"", b"\0", b""),
    "stray bytes": (b"", b"\x80\xff", b""),
    "templates": (b"", b"<template shadowrootmode=open>a", b""),
    "select": (b"<select>", b"<option>a", b""),
}
"""Beginning, the part that is repeated, end."""


def page_of(name: str, size: int) -> bytes:
    """A page of that construct of about `size` bytes."""
    start, unit, end = CONSTRUCTS[name]
    return start + unit * max(1, (size - len(start) - len(end)) // len(unit)) + end


def _status_kb(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


def measure(what: str, name: str) -> dict[str, Any]:
    """Seconds by size (best of two) and the growth of this process's memory at the largest."""
    from pipeline.extract.engines import EngineOptions, make_engine
    from pipeline.extract.native.page import scan_page

    engine = make_engine("gristmill", EngineOptions())
    engine.extract("<p>a", None)

    def extract(page: bytes) -> object:
        return engine.extract(page.decode("utf-8", "replace"), None)

    work: Callable[[bytes], object] = scan_page if what == "scan" else extract
    seconds = []
    grown = 0.0
    for size in reversed(SIZES_MB):  # the largest first, while nothing that was freed can be used again
        page = page_of(name, size * 1_000_000)
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the high-water mark starts from here
        before = _status_kb("VmRSS")
        times = []
        for _ in range(2):
            start = time.perf_counter()
            made = work(page)
            times.append(time.perf_counter() - start)
            del made
        seconds.insert(0, round(min(times), 4))
        grown = max(grown, (_status_kb("VmHWM") - before) / 1024)
    exponent = math.log(seconds[3] / max(seconds[1], 1e-4)) / math.log(SIZES_MB[3] / SIZES_MB[1])
    return {
        "seconds": dict(zip(map(str, SIZES_MB), seconds, strict=True)),
        "mb_per_s": round(SIZES_MB[3] / seconds[3]),
        "exponent": round(exponent, 2),
        "peak_mb": round(grown),
    }


def main() -> None:
    """Measure each construct in a process of its own and write `results/hostile.json`."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:3])))
        return
    value: dict[str, Any] = {"bars": {"peak_mb": BAR_MB, "exponent": BAR_EXPONENT}}
    for what, bar in BAR_MB.items():
        table = {}
        for name in CONSTRUCTS:
            command = [sys.executable, "-m", "benchmarks.hostile", what, name]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            table[name] = json.loads(done.stdout)
            print(what, name, table[name], flush=True)
        worst = {
            "seconds_of_50_mb": max(v["seconds"]["50"] for v in table.values()),
            "exponent": max(v["exponent"] for v in table.values()),
            "peak_mb": max(v["peak_mb"] for v in table.values()),
        }
        within = worst["exponent"] <= BAR_EXPONENT and worst["peak_mb"] <= bar
        value[what] = {"worst": worst, "within": within, "constructs": table}
    write("hostile", value, ("numba", "numpy"))


if __name__ == "__main__":
    main()
