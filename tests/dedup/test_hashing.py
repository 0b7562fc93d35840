"""Normalised texts and their hashes against plain Python and xxhash, over all of Unicode."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.hashing import key_hashes, normalise, normalised, raw_hashes, text_hash, text_hashes

EVERY = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def texts_of(column) -> list[str]:
    data, offsets = normalised(column)
    raw = data.tobytes()
    return [raw[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


def test_hash_is_known():
    assert text_hash("  Hello\n WORLD ") == text_hash("hello world") == "df8d09e93f874900a99b8775cc15b6c7"
    assert text_hash("hello world") != text_hash("helloworld")


def test_every_character_alone_and_beside_a_sigma():
    for form in ("{}", " x{}Y ", "Α{}Σ", "ΑΣ{}", "ΑΣ{}Β"):
        texts = [form.replace("{}", c) for c in EVERY]
        assert texts_of(pa.array(texts, pa.large_string())) == [normalise(t) for t in texts]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("Σσa.:\u0307İ \u2003\u200d\n"))), max_size=5
    )
)
def test_any_text(texts):
    column = pa.chunked_array([pa.array(["skipped", *texts], pa.string()).slice(1), pa.array([None], pa.string())])
    hashes = text_hashes(column)
    assert hashes.hex().to_pylist() == [text_hash(t) for t in [*texts, ""]]
    high, low = hashes.halves
    assert [f"{a:016x}{b:016x}" for a, b in zip(high.tolist(), low.tolist(), strict=True)] == hashes.hex().to_pylist()
    want = [xxhash.xxh3_64_intdigest(t.encode()) for t in [*texts, ""]]
    assert raw_hashes(column).tolist() == want


def test_hostile_texts():
    texts = ["Σ" * 100_000, "a" + "." * 1_000_000 + "Σ", " " * 1_000_000, "İ" * 1000, "\0\0 \0", "x\n" * 200_000, ""]
    column = pa.array(texts, pa.large_string())
    assert text_hashes(column).hex().to_pylist() == [text_hash(t) for t in texts]
    assert text_hashes(pa.array([], pa.large_string())).hex().to_pylist() == []
    assert text_hashes(pa.chunked_array([], pa.large_string())).halves[0].dtype == np.uint64


def test_keys():
    high, low = key_hashes(["//a.b/c"]).halves
    assert f"{int(high[0]):016x}{int(low[0]):016x}" == xxhash.xxh3_128_hexdigest(b"//a.b/c")
