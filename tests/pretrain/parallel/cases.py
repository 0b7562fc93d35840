"""What ranks do, run once for all tests: `python -m tests.pretrain.parallel.cases FOLDER`.

One process imports everything and forks two ranks, then four, then two of which one fails: importing torch takes a
process longer than all that it does here. Each case's result, or the error that it ended with, is written to
FOLDER/NAME-RANK.pt.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.errors import ConfigError
from pretrain.config import TrainConfig
from pretrain.inputs import IGNORED, Inputs
from pretrain.parallel import parse, plan
from pretrain.parallel.base import Parallel
from pretrain.parallel.launch import make
from pretrain.train import train

from . import tools

CONFIGS: dict[str, dict[str, Any]] = {
    "decoder": {},
    "encoder": {"form": "encoder", "tied": False, "activation": "relu2", "n_layers": 2},
    "both": {"form": "encoder_decoder", "n_layers": 1},
    "experts": {"n_experts": 3, "n_layers": 1},
}
KINDS = ("ddp", "fsdp", "tensor", "pipeline", "pipeline=gpipe")
MATCHES = [
    (kind, name)
    for kind in KINDS
    for name in CONFIGS
    if not (kind.startswith("pipeline") and name in ("both", "experts"))
]


def micro_of(name: str) -> int:
    """Router losses are means over a micro-batch: one sequence each, so that ranks don't change them."""
    return 1 if name == "experts" else tools.MICRO


