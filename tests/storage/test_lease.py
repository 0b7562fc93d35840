"""The lock of an output in a store, S3's and Google's."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.storage import assert_held, held, lease, place
from pipeline.storage.lease import Lease


@pytest.fixture()
def output(store):
    return place(f"{store.url}/run")


@pytest.fixture()
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.2)
    monkeypatch.setattr(lease, "STALE_S", 2.0)


def until(ready, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def left_by(output, **said):
    """A lock that a killed run left, with what it said."""
    value = {"run": "other", "host": "elsewhere", "pid": 1, "beat": 3, "where": "elsewhere b n", **said}
    (output / ".lock").write_text(json.dumps(value))


def test_a_second_run_is_refused_and_the_lock_goes_with_the_first(output):
    with held(output):
        assert (output / ".lock").exists()
        with pytest.raises(ConfigError, match="another run .* is writing to "), held(output):
            raise AssertionError("two at once")
    assert not (output / ".lock").exists()
    with held(output):
        assert_held(output / "x")


def test_of_two_that_begin_together_one_holds(store, output):
    store.front.share = 0.2
    from concurrent.futures import ThreadPoolExecutor

    def take(_):
        one = Lease(output)
        try:
            one.acquire()
        except ConfigError:
            return None
        return one

    with ThreadPoolExecutor(6) as threads:
        holders = [one for one in threads.map(take, range(6)) if one is not None]
    assert len(holders) == 1
    holders[0].release()


def test_a_fresh_lock_of_another_machine_is_respected_whatever_our_clock_says(output, monkeypatch):
    left_by(output)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(ConfigError, match="process 1 on elsewhere"), held(output):
        raise AssertionError("taken too early")


def test_a_stale_lock_is_taken_over(output, quick):
    left_by(output)
    time.sleep(2.1)  # the store's dates have whole seconds
    until(lambda: _takes(output))
    assert not (output / ".lock").exists(), "given back by the one who took it over"


def _takes(output):
    try:
        with held(output):
            return True
    except ConfigError:
        return False


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once(output):
    import subprocess

    child = subprocess.Popen(["true"])
    child.wait()
    left_by(output, pid=child.pid, where=lease._place_of_process())
    with held(output):
        assert json.loads((output / ".lock").read_text())["run"] != "other"


def test_the_heartbeat_renews_through_faults_and_outlasts_the_limit(store, output, quick):
    with held(output):
        store.front.share = 0.3
        first = json.loads((output / ".lock").read_text())["beat"]
        until(lambda: json.loads((output / ".lock").read_text())["beat"] >= first + 5)
        with pytest.raises(ConfigError), held(output):
            raise AssertionError("taken from a living run")
        assert_held(output / "01-extract")


def test_a_holder_whose_lock_was_taken_stops(output, quick):
    with held(output):
        left_by(output)

        def lost():
            try:
                assert_held(output / "01-extract" / "done")
            except StepFailed as error:
                return "taken over" in str(error)
            return False

        until(lost)
    assert json.loads((output / ".lock").read_text())["run"] == "other", "the other's lock was removed"


def test_a_holder_that_can_not_renew_stops(store, output, quick):
    with held(output):
        one = lease._held[str(output)]
        one._write = lambda **_: (_ for _ in ()).throw(StepFailed("the store is gone"))  # type: ignore[method-assign]
        until(lambda: "could not be renewed" in one.lost)
        with pytest.raises(StepFailed, match="could not be renewed"):
            assert_held(output / "x")


def test_dates_of_other_stores():
    assert lease._date({"updated": "2026-01-01T00:00:00+00:00"}) is not None
    assert lease._date(SimpleNamespace(get=lambda key: None)) is None  # type: ignore[arg-type]
