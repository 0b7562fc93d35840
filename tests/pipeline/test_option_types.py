"""Option values and tables by language are held against the declared types before anything runs."""

from pathlib import Path

import pytest

from filters.rules import RuleFilter
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.stage import make, registered


@pytest.mark.parametrize(
    ("stage", "option", "value", "message"),
    [
        ("gopher_quality", "min_words", float("nan"), "a number or null, not nan; null switches"),
        ("gopher_quality", "max_words", float("inf"), "a number or null"),
        ("gopher_quality", "min_words", "1e1", "write 10.0"),
        ("gopher_quality", "min_words", True, "a number or null"),
        ("fineweb_quality", "short_line_chars", None, "a whole number, not None"),
        ("fineweb_quality", "short_line_chars", 10**30, "a whole number"),
        ("fineweb_quality", "exclude_zero_terminal", "maybe", "true or false"),
        ("c4_documents", "long_line_chars", "x", "a whole number"),
        ("c4_documents", "long_line_chars", "1e3", "write 1000$"),
        ("c4_lines", "javascript", 2, "true or false"),
        ("language", "languages", "en", r"a list of texts, not 'en'; write \[en\]"),
        ("language", "languages", [False], "quote what YAML takes"),
        ("language", "model", 5, "a text"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(stage: str, option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"stage '{stage}': {option} must be .*{message}"):
        make(stage, {option: value})


def test_values_of_the_declared_types_pass() -> None:
    given = {"min_words": 3, "max_words": None, "min_alpha_word_share": 0.5, "marks_count": False}
    made = make("gopher_quality", given)
    assert {name: getattr(made, name) for name in given} == given
    made = make("quality", {"languages": ["en"], "threshold": 0.5})
    assert (made.languages, made.threshold) == (("en",), 0.5)
    assert make("quality", {"languages": None}).languages is None


def test_every_threshold_refuses_nan() -> None:
    for name, cls in registered().items():
        for rule in cls.rules if issubclass(cls, RuleFilter) else ():
            with pytest.raises(ConfigError, match=f"'{name}': {rule.option} must be"):
                make(name, {rule.option: float("nan")})


@pytest.mark.parametrize("value", ["2020-01-01", "{", "&a [*a]", "x"])
def test_odd_values_on_the_command_line_give_one_line(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a"}\n')
    target = str(tmp_path / "o.jsonl")
    assert main(["filter", "c4_documents", str(source), "-o", target, f"--long-line-chars={value}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "long" in error and "chars" in error


def test_languages_that_yaml_takes_for_false_stay_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a"}\n')
    assert main(["filter", "quality", str(source), "-o", str(tmp_path / "o.jsonl"), "--languages", "no", "on"]) == 2
    assert "must be" not in capsys.readouterr().err  # what is missing is the column `lang`


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("en: {min_words: 5}", "no filter is called 'min_words'"),
        ("en: {gopher_qualty: {min_words: 5}}", "did you mean 'gopher_quality'"),
        ("no: {gopher_quality: {min_words: 5}}", "the language False must be a text"),
        ("en: {gopher_quality: [1]}", "must be a mapping"),
        ("en: {gopher_quality: {min_words: .nan}}", "must be a number, or null"),
        (f"en: {{gopher_quality: {{min_words: {'9' * 399}}}}}", "must be a number, or null"),
        ("en: {gopher_quality: {min_wrds: 5}}", "did you mean 'min_words'"),
        ("- en", "must map languages"),
        ("en: {", "can't be read as YAML"),
    ],
)
def test_bad_tables_by_language(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        make("gopher_quality", {"by_language": str(tmp_path / "own.yaml")})
    assert "by_language" in str(error.value)


def test_lists_of_stop_words_are_no_thresholds() -> None:
    with pytest.raises(ConfigError, match=r"neither a YAML file nor one of .*fineweb2 \(did you mean"):
        make("gopher_quality", {"by_language": "stopwords_fineweb2"})
