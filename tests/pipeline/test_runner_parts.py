"""What the Ray runner is made of, without Ray's processes: common parts of payloads, the queue, requests, losses."""

from __future__ import annotations

import pickle
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build, read_recipe
from pipeline.resources import asked_by, read_bytes
from pipeline.runner import Resources, Task
from pipeline.runner import flight as flights
from pipeline.runner.base import said
from pipeline.runner.cluster import Node, Size
from pipeline.runner.flight import Flight, Limits
from pipeline.runner.jobs import BATCH_MAX, Queue, asked
from pipeline.runner.shared import Packer, loads
from pipeline.runner.worker import Failure, Outcome, SharedLost, run_batch

GB = 10**9


@dataclass(frozen=True)
class Work:
    files: tuple[str, ...]
    options: dict


@dataclass(frozen=True)
class Payload:
    work: Work
    index: int
    own: tuple[str, ...]


def test_a_payload_stays_small_however_many_shards_there_are():
    sizes = {}
    for shards in (10, 10_000):
        work = Work(tuple(f"kept/{i:06d}.parquet" for i in range(shards)), {"a": [1, 2]})
        payloads = [Payload(work, i, (f"own {i}",)) for i in range(shards)]
        packer = Packer(len, payloads)
        blobs = [packer.dumps(one) for one in payloads[:10]]
        function, shared = pickle.loads(packer.shared)
        assert function is len
        assert [loads(blob, shared) for blob in blobs] == payloads[:10]
        assert loads(blobs[0], shared).work is loads(blobs[1], shared).work, "unpickled once, for all tasks"
        sizes[shards] = max(map(len, blobs))
        assert len(packer.shared) > 10 * shards
    assert sizes[10_000] <= sizes[10] + 16


def test_what_is_equal_but_not_the_same_stays_in_the_payload():
    payloads = [Payload(Work((f"{i}",), {}), i, ()) for i in range(3)]
    packer = Packer(len, payloads)
    _, shared = pickle.loads(packer.shared)
    assert [loads(packer.dumps(one), shared) for one in payloads] == payloads


def test_one_task_alone_has_nothing_in_common():
    packer = Packer(len, [])
    assert loads(packer.dumps(Payload(Work(("x",), {}), 1, ())), []) == Payload(Work(("x",), {}), 1, ())


def test_large_tasks_come_first_and_others_in_order():
    queue = Queue([Task("a", None, 1), Task("b", None, 3), Task("c", None, 3), Task("d", None, 2)])
    assert [queue.take(1)[0].task.name for _ in range(4)] == ["b", "c", "d", "a"]
    assert [Queue([Task(n, None) for n in "xyz"]).take(1)[0].task.name] == ["x"]


def test_short_tasks_are_handed_out_several_at_a_time_but_not_at_the_end():
    queue = Queue([Task(str(i), None) for i in range(10_000)])
    assert len(queue.take(2)) == 1, "nothing is known yet"
    for _ in range(100):
        queue.took(0.001)
    assert len(queue.take(2)) == BATCH_MAX
    for _ in range(600):
        queue.took(0.05)
    assert len(queue.take(2)) == 5
    for _ in range(600):
        queue.took(3.0)
    assert len(queue.take(2)) == 1
    for _ in range(600):
        queue.took(0.001)
    sizes = []
    while len(queue):
        sizes.append(len(queue.take(2)))
    assert sizes[-8:] == [1] * 8, "the end isn't waited for"
    assert sum(sizes) == 10_000 - 1 - BATCH_MAX - 5 - 1


def test_requests_fit_the_largest_node_and_grow_after_running_out():
    size = Size.of([Node(32 * GB, 8), Node(8 * GB, 2), Node(8 * GB, 2)])
    want = Resources(4 * GB, 2)
    assert asked(want, 0, size) == want
    assert asked(want, 1, size) == Resources(16 * GB, 2)
    assert asked(Resources(10 * GB), 1, size) == Resources(20 * GB)
    assert asked(want, 2, size) == Resources(32 * GB, 8)
    assert asked(Resources(64 * GB, 16), 0, size) == Resources(32 * GB, 8)
    assert asked(Resources(), 0, size) == Resources()
    assert (size.nodes, size.cpus, size.slots(4 * GB, 2), size.slots(0, 0.5)) == (3, 12, 6, 24)


