"""Where a mixture's documents lie, and their tokens: this run's, an earlier run's, or files that are tokenised now.

An earlier run's token shards are taken as they are if the same tokenizer made them; else its documents are tokenised
again. Files go through the same steps as a run's: they are read, then tokenised, in `sources/<name>/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.names import check_inside
from pipeline.steps import Artefact, made_by
from pipeline.storage import local_file, place, remove_tree
from pipeline.store import digest, file_digest, read_json

from .recipe import THIS, Mixture, SourceSpec

if TYPE_CHECKING:
    from pipeline.steps import StepContext


@dataclass(frozen=True)
class TokenSource:
    """A source's token shards and their documents tables, in order; `fingerprint` is of what made them."""

    name: str
    spec: SourceSpec
    shards: tuple[str, ...]
    documents: tuple[str, ...]
    fingerprint: str
    empty_documents: int = 0


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer.json that all sources share, and how it is used."""

    path: str
    eos: str = ""
    allow: tuple[str, ...] = ()


def run_step(folder: Path, name: str) -> Path | None:
    """The folder of a finished step of a run, by the step's name; None where it has none."""
    found = sorted(path for path in folder.glob(f"[0-9][0-9]-{name}") if (path / "manifest.json").is_file())
    return found[-1] if found else None


def documents_of(folder: Path) -> Artefact:
    """The documents that a run ended with. Raises ConfigError where the folder is no run with documents."""
    if not folder.is_dir():
        raise ConfigError(f"run '{folder}' is not a folder")
    last = None
    for path in sorted(folder.glob("[0-9][0-9]-*/manifest.json")):
        manifest = read_json(path)
        files = [check_inside(name, path) for name in manifest.get("artefact", [])]
        if files and all(str(file).startswith("kept/") for file in files):
            last = Artefact("documents", path.parent, made_by(manifest), tuple(files), int(manifest["rows"]))
    if last is None:
        raise ConfigError(f"'{folder}' is no run with documents: none of its steps has a finished kept/")
    return last


def tokens_of(folder: Path) -> Artefact | None:
    """The token shards of a run, where it has a finished step `tokenize`."""
    step = run_step(folder, "tokenize")
    if step is None:
        return None
    manifest = read_json(step / "manifest.json")
    files = tuple(check_inside(name, step / "manifest.json") for name in manifest["artefact"])
    return Artefact("tokens", step, made_by(manifest), files, int(manifest["rows"]))


def tokenizer_of(tokens: Artefact) -> Tokenizer:
    """The tokenizer behind token shards."""
    manifest = read_json(tokens.path / "manifest.json")
    return Tokenizer(str(tokens.path / "tokenizer.json"), manifest["eos"], tuple(manifest["allow_tokens"]))


def same_tokenizer(a: Tokenizer, b: Tokenizer) -> bool:
    """Whether both give the same ids."""
    if (a.eos, a.allow) != (b.eos, b.allow):
        return False
    return file_digest(place(a.path)) == file_digest(place(b.path))


def fingerprint(spec: SourceSpec) -> str:
    """Hash of what a source reads, but for this run's own. Raises ConfigError where it isn't there."""
    if spec.run == THIS:
        return ""
    if spec.run:
        tokens = tokens_of(place(spec.run))
        return digest(documents_of(place(spec.run)).fingerprint, tokens.fingerprint if tokens else "")
    return _files("", spec).fingerprint()


def forget_changed(context: StepContext, mixture: Mixture, fingerprint: str) -> None:
    """Empty the step's folder if the content of a source's files has changed where `fingerprint` doesn't tell."""
    from pipeline import inputs
    from pipeline.store import StepFolder

    if (read_json(context.folder.path / "plan.json") or {}).get("fingerprint") != fingerprint:
        return
    for name, spec in mixture.sources.items():
        if spec.run:
            continue
        source, read = _files(name, spec), StepFolder(_read_folder(context, name))
        plan = read_json(read.path / "plan.json") or {}
        if inputs.forget_changed(
            read, source, plan.get("fingerprint", ""), context.runner, context.progress, f"{context.step}: {name}"
        ):
            remove_tree(context.folder.path)
            return


