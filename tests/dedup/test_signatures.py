"""Signatures against datasketch itself, digests against hashlib and xxhash, and both against statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import datasketch
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup.shingles as shingles
from dedup.kernels import digests
from dedup.shingles import Shingling, shingle_hashes, shingle_strings
from dedup.signatures import (
    EMPTY_KEY,
    SCHEMES,
    Scheme,
    band_keys,
    choose_bands,
    estimated_jaccard,
    from_datasketch,
    s_curve,
    scheme_of,
    signatures,
    signatures_of_hashes,
    to_datasketch,
)
from pipeline.errors import ConfigError

PUBLISHED = [Scheme(hash=h, permutations=p) for h in ("sha1", "xxhash") for p in ("affine32", "affine64", "legacy")]
WORDS = Shingling(n=2, splitter="whitespace", lowercase=False)


def column(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def overlapping(pairs: int, size: int, similarity: float) -> tuple[Any, Any, Any, float]:
    """Hashes and offsets of two columns of sets of `size`, and the similarity of each pair."""
    shared = round(2 * size * similarity / (1 + similarity))
    hashes = np.random.default_rng(pairs + size).integers(0, 1 << 64, (pairs, 2 * size - shared), dtype=np.uint64)
    offsets = np.arange(pairs + 1, dtype=np.int64) * size
    return hashes[:, :size].reshape(-1), hashes[:, size - shared :].reshape(-1), offsets, shared / (2 * size - shared)


@pytest.mark.parametrize("scheme", PUBLISHED, ids=str)
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" ab"), max_size=80), max_size=4),
    s=st.sampled_from([WORDS, Shingling(n=1), Shingling(unit="characters", n=24, lowercase=False)]),
    num_perm=st.sampled_from([1, 7, 128]),
    seed=st.integers(0, 2**32 - 1),
)
def test_bit_identical_with_datasketch(
    scheme: Scheme, texts: list[str], s: Shingling, num_perm: int, seed: int
) -> None:
    found = signatures(column(*texts), s, scheme, num_perm, seed)
    assert found.shape == (len(texts), num_perm) and found.dtype == scheme.dtype
    for row, strings in zip(found, shingle_strings(column(*texts), s), strict=True):
        theirs = datasketch.MinHash(num_perm, seed, hashfunc=scheme.hashfunc, scheme=scheme.permutations)
        for one in strings:
            theirs.update(one.encode())
        assert theirs.hashvalues.dtype == row.dtype
        assert np.array_equal(theirs.hashvalues, row)


def test_datasketch_by_default() -> None:
    """With nothing but num_perm and seed given, and for its scheme before 2.0."""
    text = "the quick brown fox jumps over the lazy dog and the quick brown cat"
    raw = [one.encode() for one in shingle_strings(column(text), WORDS)[0]]
    for name, options in (
        ("datasketch", {}),
        ("datasketch_affine64", {"scheme": "affine64"}),
        ("datasketch_legacy", {"scheme": "legacy"}),
    ):
        theirs = datasketch.MinHash(num_perm=64, seed=42, **options)
        theirs.update_batch(raw)
        assert np.array_equal(signatures(column(text), WORDS, name, 64, 42)[0], theirs.hashvalues)


@pytest.mark.parametrize("permutations", ["affine32", "affine64", "legacy"])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 100])
def test_native_is_datasketch_with_our_hashes(permutations: str, size: int) -> None:
    """The permutations are theirs for the native hash as well; 8 values at a time are no other than one."""
    wide = permutations == "affine64"
    text = " ".join(f"word{i}" for i in range(size))
    s = Shingling(n=1)
    hashes, offsets = shingle_hashes(column(text), s)
    theirs = datasketch.MinHash(50, 3, hashfunc=lambda h: h if wide else h & 0xFFFFFFFF, scheme=permutations)
    theirs.update_batch(hashes.tolist())
    scheme = Scheme(permutations=permutations)
    assert np.array_equal(signatures(column(text), s, scheme, 50, 3)[0], theirs.hashvalues)
    assert np.array_equal(signatures_of_hashes(hashes, offsets, scheme, 50, 3)[0], theirs.hashvalues)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda *a: digests.sha1(*a[:-1], 4, np.empty(80, np.uint32), a[-1]), lambda b: _sha1(b, 4)),
        (lambda *a: digests.sha1(*a[:-1], 8, np.empty(80, np.uint32), a[-1]), lambda b: _sha1(b, 8)),
        (digests.xxhash32, xxhash.xxh32_intdigest),
        (digests.xxhash64, xxhash.xxh64_intdigest),
    ],
    ids=["sha1_32", "sha1_64", "xxhash32", "xxhash64"],
)
def test_digests(ours: Callable[..., None], theirs: Callable[[bytes], int]) -> None:
    """Every length around their blocks, somewhere in a buffer, and a megabyte."""
    data = np.random.default_rng(1).integers(0, 256, 1 << 20, dtype=np.uint8)
    lengths = [*range(300), 1 << 20]
    starts = np.array([0 if size == 1 << 20 else 3 * size + 1 for size in lengths], np.int64)
    out = np.empty(len(lengths), np.uint64)
    ours(data, starts, starts + np.array(lengths), out)
    assert out.tolist() == [theirs(data[i : i + n].tobytes()) for i, n in zip(starts.tolist(), lengths, strict=True)]


def _sha1(raw: bytes, size: int) -> int:
    return int.from_bytes(hashlib.sha1(raw).digest()[:size], "little")


def test_no_shingles() -> None:
    for scheme in (*PUBLISHED, SCHEMES["native"]):
        found = signatures(column("", "a b", " \n"), WORDS, scheme, 16)
        assert np.all(found[[0, 2]] == scheme.largest) and np.all(found[1] != scheme.largest)
        keys = band_keys(found, 4, 4)
        assert np.all(keys[[0, 2]] == EMPTY_KEY) and np.all(keys[1] != EMPTY_KEY)
        assert signatures(column(), WORDS, scheme, 16).shape == (0, 16)
        assert band_keys(found[:0], 4, 4).shape == (0, 4)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = column(*(" ".join(f"w{i * j % 97}" for j in range(i % 40)) for i in range(120)))
    for scheme in ("native", "datasketch"):
        monkeypatch.setattr(shingles, "CHUNK_BYTES", 1 << 20)
        whole = signatures(texts, WORDS, scheme)
        monkeypatch.setattr(shingles, "CHUNK_BYTES", 100)
        assert np.array_equal(whole, signatures(texts, WORDS, scheme))


@pytest.mark.parametrize("permutations", ["affine32", "affine64", "legacy"])
@pytest.mark.parametrize("similarity", [0.05, 0.3, 0.5, 0.8, 0.95])
def test_estimates_are_unbiased(permutations: str, similarity: float) -> None:
    """The mean of 500 pairs lies within 5 standard errors, and single estimates scatter as binomials do."""
    a, b, offsets, truth = overlapping(500, 200, similarity)
    scheme = Scheme(permutations=permutations)
    one, other = (signatures_of_hashes(h, offsets, scheme, 128) for h in (a, b))
    found = estimated_jaccard(one, other)
    variance = truth * (1 - truth) / 128
    assert abs(found.mean() - truth) < 5 * np.sqrt(variance / 500)
    assert 0.7 * variance < found.var() < 1.4 * variance  # 500 estimates: 20 % at three standard errors


def test_candidates_follow_the_s_curve() -> None:
    for similarity in (0.5, 0.7, 0.8, 0.9):
        a, b, offsets, truth = overlapping(2000, 150, similarity)
        keys = [band_keys(signatures_of_hashes(h, offsets, "native", 112), 14, 8) for h in (a, b)]
        share = float((keys[0] == keys[1]).any(1).mean())
        expected = float(s_curve(truth, 14, 8))
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / 2000)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_band_keys(dtype: Any) -> None:
    """Equal exactly where the rows of one band are; other numbers in other bands."""
    values = np.random.default_rng(5).integers(0, 3, (400, 9)).astype(dtype)
    keys = band_keys(values, 4, 2)
    assert keys.dtype == np.uint64 and keys.shape == (400, 4)
    by_rows: dict[tuple[int, ...], int] = {}
    for i in range(400):
        for band in range(4):
            rows = (band, *values[i, 2 * band : 2 * band + 2].tolist())
            assert by_rows.setdefault(rows, int(keys[i, band])) == keys[i, band]
    assert len(set(by_rows.values())) == len(by_rows) == 36
    assert np.array_equal(band_keys(np.asfortranarray(values), 4, 2), keys)
    swapped = band_keys(values[:, [1, 0, 2, 3, 4, 5, 6, 7, 8]], 4, 2)
    assert np.array_equal(swapped[:, 0] == keys[:, 0], values[:, 0] == values[:, 1])
    for bands, rows in ((5, 2), (0, 1), (1, 0)):
        with pytest.raises(ConfigError, match="permutations"):
            band_keys(values, bands, rows)


def test_band_keys_are_spread() -> None:
    """Few of many documents share a partition by the highest or lowest byte more than chance has it."""
    keys = band_keys(np.arange(1 << 16, dtype=np.uint32).reshape(-1, 4), 2, 2).reshape(-1)
    assert len(np.unique(keys)) == len(keys)
    for byte in (keys >> np.uint64(56), keys & np.uint64(255)):
        counts = np.bincount(byte.astype(np.int64), minlength=256)
        assert abs(counts - 128).max() < 6 * np.sqrt(128)


@pytest.mark.parametrize(("threshold", "num_perm"), [(0.5, 128), (0.8, 128), (0.7, 64), (0.9, 256)])
def test_choose_bands(threshold: float, num_perm: int) -> None:
    """No other bands and rows have less of the two errors, by sums of our own."""
    s = (np.arange(4000) + 0.5) / 4000

    def error(bands: int, rows: int) -> float:
        hit = s_curve(s, bands, rows)
        return float(np.where(s < threshold, hit, 1 - hit).mean())

    bands, rows = choose_bands(threshold, num_perm)
    least = min(error(b, r) for b in range(1, num_perm + 1) for r in range(1, num_perm // b + 1))
    assert error(bands, rows) < least + 1e-4
    more, _ = choose_bands(threshold, num_perm, (0.1, 0.9))
    assert s_curve(threshold, *choose_bands(threshold, num_perm, (0.1, 0.9))) > s_curve(threshold, bands, rows)
    assert more >= bands
    with pytest.raises(ConfigError, match="threshold"):
        choose_bands(1.5, num_perm)


def test_s_curve() -> None:
    for s, bands, rows in ((Fraction(1, 2), 14, 8), (Fraction(4, 5), 450, 20), (Fraction(1, 100), 20, 13)):
        exact = float(1 - (1 - s**rows) ** bands)
        assert float(s_curve(float(s), bands, rows)) == pytest.approx(exact, rel=1e-12)
    assert s_curve([0, 1], 14, 8).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["datasketch", "datasketch_affine64", "datasketch_legacy"])
def test_exchange_with_datasketch(name: str) -> None:
    """There and back, serialised too; what they go on with is what we would have made."""
    texts = column("a b c d e f", "a b c d e g", "nothing like it at all")
    made = signatures(texts, WORDS, name, 64, 5)
    lean = [to_datasketch(row, name, 5) for row in made]
    assert all(isinstance(one, datasketch.LeanMinHash) for one in lean)
    buffers = [bytearray(one.bytesize()) for one in lean]
    for one, buffer in zip(lean, buffers, strict=True):
        one.serialize(buffer)
    assert np.array_equal(from_datasketch(lean, name, 5), made)
    assert np.array_equal(from_datasketch([datasketch.LeanMinHash.deserialize(b) for b in buffers], name, 5), made)
    index = datasketch.MinHashLSH(threshold=0.5, num_perm=64)
    for i, one in enumerate(lean):
        index.insert(str(i), one)
    fresh = datasketch.MinHash(64, 5, scheme=scheme_of(name).permutations)
    fresh.update_batch([b"a b", b"b c", b"c d", b"d e", b"e f"])
    found = index.query(fresh)
    assert "0" in found and "2" not in found and fresh.jaccard(lean[0]) == 1
    grown = to_datasketch(made[0], name, 5, lean=False)
    grown.update(b"f g")
    assert np.array_equal(grown.hashvalues, signatures(column("a b c d e f g"), WORDS, name, 64, 5)[0])
    assert from_datasketch([], name).shape == (0, 0)
    for wrong in ({"seed": 6}, {"scheme": "datasketch_legacy" if name != "datasketch_legacy" else "datasketch"}):
        with pytest.raises(ConfigError, match="MinHash 0"):
            from_datasketch(lean, **{"scheme": name, "seed": 5, **wrong})  # type: ignore[arg-type]


def test_native_signatures_can_be_compared_but_not_updated() -> None:
    made = signatures(column("a b c d", "a b c e"), WORDS)
    one, other = (to_datasketch(row, "native", lean=False) for row in made)
    assert one.jaccard(other) == estimated_jaccard(*made)
    with pytest.raises(ConfigError, match="native"):
        one.update(b"c d")
    with pytest.raises(ConfigError, match="uint32"):
        to_datasketch(made[0], "datasketch_affine64")


def test_seeds_and_schemes_differ() -> None:
    texts = column("a b c d e f")
    rows = [signatures(texts, WORDS, name, 32, seed)[0] for name in ("native", "datasketch") for seed in (1, 2)]
    assert all((a != b).mean() > 0.9 for i, a in enumerate(rows) for b in rows[:i])


@pytest.mark.parametrize(
    "call",
    [
        lambda: Scheme(hash="md5"),
        lambda: Scheme(permutations="affine16"),
        lambda: signatures(column("a"), WORDS, "rensa"),
        lambda: signatures(column("a"), WORDS, num_perm=0),
        lambda: signatures(column("a"), WORDS, seed=-1),
    ],
)
def test_wrong_options(call: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError):
        call()
