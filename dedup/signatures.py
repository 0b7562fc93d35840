"""MinHash signatures, their band keys, and the exchange of them with datasketch.

A signature is a row of `num_perm` numbers, the least value that each permutation gives over a text's shingles
(Broder 1997; https://doi.org/10.1109/SEQUEN.1997.666900). Two texts agree in a share of places that estimates the
Jaccard similarity of their shingles. The permutations are drawn by datasketch; a text without shingles has the
largest number in every place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Column
from pipeline.errors import ConfigError

from .shingles import Shingling, byte_chunks, hash_chunks

HASHES = ("native", "sha1", "xxhash")
PERMUTATIONS = ("affine32", "affine64", "legacy")
EMPTY_KEY = np.uint64(0)
"""The band key of texts without shingles, and of no other."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How shingles become numbers, and how these are permuted.

    hash: `native` takes the hashes of `shingles.shingle_hashes` and is by far the fastest; `sha1` and `xxhash` hash
    the shingle's UTF-8 bytes (words joined by a space), as `datasketch.sha1_hash32` and `xxhash.xxh32_intdigest` do
    (64 bit for affine64). permutations: datasketch's names; values are uint32 for `affine32`, else uint64, and below
    2^32 for `legacy`, its only scheme before 2.0.
    """

    hash: str = "native"
    permutations: str = "affine32"

    def __post_init__(self) -> None:
        if self.hash not in HASHES:
            raise ConfigError(f"hash is {self.hash!r}; it must be one of {', '.join(HASHES)}")
        if self.permutations not in PERMUTATIONS:
            raise ConfigError(f"permutations is {self.permutations!r}; it must be one of {', '.join(PERMUTATIONS)}")

    @property
    def dtype(self) -> type[np.uint32] | type[np.uint64]:
        """Of the signatures, as datasketch's."""
        return np.uint32 if self.permutations == "affine32" else np.uint64

    @property
    def largest(self) -> int:
        """The largest value; all of an empty text's."""
        return (1 << 64) - 1 if self.permutations == "affine64" else (1 << 32) - 1

    @property
    def hashfunc(self) -> Callable[[bytes], int]:
        """What `datasketch.MinHash(hashfunc=...)` takes to go on with our signatures."""
        wide = self.permutations == "affine64"
        if self.hash == "sha1":
            import datasketch

            return datasketch.sha1_hash64 if wide else datasketch.sha1_hash32  # type: ignore[no-any-return]
        if self.hash == "xxhash":
            import xxhash

            return xxhash.xxh64_intdigest if wide else xxhash.xxh32_intdigest  # type: ignore[no-any-return]
        return _no_hashfunc


SCHEMES = {
    "native": Scheme(),
    "datasketch": Scheme(hash="sha1"),
    "datasketch_affine64": Scheme(hash="sha1", permutations="affine64"),
    "datasketch_legacy": Scheme(hash="sha1", permutations="legacy"),
}
"""By name. `datasketch` is bit-identical with `datasketch.MinHash(num_perm, seed)` of datasketch 2.0.0, the two others
with `MinHash(num_perm, seed, scheme=...)`; `datasketch_legacy` is what versions before 2.0 did."""


def signatures(
    column: Column, shingling: Shingling, scheme: Scheme | str = "native", num_perm: int = 128, seed: int = 1
) -> NDArray[Any]:
    """[n, num_perm], uint32 or uint64 by the scheme. Raises ConfigError for bad options, SchemaError for no text."""
    scheme = scheme_of(scheme)
    drawn = _permutations(scheme.permutations, num_perm, seed)
    parts = []
    if scheme.hash == "native":
        for hashes, offsets in hash_chunks(column, shingling):
            parts.append(_permuted(hashes, offsets, scheme, drawn))
    else:
        from .kernels.digests import SCRATCH, sha1, xxhash32, xxhash64

        wide = scheme.permutations == "affine64"
        for data, starts, ends, offsets in byte_chunks(column, shingling):
            values = np.empty(len(starts), np.uint64)
            if scheme.hash == "sha1":
                sha1(data, starts, ends, 8 if wide else 4, np.empty(SCRATCH, np.uint32), values)
            else:
                (xxhash64 if wide else xxhash32)(data, starts, ends, values)
            parts.append(_permuted(values, offsets, scheme, drawn))
    return np.concatenate(parts) if parts else np.zeros((0, num_perm), scheme.dtype)


def signatures_of_hashes(
    hashes: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    scheme: Scheme | str = "native",
    num_perm: int = 128,
    seed: int = 1,
) -> NDArray[Any]:
    """As `signatures`, from shingle hashes: those of `shingles.shingle_hashes`, or any 64-bit numbers.

    The schemes that take 32 bits take the lower ones.
    """
    scheme = scheme_of(scheme)
    return _permuted(hashes, offsets, scheme, _permutations(scheme.permutations, num_perm, seed))


