"""YAML from users can't blow up, and every fault is one ConfigError of one line."""

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.yaml_input import load_yaml

LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "its aliases stand for more than 1,000,000 values"),
        ("&a [*a]", "an alias names the value"),
        ("&a {<<: *a}", "an alias names the value"),
        ("[" * 20_000, "nests too deep"),
        ("- " * 5_000, "nests too deep"),
        ("{a: " * 3_000, "nests too deep"),
        ("a: 0x" + "f" * 10_000, r"whole number has 10,002 digits \(line 1, column 4\)"),
        ("a: " + "9" * 5_000, "whole number has 5,000 digits"),
        (b"a: \xff", "invalid start byte at byte 3"),
        (b"\xff\xfea", "at byte 2"),
        ("a: \x00b", "special characters are not allowed at character 3"),
        ("a: 1\nb: {", "line 2"),
        ("a: 1\na: 2", r"the key 'a' is there twice \(line 2, column 1\)"),
        ("x: *b", "undefined alias 'b'"),
        ("--- a\n--- b", "another document"),
        ("a: !!python/object:x 1", "constructor"),
        ("? [1]\n: 2", "unhashable key"),
        ("a: 2020-99-99", "month"),
        ("a: !!timestamp x", "does not fit its !!tag"),
        ("a: !!bool x", "does not fit its !!tag"),
        ("a: !!int ''", "does not fit its !!tag"),
        ("a: !!int x", "invalid literal"),
    ],
)
def test_faults_are_one_line(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_yaml(text, "recipe 'b'")
    assert str(error.value).startswith("recipe 'b'")
    assert "\n" not in str(error.value)


def test_plain_yaml_is_read_as_ever() -> None:
    assert load_yaml("x: &a [1, 2]\ny: *a", "here") == {"x": [1, 2], "y": [1, 2]}
    assert load_yaml("x: &a {p: 1, q: 2}\ny: {<<: *a, q: 3}", "here")["y"] == {"p": 1, "q": 3}
    assert load_yaml("\ufeffa: .inf", "here") == {"a": float("inf")}
    assert load_yaml("2020-01-02", "here") == datetime.date(2020, 1, 2)
    assert load_yaml("", "here") is None


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text("a1:-[]{}&*!?|>'\"#%@,. \n\t\\", max_size=40), st.binary(max_size=20)))
def test_anything_is_a_value_or_a_config_error(text: str | bytes) -> None:
    try:
        load_yaml(text, "here")
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("text", [LAUGHS, "[" * 20_000, "name: x\nname: y", "&a [*a]", "\x00"])
def test_bad_recipes_are_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(text)
    assert main(["run", str(tmp_path / "own.yaml"), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "own.yaml" in error
