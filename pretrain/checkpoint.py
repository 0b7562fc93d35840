"""Checkpoints: folders that appear whole or not at all.

    checkpoints/step-00000040/
        weights.pt        the model's tensors by name (torch.save; read with weights_only, which runs no code)
        optimiser.pt      {parameter's name: {moment's name: tensor}}
        checkpoint.json   step, the run's configuration and state (source, spike window, counts), sizes and BLAKE2b
                          checksums of the two files; generators need no state of their own (see `loop`)

Tensors are whole and named as the plain model's, so any number of processes reads what another wrote. A checkpoint is
written under a temporary name, flushed to the disk and renamed: a kill leaves the one before. Two runs that do the same
write the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SchemaError
from pipeline.names import check_inside
from pipeline.store import file_digest

from .metrics import finite

FOLDER, META, WEIGHTS, OPTIMISER = "checkpoints", "checkpoint.json", "weights.pt", "optimiser.pt"
FORMAT, VERSION = "gristmill-checkpoint", 1
_NAME = re.compile(r"step-(\d{8,})")
_TEMPORARY = re.compile(r"\.step-\d{8,}\..*\.tmp")


@dataclass(frozen=True)
class Checkpoint:
    """One on disk."""

    path: Path

    @property
    def step(self) -> int:
        """Steps that were done."""
        return int(self.path.name.removeprefix("step-"))

    @cached_property
    def meta(self) -> dict[str, Any]:
        """`checkpoint.json`. Raises SchemaError where it is damaged or of a later version."""
        path = self.path / META
        try:
            meta = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SchemaError(f"{path} can't be read ({error}): the checkpoint is damaged") from error
        if not isinstance(meta, dict) or meta.get("format") != FORMAT or "files" not in meta:
            raise SchemaError(f"{path} is not that of a checkpoint")
        if meta.get("version") != VERSION:
            raise SchemaError(f"{path} has version {meta.get('version')}; this Gristmill reads {VERSION}: update it")
        return meta

    def verify(self) -> None:
        """Raise SchemaError unless its files are as they were written."""
        for name, entry in self.meta["files"].items():
            check_inside(name, self.path / META)
            path = self.path / name
            if not path.is_file() or path.stat().st_size != entry["bytes"] or file_digest(path) != entry["blake2b"]:
                raise SchemaError(f"{path} is missing or damaged: it doesn't match {META}")

    def weights(self) -> dict[str, Any]:
        """The model's tensors, on the CPU."""
        return _tensors(self.path / WEIGHTS)

    def full(self) -> dict[str, Any]:
        """What `Parallel.load_full` takes."""
        return {"model": self.weights(), "optimiser": _tensors(self.path / OPTIMISER)}