@pytest.mark.parametrize(
    "nodes",
    [
        [Node(90 * GB, 0), Node(22 * GB, 16), Node(22 * GB, 16)],  # a head that runs no tasks
        [Node(40 * GB, 32), Node(150 * GB, 8)],
        [Node(16 * GB, 4), Node(16 * GB, 64), Node(2 * GB, 96)],
    ],
)
@pytest.mark.parametrize("want", [Resources(), Resources(4 * GB, 2), Resources(64 * GB, 24), Resources(1 << 50, 1e3)])
def test_every_request_fits_a_node_however_they_differ(nodes, want):
    size = Size.of(nodes)
    for ooms in range(4):
        one = asked(want, ooms, size)
        fitting = [
            node for node in nodes if node.cpus > 0 and node.memory >= one.memory_bytes and node.cpus >= one.cpus
        ]
        assert fitting, (ooms, one)
        assert one.cpus > 0
    assert asked(want, 2, size).memory_bytes == max(node.memory for node in nodes if node.cpus)


def test_a_cluster_that_has_no_workers_yet_is_asked_for_what_is_wanted():
    head = Size.of([Node(90 * GB, 0)])
    assert head.largest is None and head.cpus == 0
    assert [asked(Resources(64 * GB, 24), ooms, head) for ooms in range(3)] == [Resources(64 * GB, 24)] * 3


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GB", 2 * GB), ("1.5g", 3 * GB // 2), ("512MiB", 512 << 20), (4096, 4096), ("3 kb", 3000), ("1TiB", 1 << 40)],
)
def test_amounts_of_memory(text, count):
    assert read_bytes(text, "x") == count


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", True, "2GBB", None])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ConfigError, match="x: write an amount of memory as 2GB"):
        read_bytes(text, "x")


def test_resources_of_a_recipe_change_no_fingerprint():
    plain = read_recipe("crawl-to-shards")
    before = build(plain)
    after = build({**plain, "resources": {"extract": {"memory": "3GB"}, "pii": {"cpus": 2}}})
    asked = {step.folder_name(): asked_by(step, after.resources) for step in after.steps}
    assert asked["extract"] == Resources(3 * GB, 1)
    assert asked["pii"] == Resources(512 << 20, 2)
    assert asked["tokenize"] == Resources(512 << 20, 1)
    assert [s.fingerprint([]) for s in after.steps[:1]] == [s.fingerprint([]) for s in before.steps[:1]]
    assert [s.config() for s in after.steps] == [s.config() for s in before.steps]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"extrct": {"cpus": 1}}, "no such step.*extract"),
        ({"extract": {"memry": 1}}, "no key is called 'memry'.*memory"),
        ({"extract": {"cpus": -1}}, "must be a number above 0"),
        ({"extract": 4}, r"write \{memory: 2GB, cpus: 1\}"),
        ([1], "maps a step"),
    ],
)
def test_wrong_resources(given, message):
    with pytest.raises(ConfigError, match=message):
        build({**read_recipe("crawl-to-shards"), "resources": given})


class Watched:
    """A cluster of one node that is there."""

    head, head_gone = "127.0.0.1:1", False

    def size(self) -> Size:
        return Size.of([Node(8 * GB, 2)])


class Quiet:
    def __init__(self) -> None:
        self.retried: list[str] = []

    def on_start(self, task: Task) -> None:
        return None

    def on_retry(self, task: Task, why: str) -> None:
        self.retried.append(task.name)


class Scripted(Flight):
    """Instead of Ray, `fates` says what becomes of each try of each task: an error, or a value."""

    def __init__(self, fates: dict[str, list], limits: Limits) -> None:
        self.fates, self.puts, self.asked = fates, 0, []
        self.results: dict[str, int] = {}
        self.observer_ = Quiet()
        super().__init__(
            "s", len, [Task(name, name) for name in fates], Resources(GB), limits, Watched(),
            lambda task, result: self.results.__setitem__(task.name, result["v"]), self.observer_,
        )  # fmt: skip

    def _put(self) -> None:
        self.puts += 1

    def _submit(self, jobs, size) -> None:
        (job,) = jobs
        job.copies += 1
        self.asked.append((job.task.name, flights.asked(self.resources, job.ooms, size)))
        fate = self.fates[job.task.name].pop(0)
        future: Future = Future()
        reference = object()
        self._batches[reference] = flights.Batch(jobs, 0.0)
        if isinstance(fate, BaseException):
            future.set_exception(fate)
        elif isinstance(fate, Failure):
            future.set_result([Outcome(0.1, failure=fate)])
        else:
            future.set_result([Outcome(0.1, pickle.dumps({"v": fate}))])
        self._arrived.put((reference, future))


@pytest.fixture()
def errors():
    return pytest.importorskip("ray").exceptions


def fly(fates, retries=3, losses=10):
    flight = Scripted(fates, Limits(retries, losses, 2, 4.0, 120.0))
    try:
        flight.run()
    finally:
        flight._batches.clear()
    return flight