def match(kind: str, name: str) -> dict[str, Any]:
    """Some steps: losses, norms, weights and moments."""
    config = tools.small(**CONFIGS[name])
    with make(parse(kind), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        events = tools.train(parallel, model, optimiser, tools.batches(config), micro=micro_of(name))
        return {"events": events, **parallel.full_state(model, optimiser)}


def pairs(kind: str) -> dict[str, Any]:
    """A contrastive loss, whose model has an output layer that nothing uses."""
    config = tools.small(form="encoder", tied=False, n_layers=2)
    with make(parse(kind), "fp32", "contrastive") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        events = tools.train(parallel, model, optimiser, tools.batches(config), forward=tools.contrast)
        return {"events": events, **parallel.full_state(model, optimiser)}


def few_rows(kind: str) -> dict[str, Any]:
    """Fewer sequences than ranks, in the first step: one rank has none and has never had one."""
    config = tools.small()
    data = [tools.rows_of(tools.batches(config)[0], 1, 2), *tools.batches(config)[1:2]]
    with make(parse(kind), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        return {"events": tools.train(parallel, model, optimiser, data), **parallel.full_state(model, optimiser)}


def without_targets(config: Any) -> list[Inputs]:
    """A batch whose later sequences, rank 1's, predict nothing."""
    inputs = tools.batches(config)[0]
    assert inputs.targets is not None
    inputs.targets[tools.BATCH // 2 :] = IGNORED
    return [inputs]


def no_targets(kind: str) -> dict[str, Any]:
    config = tools.small()
    with make(parse(kind), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        return {"events": tools.train(parallel, model, optimiser, without_targets(config))}


def evaluate(kind: str) -> dict[str, Any]:
    """Sums over a set that doesn't divide by ranks, after a step of training and before another."""
    config = tools.small()
    first, held_out, last = tools.batches(config)
    with make(parse(kind), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        tools.train(parallel, model, optimiser, [first])
        micros = tools.shares(held_out, parallel.data_rank, parallel.data_size)
        outputs = parallel.evaluate(model, tools.forward, micros)
        total = parallel.reduce(torch.tensor([sum((float(o.loss_sum) for o in outputs), 0.0), float(len(micros))]))
        return {
            "loss": total[0].item(),
            "micros": total[1].item(),
            "grad": any(p.grad is not None for p in model.parameters()),
            "after": tools.train(parallel, model, optimiser, [last]),
        }


def norms(kind: str) -> dict[str, Any]:
    """Norms of gradients and parameters by name, and clipping that does nothing."""
    config = tools.small()
    inputs = tools.batches(config)[0]
    with make(parse(kind), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        micros = tools.shares(inputs, parallel.data_rank, parallel.data_size)
        parallel.accumulate(model, tools.forward, micros, lambda output, _: output.loss_sum)
        named = dict(parallel.plain(model).named_parameters())
        found = {
            "parameters": parallel.norms({name: [p] for name, p in named.items()}),
            "gradients": parallel.norms({name: [p.grad] for name, p in named.items()}),
            "all": parallel.clip(model.parameters(), 1e9).item(),
        }
        return {**found, "after": parallel.clip(model.parameters(), 0.5).item(),
                "clipped": parallel.clip(model.parameters(), 0.5).item()}  # fmt: skip


def resume(before: str, after: str) -> dict[str, Any]:
    """Two steps of one kind, the last of another from the first one's checkpoint."""
    config = tools.small()
    data = tools.batches(config)
    with make(parse(before), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        tools.train(parallel, model, optimiser, data[:2])
        written = told([parallel.full_state(model, optimiser)])
    with make(parse(after), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(tools.small()))
        optimiser = tools.optimiser_of(model)
        parallel.load_full(model, optimiser, written)
        again = parallel.full_state(model, optimiser)
        again = {key: {name: clone(value) for name, value in found.items()} for key, found in again.items()}
        events = tools.train(parallel, model, optimiser, data[2:])
        return {"written": written, "again": again, "events": events, **parallel.full_state(model, optimiser)}


def told(value: list[Any]) -> Any:
    """Rank 0's object on all ranks: the file that all read."""
    dist.broadcast_object_list(value, 0)
    return value[0]


def clone(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: clone(x) for key, x in value.items()}
    return value.clone() if torch.is_tensor(value) else value


def bf16(kind: str) -> dict[str, Any]:
    config = tools.small()
    with make(parse(kind), "bf16") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        events = tools.train(parallel, model, optimiser, tools.batches(config))
        full = parallel.full_state(model, optimiser)
        return {"events": events, **full}


def agreement() -> dict[str, Any]:
    with make(parse("ddp"), "fp32") as parallel:
        said = [parallel.agree(parallel.rank == 1), parallel.agree(False)]
        largest = parallel.reduce(torch.tensor(float(parallel.rank)), "max").item()
        parallel.barrier()
        return {"said": said, "max": largest, "main": parallel.main, "data": (parallel.data_rank, parallel.data_size)}


class Interrupted(Exception):
    pass


def settings(kind: str, **more: Any) -> TrainConfig:
    """A small run that crosses an epoch and evaluates at its end; its batches don't divide by two."""
    options = {"steps": 5, "batch_size": 13, "micro_batch": 3, "save_every": 2, "tensorboard": False, "stats_every": 5}
    model = {"n_layers": 2, "d_model": 32, "n_heads": 4, "d_ff": 48, "dropout": 0.1 if kind == "fsdp" else 0.0}
    return TrainConfig(parallel=kind, model=model, **{**options, **more})  # type: ignore[arg-type]


def training(folder: Path, kind: str) -> dict[str, Any]:
    """A whole run, and the same stopped in its fourth step and taken up again."""
    config = settings(kind, held_out={"same": str(folder / "packs")})
    whole = train(config, folder / "packs", folder / kind)

    def interrupt(event: Any) -> None:
        if event.step == 4:
            raise Interrupted

    stopped = ""
    try:
        train(config, folder / "packs", folder / f"{kind}-again", log=interrupt)
    except Interrupted:
        stopped = "in step 4"
    dist.barrier()
    again = train(config, folder / "packs", folder / f"{kind}-again")
    dist.barrier()
    return {"whole": whole, "again": again, "stopped": stopped}


def refusals() -> dict[str, Any]:
    """What each model can't be: the message."""
    tries: dict[str, tuple[str, dict[str, Any]]] = {
        "heads": ("tensor", {"n_heads": 1, "n_kv_heads": 1}),
        "kv": ("tensor", {"n_kv_heads": 1}),
        "d_ff": ("tensor", {"d_ff": 49}),
        "dropout": ("tensor", {"dropout": 0.1}),
        "vocabulary": ("tensor", {"vocab_size": 1}),
        "groups": ("tensor=3", {}),
        "layers": ("pipeline", {"n_layers": 1}),
        "both": ("pipeline", {"form": "encoder_decoder"}),
        "experts": ("pipeline", {"n_experts": 2}),
        "none": ("none", {}),
        "other": ("fsdp", {}),
    }
    said = {}
    for name, (kind, changes) in tries.items():
        try:
            parallel: Parallel = make(parse(kind), "fp32")
            model = parallel.wrap(tools.model_of(tools.small(**changes)))
            if name == "other":
                weights = tools.model_of(tools.small(d_ff=50)).state_dict()
                parallel.load_full(model, None, {"model": weights, "optimiser": {}})
            said[name] = "nothing"
        except ConfigError as error:
            said[name] = str(error)
    return said


def failing(rank: int) -> None:
    """Rank 1 fails between two collectives, as a program that torchrun started."""
    with plan(TrainConfig(parallel="ddp")) as parallel:
        parallel.barrier()
        if rank == 1:
            raise ValueError("the disk is full")
        while True:
            parallel.reduce(torch.ones(1))


def cases_of_two(folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    made: dict[str, Callable[[], dict[str, Any]]] = {"agreement": agreement, "refusals": refusals}
    for kind, name in MATCHES:
        made[f"match-{kind}-{name}"] = lambda kind=kind, name=name: match(kind, name)
    for kind in KINDS[:4]:
        made[f"pairs-{kind}"] = lambda kind=kind: pairs(kind)
        made[f"norms-{kind}"] = lambda kind=kind: norms(kind)
        made[f"evaluate-{kind}"] = lambda kind=kind: evaluate(kind)
        made[f"bf16-{kind}"] = lambda kind=kind: bf16(kind)
        made[f"training-{kind}"] = lambda kind=kind: training(folder, kind)
    for kind in ("ddp", "fsdp"):
        made[f"few_rows-{kind}"] = lambda kind=kind: few_rows(kind)
        made[f"no_targets-{kind}"] = lambda kind=kind: no_targets(kind)
    for before, after in RESUMES:
        made[f"resume-{before}-{after}"] = lambda before=before, after=after: resume(before, after)
    return made


RESUMES = (("ddp", "fsdp"), ("fsdp", "pipeline"), ("pipeline", "tensor"), ("tensor", "ddp"))


def run(folder: Path, rank: int, size: int, cases: dict[str, Callable[[], dict[str, Any]]]) -> None:
    """A rank's life."""
    store = dist.FileStore(str(folder / f"store-{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    for name, case in cases.items():
        started = time.perf_counter()
        try:
            result = case()
        except Exception:
            torch.save({"error": traceback.format_exc()}, folder / f"{name}-{rank}.pt")
            raise
        torch.save(result, folder / f"{name}-{rank}.pt")
        print(f"{name} {time.perf_counter() - started:.2f}", flush=True)
    dist.destroy_process_group()


def forked(folder: Path, log: str, size: int, life: Callable[[int], None]) -> list[int]:
    """Forks `size` ranks, waits for them, and gives their exit statuses; what they say goes to LOG-RANK."""
    started = []
    for rank in range(size):
        process = os.fork()
        if process:
            started.append(process)
            continue
        status = 1
        try:
            said = os.open(folder / f"{log}-{rank}", os.O_WRONLY | os.O_CREAT)
            os.dup2(said, 1)
            os.dup2(said, 2)
            life(rank)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in started]


def main(folder: Path) -> None:
    import torch._dynamo
    import torch.distributed.pipelining

    import pretrain.parallel.ddp
    import pretrain.parallel.fsdp
    import pretrain.parallel.pipeline
    import pretrain.parallel.tensor
    import pretrain.validation  # noqa: F401

    torch.set_num_threads(1)
    forked(folder, "log", 2, lambda rank: run(folder, rank, 2, cases_of_two(folder)))
    of_four = {"match-tensor=2-of-four": lambda: match("tensor=2", "decoder")}
    forked(folder, "log-of-four", 4, lambda rank: run(folder, rank, 4, of_four))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(one.getsockname()[1]))

    def fail(rank: int) -> None:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        failing(rank)

    started = time.monotonic()
    for rank, status in enumerate(forked(folder, "failing", 2, fail)):
        found = {"status": status, "seconds": time.monotonic() - started}
        torch.save({**found, "said": (folder / f"failing-{rank}").read_text()}, folder / f"failing-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
