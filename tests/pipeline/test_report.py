"""The report: numbers equal to an independent reading of the files, hostile text made harmless."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser

import pyarrow.parquet as pq

from pipeline.report import Section, html_page, print_sections, show

HOSTILE = "<script>alert(1)</script>\x1b[31m\x00\u202e&\"'"


class Cells(HTMLParser):
    """Collects the text of table cells and the names of all tags."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags, self.inside = [], set(), False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = tag == "td"
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_hostile_text_is_shown_and_not_run():
    page = html_page("t", [Section(HOSTILE, ("what",), [(HOSTILE,)], HOSTILE)])
    parsed = Cells()
    parsed.feed(page)
    assert "script" not in parsed.tags
    assert parsed.cells == ["<script>alert(1)</script>\\x1b[31m\\x00\\x202e&\"'"]
    assert "default-src 'none'" in page
    out = io.StringIO()
    print_sections([Section("s", ("what",), [(HOSTILE,)], HOSTILE)], out)
    assert "\x1b[31m" not in out.getvalue()
    assert "\x00" not in out.getvalue()


def test_cells():
    assert [show(v) for v in (None, 1234567, 0.5, True, "a\nb")] == ["", "1,234,567", "0.50", "yes", "a\\x0ab"]


def test_numbers_of_a_run_against_its_files(sample_run):
    report = json.loads((sample_run / "report.json").read_text())
    for stage in report["stages"]:
        dropped: dict[str, int] = {}
        for file in (sample_run / stage["step"] / "dropped").glob("*.parquet"):
            for row in pq.read_table(file, columns=["drop_filter", "drop_reason"]).to_pylist():
                if row["drop_filter"] == stage["stage"]:
                    dropped[row["drop_reason"]] = dropped.get(row["drop_reason"], 0) + 1
        assert dropped == stage["dropped"], stage["stage"]
    kept = sum(pq.read_metadata(f).num_rows for f in (sample_run / "05-pii" / "kept").glob("*.parquet"))
    assert report["kept"] == kept
    parsed = Cells()
    parsed.feed((sample_run / "report.html").read_text())
    shown = dict(zip(parsed.cells, parsed.cells[1:], strict=False))
    assert shown["kept"] == f"{kept:,}"
    assert shown["records in the input"] == f"{report['records']:,}"
    assert shown["tokens"] == f"{report['tokens']['tokens']:,}"
