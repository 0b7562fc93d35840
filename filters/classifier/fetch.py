"""Models from addresses that a user gave: once, atomically, into `$GRISTMILL_CACHE/models`.

Nothing is fetched unless an option names an address. `hf://org/repo/file` goes by huggingface_hub where that is
installed, else by https from huggingface.co; other addresses by fsspec. A card is taken along from the address with
the ending `.json`, if there is one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path, PurePosixPath

from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.storage import filesystem_path, with_retries
from pipeline.store import atomic_path

from .card import sha256 as file_sha256

CHUNK = 1 << 20
MAX_CARD_BYTES = 1 << 20
ENDINGS = (".ftz", ".bin")


def cache_folder() -> Path:
    """Where fetched models lie."""
    base = os.environ.get("GRISTMILL_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "gristmill")
    return Path(base) / "models"


def checked(path: Path, sha256: str) -> Path:
    """The path, if its file has that SHA-256 (any, if none is given). Raises ConfigError."""
    if sha256:
        found = file_sha256(path)
        if found != sha256.lower():
            raise ConfigError(f"model '{path}' has the SHA-256 {found}, not {sha256.lower()}: it is another file")
    return path


def resolved(address: str) -> str:
    """The address that is read: `hf://org/repo[@revision]/path/file` as one of huggingface.co, or `$HF_ENDPOINT`."""
    if not address.startswith("hf://"):
        return address
    parts = address.removeprefix("hf://").split("/", 2)
    if len(parts) < 3 or not all(parts) or parts[0] in ("datasets", "spaces"):
        raise ConfigError(f"address '{address}' must read hf://organisation/repository/file")
    repository, _, revision = parts[1].partition("@")
    hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    return f"{hub}/{parts[0]}/{repository}/resolve/{revision or 'main'}/{parts[2]}"


def fetch(
    address: str, *, sha256: str = "", progress: Progress | None = None, endings: tuple[str, ...] = ENDINGS
) -> Path:
    """The local file of a model at an address; read once, then taken from the cache.

    The name must have one of `endings`; with those of fastText a card is taken along. Raises ConfigError without a
    network, for a missing file, and where the checksum differs.
    """
    name = PurePosixPath(re.split(r"[?#]", address)[0]).name
    if not name.endswith(endings):
        kind = "fastText models do" if endings is ENDINGS else "files of this kind do"
        raise ConfigError(f"address '{address}' does not end in {' or '.join(endings)}: {kind}")
    place = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    target = cache_folder() / place / re.sub(r"[^\w.-]", "_", name)
    shown = progress or Progress(quiet=not sys.stderr.isatty())
    if not target.is_file():
        source = resolved(address)
        if address.startswith("hf://") and importlib.util.find_spec("huggingface_hub"):
            source = address  # by the library, which knows tokens for private repositories
        with atomic_path(target) as temporary:
            _download(address, source, temporary, shown)
            checked(temporary, sha256)
        shown.say(f"{target}: {target.stat().st_size:,} bytes, SHA-256 {file_sha256(target)}")
        if endings is ENDINGS:
            _take_card(source, target)
    return checked(target, sha256)


def _download(address: str, source: str, target: Path, shown: Progress) -> None:
    try:
        with_retries(source, lambda: _by_fsspec(source, target, shown))
    except ConfigError:
        raise
    except Exception as error:  # each of fsspec's file systems has errors of its own
        detail = str(error) or type(error).__name__
        raise ConfigError(
            f"model '{address}' can't be fetched: {detail}. Without a network, give the path of a file that you "
            "have, or a bundled model's name"
        ) from error


def _by_fsspec(source: str, target: Path, shown: Progress) -> None:
    filesystem, path = filesystem_path(source)
    size = int(filesystem.info(path).get("size") or 0)
    label = f"fetch {PurePosixPath(source).name}"
    with (
        filesystem.open(path, "rb") as remote,
        open(target, "wb") as local,
        shown.bar(label, total=max(-(-size // CHUNK), 1), unit="bytes") as bar,
    ):
        while block := remote.read(CHUNK):
            local.write(block)
            bar.advance(1, len(block))
    if size and target.stat().st_size != size:
        raise ConnectionError(f"{target.stat().st_size:,} of {size:,} bytes came")


def _take_card(source: str, target: Path) -> None:
    """The card beside the model, if there is one; a missing one is no error."""
    address = re.sub(r"\.(ftz|bin)(?=$|[?#])", ".json", source)
    try:
        filesystem, path = filesystem_path(address)
        with filesystem.open(path, "rb") as remote:
            content = remote.read(MAX_CARD_BYTES)
    except (OSError, ValueError, ConfigError):
        return
    with atomic_path(target.with_suffix(".json")) as temporary:
        temporary.write_bytes(content)