def scheme_of(scheme: Scheme | str) -> Scheme:
    """The scheme by its name in SCHEMES; ConfigError for an unknown one."""
    if isinstance(scheme, Scheme):
        return scheme
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme is {scheme!r}; it must be one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme]


def band_keys(sig: NDArray[Any], bands: int, rows: int) -> NDArray[np.uint64]:
    """uint64[n, bands]: keys of the first bands * rows places; equal keys make a candidate pair.

    Keys of different bands differ. A text without shingles has EMPTY_KEY everywhere: leave it out, it resembles none.
    """
    from .kernels.permutations import fold_bands

    n, num_perm = sig.shape
    if bands < 1 or rows < 1 or bands * rows > num_perm:
        raise ConfigError(
            f"{bands} bands of {rows} rows need {bands * rows} permutations; the signatures have {num_perm}"
        )
    out = np.empty(n * bands, np.uint64)
    values = np.ascontiguousarray(sig).reshape(-1)
    fold_bands(values, num_perm, bands, rows, out)
    return out.reshape(n, bands)


@functools.lru_cache(maxsize=64)
def choose_bands(threshold: float, num_perm: int, weights: tuple[float, float] = (0.5, 0.5)) -> tuple[int, int]:
    """(bands, rows) that datasketch's MinHashLSH takes for a threshold; weights of false positives and negatives."""
    from datasketch import MinHashLSH

    try:
        index = MinHashLSH(threshold=threshold, num_perm=num_perm, weights=weights)
    except ValueError as err:
        raise ConfigError(f"threshold {threshold} with {num_perm} permutations, weights {weights}: {err}") from err
    return int(index.b), int(index.r)


def s_curve(similarity: Any, bands: int, rows: int) -> NDArray[np.float64]:
    """Probability that a pair of this similarity becomes a candidate: 1 - (1 - s^rows)^bands."""
    s = np.asarray(similarity, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(bands * np.log1p(-(s**rows))))


def estimated_jaccard(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Share of equal places, row by row."""
    return np.asarray((a == b).mean(axis=-1))


def to_datasketch(
    signature: NDArray[Any], scheme: Scheme | str = "datasketch", seed: int = 1, lean: bool = True
) -> Any:
    """One row as a `datasketch.LeanMinHash`, or a `MinHash` that can be updated with further shingles' bytes."""
    from datasketch import LeanMinHash, MinHash

    scheme = scheme_of(scheme)
    if signature.dtype != scheme.dtype:
        raise ConfigError(f"a signature of {signature.dtype} is none of {scheme}: that has {np.dtype(scheme.dtype)}")
    if lean:
        return LeanMinHash(seed=seed, hashvalues=signature, scheme=scheme.permutations)
    drawn = np.array(_permutations(scheme.permutations, len(signature), seed))
    more = {"permutations": drawn, "hashfunc": scheme.hashfunc, "scheme": scheme.permutations}
    return MinHash(seed=seed, hashvalues=signature, **more)


def from_datasketch(minhashes: Sequence[Any], scheme: Scheme | str = "datasketch", seed: int = 1) -> NDArray[Any]:
    """[n, num_perm] of MinHash or LeanMinHash objects; ConfigError if one has another scheme, seed or length."""
    scheme = scheme_of(scheme)
    for i, one in enumerate(minhashes):
        if one.scheme != scheme.permutations or one.seed != seed or len(one) != len(minhashes[0]):
            raise ConfigError(
                f"MinHash {i} has scheme {one.scheme}, seed {one.seed} and {len(one)} permutations; wanted are "
                f"{scheme.permutations}, {seed} and {len(minhashes[0])}"
            )
    if not minhashes:
        return np.zeros((0, 0), scheme.dtype)
    return np.stack([np.asarray(one.hashvalues) for one in minhashes]).astype(scheme.dtype)


def _permuted(
    values: NDArray[np.uint64], offsets: NDArray[np.int64], scheme: Scheme, drawn: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[Any]:
    from .kernels import permutations

    kernel = getattr(permutations, scheme.permutations)
    n, num_perm = len(offsets) - 1, len(drawn[0])
    out = np.empty(n * num_perm, scheme.dtype)
    kernel(np.ascontiguousarray(values), np.ascontiguousarray(offsets), *drawn, out)
    return out.reshape(n, num_perm)


@functools.lru_cache(maxsize=16)
def _permutations(name: str, num_perm: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(a, b) as datasketch draws them."""
    from datasketch import MinHash

    try:
        a, b = MinHash(num_perm=num_perm, seed=seed, scheme=name).permutations
    except ValueError as err:
        raise ConfigError(f"num_perm {num_perm}, seed {seed}: {err}") from err
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


def _no_hashfunc(data: bytes) -> int:
    raise ConfigError("a signature with the native hash can't be updated by datasketch; use scheme 'datasketch'")
