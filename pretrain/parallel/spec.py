"""What the option `parallel` says. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError, nearest

KINDS: dict[str, str] = {
    "none": "one process",
    "ddp": "a copy of the model on each process, gradients summed (DistributedDataParallel)",
    "fsdp": "parameters, gradients and optimiser state sharded over the processes (FSDP2, fully_shard)",
    "tensor": "each layer's matrices split over N processes (DTensor); tensor=N, the rest data-parallel by FSDP2",
    "pipeline": "layers split over the processes (torch.distributed.pipelining); pipeline=1f1b or pipeline=gpipe",
}
SCHEDULES = ("1f1b", "gpipe")


@dataclass(frozen=True)
class Spec:
    """A parsed option. `tensor` is the size of a tensor-parallel group (None: all processes)."""

    kind: str = "none"
    tensor: int | None = None
    schedule: str = SCHEDULES[0]


def parse(text: str) -> Spec:
    """`none`, `ddp`, `fsdp`, `tensor`, `tensor=N`, `pipeline`, `pipeline=1f1b` or `pipeline=gpipe`.

    Raises ConfigError for anything else.
    """
    kind, _, value = text.partition("=")
    if kind not in KINDS:
        raise ConfigError(f"parallel: there is no kind '{kind}'{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    if "=" not in text:
        return Spec(kind)
    if kind == "tensor":
        if not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ConfigError(f"parallel: tensor={value}: N must be a whole number from 1 on, as in tensor=2")
        return Spec(kind, tensor=int(value))
    if kind == "pipeline":
        if value not in SCHEDULES:
            raise ConfigError(
                f"parallel: pipeline={value}: there is no schedule '{value}'{nearest(value, SCHEDULES)};"
                f" there are {', '.join(SCHEDULES)}"
            )
        return Spec(kind, schedule=value)
    raise ConfigError(f"parallel: {kind} takes no value; write '{kind}', not '{text}'")
