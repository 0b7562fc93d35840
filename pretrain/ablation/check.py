"""Whether all that an ablation reads is there, before anything runs. Trains nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ConfigError

from .arms import found, is_recipe
from .design import WHERE, Arm, Design
from .gold import read_gold
from .plan import vocabulary
from .texts import TEXT_ENDINGS, preset_files


def check_inputs(arms: Sequence[Arm], design: Design) -> None:
    """Raise ConfigError, saying whose it is, for an input that is missing or can't be what it is named as, and for a
    model that memory has no room for.

    Arms (of a recipe its options and its inputs), held-out sets, benchmarks, tokenizer, the preset's folder. Of packs
    the manifest is read, of benchmarks the items, of documents only whether there are files.
    """
    from pipeline.bpe import load_tokenizer
    from pipeline.documents import list_files
    from pipeline.packreader import open_packs
    from pretrain.feed import check_memory
    from pretrain.sizes import model_config

    for arm in arms:
        with _of(f"arm '{arm.name}'"):
            if is_recipe(arm):
                _check_recipe(arm)
                continue
            corpus = found(arm)
            if corpus.packs:
                open_packs(corpus.packs)
            else:
                list_files(corpus.source["inputs"])
    for one in design.held_out_sets():
        with _of(f"held-out set '{one.name}'"):
            plain = [path for path in one.inputs if path.endswith(TEXT_ENDINGS)]
            for path in plain:
                if not Path(path).is_file():
                    raise ConfigError(f"'{path}' is not a file")
            if documents := [path for path in one.inputs if path not in plain]:
                list_files(documents)
    if design.preset:
        preset_files(design.preset)
    if design.gold:
        with _of("gold"):
            read_gold(design.gold, 1, design.seed)
    if design.tokenizer:
        with _of("tokenizer"):
            load_tokenizer(design.tokenizer)
    config = design.train_config(design.first_seed, design.run_steps)
    check_memory(config, model_config(config.size, vocabulary(design), **config.model))
    if design.tokenizer_text:
        with _of("tokenizer_text"):
            list_files(design.tokenizer_text)


def _check_recipe(arm: Arm) -> None:
    from pipeline.mapstep import MapStep
    from pipeline.recipe import build

    from .arms import documents_recipe

    for step in build(documents_recipe(arm), f"recipe '{arm.inputs[0]}'").steps:
        if isinstance(step, MapStep) and step.source is not None:
            step.source.splits(None)


@contextmanager
def _of(what: str) -> Iterator[None]:
    """Put in front of an error whose it is."""
    try:
        yield
    except ConfigError as error:
        said = str(error).removeprefix(f"{WHERE}: ").removeprefix(f"{what}: ")
        raise ConfigError(f"{WHERE}: {said if what in said else f'{what}: {said}'}") from error
