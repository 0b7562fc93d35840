"""Curves of runs: the page's numbers are those of metrics.jsonl, nothing in it is taken from elsewhere or can run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, SchemaError
from pretrain.figures import Curve, Figure, svg, thinned, ticks, write_png
from pretrain.plot import figures, find_run, labels, page, read_runs

HOSTILE = '<script>alert("x")</script>&$\\frac'


def _run(folder: Path, steps: int, *, tokens: int = 100, skipped: tuple[int, ...] = (), start: float = 5.0) -> Path:
    lines, speed = [], []
    for step in range(1, steps + 1):
        line = {
            "step": step, "epoch": 0, "loss": start / step**0.5, "lr": 1e-3 / step, "grad_norm": 1 + 1 / step,
            "tokens": tokens,
        }  # fmt: skip
        if step in skipped:
            line |= {"loss": 900.0, "skipped": "loss"}
        lines.append(line)
        speed.append({"step": step, "seconds": 0.1, "tokens_per_s": 10.0 * tokens + step})
    held = [
        {"step": step, "set": name, "loss": 4.0 / step, "bits_per_byte": 1.25 / step + i, "tokens": 9, "bytes": 30}
        for step in range(5, steps + 1, 5)
        for i, name in enumerate(("held_out", HOSTILE))
    ]
    (folder / "timing").mkdir(parents=True)
    for name, values in (("metrics", lines), ("held_out", held), ("timing/steps", speed)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    return folder


class _Page(HTMLParser):
    """Tables by caption (or the heading above), and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.summary, self._caption, self._path = "", "", [""]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._path.append(tag)
        if tag == "table":
            self.tables.append((self.summary, []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
        elif tag in ("summary", "h2"):
            self.summary = ""

    def handle_data(self, data: str) -> None:
        if self._path[-1] in ("td", "th"):
            self.tables[-1][1][-1][-1] += data
        elif self._path[-1] in ("summary", "h2"):
            self.summary += data

    def handle_endtag(self, tag: str) -> None:
        if tag in self._path:
            while self._path.pop() != tag:
                pass


def test_the_pages_numbers_are_the_files(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", 30, skipped=(7,))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = _Page(page(read_runs([run]), "tokens"))
    tables = dict(found.tables)
    kept = [line for line in lines if "skipped" not in line]
    for title, key in (("Training loss", "loss"), ("Gradient norm", "grad_norm"), ("Learning rate", "lr")):
        rows = tables[f"Values: {title}"][1:]
        assert [float(x) for x, _ in rows] == [100 * line["step"] for line in kept]
        assert [float(y) for _, y in rows] == pytest.approx([line[key] for line in kept], rel=1e-5)
    held = tables["Values: Held out: held_out"][1:]
    assert [tuple(map(float, row)) for row in held] == [(100.0 * s, pytest.approx(1.25 / s)) for s in range(5, 31, 5)]
    speeds = tables["Values: Throughput"][1:]
    assert [float(y) for _, y in speeds] == [1000.0 + step for step in range(1, 31)]
    head, row = tables["Runs"]
    told = dict(zip(head, row, strict=True))
    assert (told["run"], told["steps"], told["tokens"], told["left out"]) == ("a", "30", "3,000", "1")
    assert float(told["bits per byte: held_out"]) == pytest.approx(1.25 / 30, rel=1e-5)
    assert float(told["loss"]) == pytest.approx(sum(x["loss"] for x in lines[-20:]) / 20, rel=1e-5)


def test_lines_are_drawn_where_the_numbers_are(tmp_path: Path) -> None:
    figure = Figure("t", "steps", "y", [Curve("c", [0, 5, 10], [1.0, 3.0, 2.0])])
    points = re.search(r'polyline points="([^"]+)"', svg(figure))
    assert points is not None
    drawn = [tuple(map(float, point.split(","))) for point in points[1].split()]
    (x0, y0), (x1, y1), (x2, y2) = drawn
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 > y2 > y1 and (y0 - y1) == pytest.approx(2 * (y0 - y2), abs=0.2)  # y runs downwards on the page


def test_a_spike_is_marked_and_does_not_stretch_the_axis(tmp_path: Path) -> None:
    with_spike, without = (
        figures(read_runs([_run(tmp_path / name, 20, skipped=skipped)]))[0]
        for name, skipped in (("a", (9,)), ("b", ()))
    )
    assert with_spike.curves[0].marks == [(900.0, 900.0)] and not without.curves[0].marks
    drawn = svg(with_spike)
    assert drawn.count('class="mark"') == 1 and "<title>900: 900</title>" in drawn and svg(without).count("mark") == 0
    ys = [float(p.split(",")[1]) for p in re.findall(r'points="([^"]+)"', drawn)[0].split()]
    assert max(ys) - min(ys) > 150  # the curve fills the figure


def test_nothing_can_run_or_be_fetched(tmp_path: Path) -> None:
    text = page(read_runs([_run(tmp_path / HOSTILE.replace("/", "_"), 10), _run(tmp_path / "b", 10)]))
    found = _Page(text)
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "a", "form", "base", "foreignobject"}
    policy = [a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name in ("src", "href", "xlink:href") for name in attributes)
    assert "alert(" in text and "<script" not in text


def test_runs_lie_over_each_other_by_tokens_or_steps(tmp_path: Path) -> None:
    runs = read_runs([_run(tmp_path / "a", 10, tokens=100), _run(tmp_path / "b", 10, tokens=300)])
    by_tokens, by_steps = (figures(runs, axis)[0] for axis in ("tokens", "steps"))
    assert [curve.x[-1] for curve in by_tokens.curves] == [1000, 3000]
    assert [list(curve.x) for curve in by_steps.curves] == [list(range(1, 11))] * 2
    assert svg(by_tokens).count("<polyline") == 2
    held = next(f for f in figures(runs) if f.title == "Held out: held_out")
    assert [curve.x for curve in held.curves] == [[500, 1000], [1500, 3000]]
    with pytest.raises(ConfigError, match="tokens, steps"):
        figures(runs, "hours")


def test_a_rewind_breaks_the_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": s, "loss": 1.0 * i, "tokens": 10}) + "\n" for i, s in enumerate([1, 2, 3, 2, 3]))
    )
    curve = figures(read_runs([tmp_path]))[0].curves[0]
    assert list(curve.x) == [10, 20, 30, 40, 40, 50] and list(curve.y) == [0.0, 1.0, 2.0, None, 3.0, 4.0]
    assert svg(figures(read_runs([tmp_path]))[0]).count("<polyline") == 2


def test_the_png_opens(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    runs = read_runs([_run(tmp_path / "_$a^$", 30, skipped=(7,)), _run(tmp_path / "b", 500)])
    shown = figures(runs)
    for name in ("one.png", "two.png"):
        write_png(shown, tmp_path / name, title=HOSTILE)
    with Image.open(tmp_path / "one.png") as image:
        image.load()
        assert image.format == "PNG" and image.width > 1000 and image.height > 800
        assert len(image.convert("RGB").resize((200, 200)).getcolors(100_000) or []) > 50
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_many_points_become_means() -> None:
    curve = Curve("c", list(range(1000)), [float(i % 10) for i in range(1000)])
    few, group = thinned(curve, 100)
    assert group == 10 and len(few.x) == 100
    assert few.x[3] == sum(range(30, 40)) / 10 and set(few.y) == {4.5}


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.31), (1e6, 2.3e7), (-3, 3), (5, 5), (1e-7, 3e-7)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-9 * abs(high) <= t <= high + 1e-9 * abs(high) for t in found)
    for t in found:
        assert low == high or len(f"{t:.12g}".strip("-0.").replace(".", "").rstrip("0").split("e")[0]) <= 2


def test_paths_are_told_apart(tmp_path: Path) -> None:
    assert labels([Path("/x/a/run"), Path("/x/b/run")]) == ["a/run", "b/run"]
    assert labels([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert labels([Path("/x/a"), Path("/x/a")]) == ["a (1)", "a (2)"]
    step = _run(tmp_path / "run" / "09-pretrain", 3)
    assert find_run(tmp_path / "run") == step == find_run(step)


def test_what_cannot_be_plotted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no metrics.jsonl"):
        read_runs([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match="not made a step"):
        read_runs([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(SchemaError, match="line 1"):
        read_runs([tmp_path])
    # Values of other types than numbers are no points, and nothing fails.
    lines = [
        {"step": 1, "loss": "3", "tokens": None}, {"step": 2, "loss": None, "lr": True, "grad_norm": -1},
        {"step": 3, "loss": float("inf"), "lr": 10**400, "tokens": float("nan")},
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "<h1>" in page(read_runs([tmp_path]))