def test_losses_do_not_count_as_failures_of_the_code(errors):
    gone = [errors.WorkerCrashedError(), errors.NodeDiedError("gone")] * 5
    flight = fly({"a": [*gone, 7], "b": [Failure("OSError: x")] * 3 + [8]})
    assert flight.results == {"a": 7, "b": 8}
    assert Counter(flight.observer_.retried) == {"a": 10, "b": 3}


def test_a_task_that_kills_its_worker_each_time_ends_the_run(errors):
    with pytest.raises(StepFailed, match=r"task 'a' failed 11 time.*worker or node was lost.*--memory-per-task"):
        fly({"a": [errors.WorkerCrashedError() for _ in range(20)]})
    with pytest.raises(StepFailed, match=r"task 'b' failed 4 time\(s\): OSError: x\. What is finished is kept"):
        fly({"b": [Failure("OSError: x")] * 9})


def test_a_job_rests_as_long_as_it_was_told():
    queue = Queue([Task("a", None)])
    (job,) = queue.take(1)
    queue.resting.append((5.0, job))
    queue.wake(4.9)
    assert not len(queue)
    queue.wake(5.0)
    assert queue.take(1) == [job] and not queue.resting


def test_a_task_that_ran_out_of_memory_waits_while_the_others_go_on(errors, monkeypatch):
    """Ray kills the next worker too while the memory of the first isn't free."""
    monkeypatch.setattr(flights, "OOM_PAUSES_S", (0.3, 0.0))
    monkeypatch.setattr(flights, "TICK_S", 0.02)
    flight = fly({"a": [errors.OutOfMemoryError("m"), 1], **{str(i): [i] for i in range(12)}})
    assert list(flight.results) == [*map(str, range(12)), "a"]
    flight = fly({"a": [Failure("OSError: x"), 1], **{str(i): [i] for i in range(12)}})
    assert list(flight.results).index("a") < 8, "what raised is tried again at once"


def test_a_task_that_runs_out_of_memory_gets_more_then_a_node_then_a_clear_end(errors, monkeypatch):
    monkeypatch.setattr(flights, "OOM_PAUSES_S", (0.0, 0.0))
    flight = fly({"a": [errors.OutOfMemoryError("m"), errors.OutOfMemoryError("m"), 1]})
    assert flight.results == {"a": 1}
    assert [want for _, want in flight.asked] == [Resources(GB), Resources(4 * GB), Resources(8 * GB, 2)]
    with pytest.raises(StepFailed, match=r"task 'a' ran out of memory 3 times.*8\.0 GB.*--memory-per-task") as caught:
        fly({"a": [errors.OutOfMemoryError("killed\nlong story") for _ in range(3)]})
    assert "long story" not in str(caught.value)


def test_the_shared_object_is_put_again_when_it_is_lost():
    flight = fly({"a": [SharedLost("lost"), 5]})
    assert flight.results == {"a": 5} and flight.puts == 2


def test_a_worker_says_that_the_shared_object_is_lost(errors, monkeypatch):
    def gone(reference, timeout):
        raise errors.OwnerDiedError("00" * 28, None, "put")

    monkeypatch.setattr("ray.get", gone)
    with pytest.raises(SharedLost):
        run_batch("no such key", [None], [b""])


def test_an_error_of_ours_ends_the_run_as_it_is():
    with pytest.raises(ConfigError, match="wrong option"):
        fly({"a": [Failure.of(ConfigError("wrong option"))]})


def test_a_head_that_no_longer_answers_ends_the_run(monkeypatch):
    monkeypatch.setattr(Watched, "head_gone", True)
    with pytest.raises(StepFailed, match=r"head at 127\.0\.0\.1:1 no longer answers.*same command"):
        fly({"a": [Failure("OSError: x"), 1]})


def test_results_are_given_back_as_they_were_put():
    from pipeline.steps import Results

    made = [{"index": i, "files": [{"file": f"kept/{i:06d}.parquet", "rows": i * 7919 % 1000}]} for i in range(500)]
    results = Results([str(i) for i in range(500)])
    for value in reversed(made):
        results.put(str(value["index"]), value)
    assert results.there == len(results) == 500
    assert list(results) == made and results[3:9:2] == made[3:9:2] and results[-1] == made[-1]
    assert sum(map(len, results._packed)) < 0.5 * sum(len(repr(value)) for value in made)


def test_an_errors_message_is_told_without_a_traceback():
    rays = "System error: no room.\ntraceback: Traceback (most recent call last):\n  File x\nMemoryError: no room.\n"
    assert said(RuntimeError(rays)) == "RuntimeError: System error: no room."
    assert said(RuntimeError("Traceback (most recent call last):\n  File x\nMemoryError: y")) == (
        "RuntimeError: MemoryError: y"
    )
    assert (said(ValueError("plain\ntext")), said(KeyError())) == ("ValueError: plain\ntext", "KeyError: ")