class Checkpoints:
    """The checkpoints of a run. Kept are the `keep` newest, those of every `keep_every` steps, the newest good one, and
    good ones `lag` steps apart, so that there is a way back also from a bad stretch that begins just after the newest.

    `say` is told of damaged checkpoints: they are passed over, don't count as kept and are written anew.
    """

    def __init__(
        self,
        run: Path,
        keep: int = 2,
        keep_every: int | None = None,
        say: Callable[[str], None] = print,
        lag: int = 0,
    ) -> None:
        self.folder, self.keep, self.keep_every, self.say, self.lag = run / FOLDER, keep, keep_every, say, lag
        self._damaged: set[int] = set()

    def all(self) -> list[Checkpoint]:
        """Those that are there, the oldest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((Checkpoint(p) for p in found if _NAME.fullmatch(p.name)), key=lambda one: one.step)

    def newest(self) -> Checkpoint | None:
        """The newest whole one."""
        return next(self._whole(self.all()[::-1]), None)

    def before(self, step: int) -> Checkpoint | None:
        """The newest whole good one that was made `lag` steps before `step`, or earlier; else the oldest good one."""
        good = [one for one in self.all() if _good(one)]
        old = [one for one in good if one.step <= step - self.lag]
        return next(self._whole([*old[::-1], *good[len(old) :]]), None)

    def _whole(self, checkpoints: Iterable[Checkpoint]) -> Iterator[Checkpoint]:
        """Those that are not damaged."""
        for one in checkpoints:
            try:
                one.verify()
            except SchemaError as error:
                self._damaged.add(one.step)
                self.say(f"{error}; passed over for another checkpoint")
            else:
                yield one

    def save(self, meta: dict[str, Any], full: Mapping[str, Any]) -> Checkpoint:
        """Write the checkpoint of `meta["step"]`, unless it is there whole, and remove those that needn't be kept."""
        final = self.folder / f"step-{meta['step']:08d}"
        if final.exists() and meta["step"] not in self._damaged:
            return Checkpoint(final)

        self.folder.mkdir(parents=True, exist_ok=True)
        self.clean()
        temporary = self.folder / f".{final.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
        temporary.mkdir()
        try:
            self._write(temporary, meta, full)
        except BaseException:  # a full disk: what was written must not fill it
            shutil.rmtree(temporary)
            raise
        if final.exists():  # damaged
            self._remove(final)
        os.rename(temporary, final)
        _flush_folder(self.folder)
        self._damaged.discard(meta["step"])
        self._prune()
        return Checkpoint(final)

    def _write(self, folder: Path, meta: dict[str, Any], full: Mapping[str, Any]) -> None:
        """Write a checkpoint's files into a folder, through to the disk."""
        import torch

        files = {}
        for name, tensors in ((WEIGHTS, full["model"]), (OPTIMISER, full["optimiser"])):
            with open(folder / name, "wb") as file:
                torch.save(tensors, file)
                _flush(file)
            files[name] = {"bytes": (folder / name).stat().st_size, "blake2b": file_digest(folder / name)}
        with open(folder / META, "w", encoding="utf-8") as text:
            value = {"format": FORMAT, "version": VERSION, **finite(meta), "files": files}
            json.dump(value, text, sort_keys=True, indent=1, allow_nan=False)
            _flush(text)
        _flush_folder(folder)

    def drop_after(self, step: int) -> None:
        """Remove those of later steps: a run went back behind them."""
        for one in reversed(self.all()):
            if one.step > step:
                self._remove(one.path)

    def clean(self) -> None:
        """Remove what a killed run left half written."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _TEMPORARY.fullmatch(path.name):
                shutil.rmtree(path)

    def _prune(self) -> None:
        every = [one for one in self.all() if one.step not in self._damaged]
        kept = {one.step for one in every[-self.keep :]}
        kept |= {one.step for one in every if self.keep_every is not None and one.step % self.keep_every == 0}
        kept |= self._ways_back([one.step for one in every if _good(one)])
        for one in every:
            if one.step not in kept:
                self._remove(one.path)

    def _ways_back(self, good: list[int]) -> set[int]:
        """Of good checkpoints' steps the newest, the newest of a chain that is `lag` apart, and its newest that is
        `lag` older than the newest of all: so there always is one that old, and at most about twice as old."""
        chain: list[int] = []
        for step in good:
            if not chain or step >= chain[-1] + self.lag:
                chain.append(step)
        return {*good[-1:], *chain[-1:], *[step for step in chain if step <= good[-1] - self.lag][-1:]}

    def _remove(self, path: Path) -> None:
        """Remove a checkpoint: under another name first, so that a kill leaves no half of one."""
        gone = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        os.rename(path, gone)
        shutil.rmtree(gone)


def _good(one: Checkpoint) -> bool:
    """Whether it was saved as good; a damaged one is not."""
    try:
        return bool(one.meta["good"])
    except SchemaError:
        return False


def find_checkpoint(where: str | Path, option: str = "") -> Checkpoint:
    """The checkpoint at a path: a checkpoint's own folder, or the newest of a run's.

    Raises ConfigError for none, naming the `option` that the path comes from.
    """
    path = Path(where)
    if (path / META).is_file():
        one = Checkpoint(path)
        one.verify()
        return one
    found = Checkpoints(path.parent if path.name == FOLDER else path).newest()
    if found is None:
        named = f"{option} {where}".strip()
        raise ConfigError(f"{named} holds no checkpoint: name a run's folder, or one of its {FOLDER}/step-...")
    return found


def load_model(where: str | Path) -> Any:
    """The model of a checkpoint, on the CPU and in evaluation mode: a teacher, or one to be measured."""
    from .config import ModelConfig
    from .model import Transformer

    checkpoint = find_checkpoint(where)
    model = Transformer(ModelConfig(**checkpoint.meta["model"]))
    model.load_state_dict(checkpoint.weights())
    return model.eval()


UNSHAPED = ("n_heads", "n_kv_heads", "top_k", "rope_theta", "rope_scale", "rope_factor", "rope_original")
"""Fields of a model that its weights mean nothing without, and that no tensor's shape tells."""


def take_weights(model: Any, where: str | Path, tokenizer: str, chosen: Collection[str] = ()) -> None:
    """Begin with a checkpoint's weights; `model` is a plain one, `tokenizer` the fingerprint of its pack set's.

    Of a vocabulary that has grown (an objective's mask and sentinels) the further rows stay as they are. Raises
    ConfigError for a checkpoint of another tokenizer, of other shapes, or whose heads and angles are other ones, but
    for the fields in `chosen`, which are meant to differ.
    """
    import torch

    checkpoint = find_checkpoint(where, "init_from")
    if checkpoint.meta["tokenizer"] != tokenizer:
        raise ConfigError(
            f"init_from {where}: that model was trained with tokenizer {checkpoint.meta['tokenizer']}, these packs were"
            f" made with {tokenizer}; pack the texts with its tokenizer"
        )
    found, own = checkpoint.weights(), model.state_dict()
    rows = {"embedding.weight", "head.weight"}
    for name in sorted(found.keys() | own.keys()):
        there, here = (tuple(one[name].shape) if name in one else () for one in (found, own))
        grown = name in rows and there[1:] == here[1:] and there < here
        if there != here and not grown:
            raise ConfigError(
                f"init_from {where}: {name} has shape {there or 'none'} there and {here or 'none'} here; take that"
                f" run's size and model options: {checkpoint.meta['model']}"
            )
    before, now = (
        {name: one[name] for name in UNSHAPED if name not in chosen}
        for one in (checkpoint.meta["model"], dataclasses.asdict(model.config))
    )
    if changed := changes(before, now, at="model."):
        raise ConfigError(
            f"init_from {where}: that model is computed otherwise ({'; '.join(changed)}): set the model's options to"
            " what they were there, or to what they are to be"
        )
    with torch.no_grad():
        for name, value in found.items():
            own[name][: len(value)].copy_(value)


def changes(before: Mapping[str, Any], now: Mapping[str, Any], free: tuple[str, ...] = (), at: str = "") -> list[str]:
    """What differs between two configurations, as `key: before -> now`; keys in `free` may differ."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = (one.get(key) for one in (before, now))
        if key in free or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changes(old, new, (), f"{at}{key}.")
        else:
            found.append(f"{at}{key}: {json.dumps(old)} -> {json.dumps(new)}")
    return found


def _tensors(path: Path) -> dict[str, Any]:
    import torch

    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
