"""Keeper policies against sorting in plain Python."""

from __future__ import annotations

import math

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.keeper import KeeperPolicy
from pipeline.errors import ConfigError, SchemaError
from pipeline.schema import RECORD

row = st.fixed_dictionaries(
    {
        "text": st.sampled_from(["a", "ää", "long text", ""]),
        "date": st.sampled_from(["2020", "2021", None]),
        "quality": st.sampled_from([0.5, 1.0, math.nan, None]),
        "source": st.sampled_from(["wiki", "books", "web", None]),
    }
)


def worth(given: dict, key: str):
    """(missing or NaN, value to sort by): what comes first is kept."""
    if key in ("longest", "shortest"):
        size = len(given["text"].encode())
        return False, -size if key == "longest" else size
    if key in ("newest", "oldest"):
        value = None if given["date"] is None else int(given["date"])
        return value is None, 0 if value is None else (-value if key == "newest" else value)
    if key.startswith("source="):
        order = key.partition("=")[2].split("|")
        return False, order.index(given["source"]) if given["source"] in order else len(order)
    value = given["quality"]
    missing = value is None or math.isnan(value)
    return missing, 0 if missing else (-value if key.startswith("-") else value)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(row, max_size=12),
    keep=st.lists(
        st.sampled_from(["longest", "shortest", "newest", "oldest", "-quality", "quality", "source=books|wiki"]),
        unique=True,
        max_size=3,
    ),
)
def test_the_order(rows, keep):
    policy = KeeperPolicy.parse(tuple(keep), "t")
    ids = [f"{(i * 7) % 13:02d}" for i in range(len(rows))]
    table = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "text": pa.array([r["text"] for r in rows], pa.large_string()),
            "record": pa.array([{"file": "f", "offset": 0, "date": r["date"]} for r in rows], RECORD),
            "quality": pa.array([r["quality"] for r in rows], pa.float64(), from_pandas=False),
            "source": pa.array([r["source"] for r in rows], pa.string()),
        }
    )
    frame = pl.from_arrow(pa.table({"id": table["id"], **policy.values(table)}))
    assert isinstance(frame, pl.DataFrame)
    want = sorted(range(len(rows)), key=lambda i: ([worth(rows[i], key) for key in keep], ids[i]))
    assert policy.sorted(frame)["id"].to_list() == [ids[i] for i in want]


@pytest.mark.parametrize("bad", ["", "-", "no column!", "-source=a|b", "source=", "source=a||b", "a b"])
def test_what_is_no_key(bad):
    with pytest.raises(ConfigError, match="is no key"):
        KeeperPolicy.parse((bad,), "t")


def test_what_is_read_and_what_is_missing():
    policy = KeeperPolicy.parse(("longest", "-quality", "record.date"), "step 'x'")
    assert set(policy.reads) == {"id", "text", "quality", "record"}
    policy.check_columns({"id", "text", "quality", "record"}, "step 'x'")
    with pytest.raises(SchemaError, match=r"step 'x' keeps by \['quality'\]"):
        policy.check_columns({"id", "text", "record"}, "step 'x'")
    with pytest.raises(SchemaError, match="record.dat"):
        KeeperPolicy.parse(("record.dat",), "t").check_columns({"record"}, "t")
    with pytest.raises(SchemaError, match="name one of its fields"):
        KeeperPolicy.parse(("record",), "t").values(pa.table({"record": pa.nulls(1, RECORD)}))
    with pytest.raises(SchemaError, match="no field 'day'"):
        KeeperPolicy.parse(("extra.day",), "t").values(pa.table({"extra": pa.nulls(1, RECORD)}))
