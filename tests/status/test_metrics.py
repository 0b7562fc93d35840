"""Metrics for Prometheus: read from the port on which a local Ray exports them, as Prometheus would."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from pipeline.runner import InlineRunner
from pipeline.status.metrics import NAMES, NoMetrics, metrics_of

from .tools import recipe, run, wait_for


def scraped(port: int) -> dict[str, float]:
    """Our samples by name and step; with `_sum` and `_count` of the histogram."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for name, labels, value in re.findall(r"^ray_(gristmill_\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE):
        if 'run="small"' in labels and 'step="01-acting"' in labels and not name.endswith("_bucket"):
            found[name] = float(value)
    return found


def test_inline_runs_export_nothing(tmp_path: Path):
    assert isinstance(metrics_of(InlineRunner(), "small"), NoMetrics)
    run(tmp_path / "run", "")


def test_names_are_documented():
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text(encoding="utf-8")
    for name, (kind, _) in NAMES.items():
        assert re.search(rf"`ray_gristmill_{name}(_total)?`[^\n]*{kind}", page), name


@pytest.mark.ray
@pytest.mark.slow
def test_ray_exports_them(tmp_path: Path):
    """What the port says after a run is what the run did."""
    pytest.importorskip("prometheus_client", reason="needs ray[default]")
    import ray

    from pipeline.progress import Progress
    from pipeline.run import execute
    from pipeline.runner import RayRunner

    with RayRunner(workers=2) as runner:
        execute(recipe("", "", ""), tmp_path / "run", runner, Progress(quiet=True))
        port = ray.nodes()[0]["MetricsExportPort"]
        done = {"gristmill_shards_done_total", "gristmill_shards_done"}
        wait_for(lambda: any(scraped(port).get(name) == 3 for name in done), "the metrics")
        wait_for(lambda: scraped(port).get("gristmill_task_seconds_count") == 3, "the histogram")
        seen = {name.removesuffix("_total"): value for name, value in scraped(port).items()}
    assert seen["gristmill_shards_done"] == 3
    assert seen["gristmill_documents"] == 3 + 4 + 5
    assert seen["gristmill_bytes_written"] == 10 + 11 + 12
    assert seen["gristmill_shards_planned"] == 3
    assert seen["gristmill_shards_running"] == 0
    assert 0 < seen["gristmill_task_seconds_sum"] < 60