def _read_folder(context: StepContext, name: str) -> Path:
    """Where the documents of a source's files are."""
    return context.folder.path / "sources" / name / "01-read"


def id_prefix(name: str) -> str:
    """What stands before the ids of a source's files: `1` or the first line of `data.jsonl` may be in two sources."""
    return f"{name}/"


def _files(name: str, spec: SourceSpec) -> Any:
    from pipeline.sources import DocumentsSource

    return DocumentsSource(inputs=spec.inputs, text_field=spec.text_field, id_prefix=id_prefix(name))


def shared_tokenizer(mixture: Mixture) -> Tokenizer:
    """The tokenizer of the mixture's runs. Raises ConfigError where none of them has one, or they differ."""
    found: dict[str, Tokenizer] = {}
    for name, spec in mixture.sources.items():
        tokens = tokens_of(place(spec.run)) if spec.run and spec.run != THIS else None
        if tokens is not None:
            found[name] = tokenizer_of(tokens)
    if not found:
        raise ConfigError(
            f"mixture '{mixture.name}': none of its sources is a run with tokens, so name a tokenizer"
            " (--tokenizer tokenizer.json; `gristmill train-tokenizer` makes one)"
        )
    first, *others = found.items()
    for name, tokenizer in others:
        if not same_tokenizer(first[1], tokenizer):
            raise ConfigError(
                f"mixture '{mixture.name}': runs '{first[0]}' and '{name}' have different tokenizers; name the one to"
                " use (--tokenizer tokenizer.json), and their documents are tokenised anew"
            )
    return first[1]


def tokenise(context: StepContext, mixture: Mixture, tokenizer: Tokenizer) -> list[TokenSource]:
    """Token shards of all sources by one tokenizer, made where they aren't there."""
    out = []
    for name, spec in mixture.sources.items():
        if spec.run == THIS:
            tokens = context.inputs["tokens"]
        else:
            tokens = _given(spec, tokenizer) or _made(context, name, spec, tokenizer)
        manifest = read_json(tokens.path / "manifest.json")
        out.append(
            TokenSource(
                name,
                spec,
                tuple(str(tokens.path / file) for file in tokens.files),
                tuple(str(tokens.path / "documents" / f"{Path(file).stem}.parquet") for file in tokens.files),
                tokens.fingerprint,
                int(manifest.get("empty_documents", 0)),
            )
        )
    return out


def _given(spec: SourceSpec, tokenizer: Tokenizer) -> Artefact | None:
    """An earlier run's tokens, if they are this tokenizer's and describe their documents as a mixture needs it."""
    import pyarrow.parquet as pq

    tokens = tokens_of(place(spec.run)) if spec.run else None
    if tokens is None or not same_tokenizer(tokenizer_of(tokens), tokenizer):
        return None
    described = [tokens.path / "documents" / f"{Path(file).stem}.parquet" for file in tokens.files]
    if not all(path.is_file() and "text_bytes" in pq.read_schema(local_file(path)).names for path in described):
        return None
    return tokens


def _made(context: StepContext, name: str, spec: SourceSpec, tokenizer: Tokenizer) -> Artefact:
    from pipeline.mapstep import MapStep
    from pipeline.run import run_one
    from pipeline.tokensteps import Tokenize

    folder = context.folder.path / "sources" / name
    artefacts: dict[str, Artefact] = {}
    if spec.run:
        artefacts["documents"] = documents_of(place(spec.run))
    else:
        read = MapStep(source=_files(name, spec), stages=())
        run_one(f"{context.step}: read {name}", read, _read_folder(context, name), artefacts, context.runner,
                context.progress, context.watch)  # fmt: skip
    step = Tokenize(tokenizer=tokenizer.path, eos=tokenizer.eos, allow_tokens=tokenizer.allow)
    run_one(f"{context.step}: tokenize {name}", step, folder / "02-tokenize", artefacts, context.runner,
            context.progress, context.watch)  # fmt: skip
    return artefacts["tokens"]
