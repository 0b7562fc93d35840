"""No file that is read can make Gristmill run code: no pickles, no free YAML, no classes that a recipe names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.recipe import build, override, read_recipe
from pipeline.yaml_input import load_yaml

PACKAGES = ("pipeline", "filters", "dedup", "decontam", "mixtures", "pretrain")
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
XML = {"xml", "lxml", "xmlrpc"}
PICKLES = "pipeline/runner/"
"""What driver and workers of one cluster send each other, as Ray itself does: no file is read."""
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "runpy.run_module"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle"),
    *("tarfile.open", "shutil.unpack_archive", "torch.jit.load", "torch.hub.load"),
}
IMPORTS = {
    "pipeline/builtin.py": "names of modules in filters/",
    "pipeline/extract/engines.py": "module:Class, which only the command line may name",
    "pretrain/ablation/__init__.py": "a table of its own modules",
    "pretrain/objectives/__init__.py": "names of modules in the package",
}
"""Where a module's name is not a constant, and what it may be."""


def trees(root: Path) -> Iterator[tuple[str, ast.AST]]:
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            yield file.relative_to(root).as_posix(), ast.parse(file.read_bytes())


def forbidden(name: str, tree: ast.AST) -> Iterator[str]:
    """What a module does that could run code from a file."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for one in names:
            if one.split(".")[0] in MODULES and not name.startswith(PICKLES):
                yield f"{name}:{node.lineno} imports {one}"
            if one.split(".")[0] in XML and name != "pipeline/extract/engines.py":
                yield f"{name}:{node.lineno} parses XML with {one}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {one.arg: ast.unparse(one.value) for one in node.keywords}
        if called in CALLS and not (called == "compile" and name.endswith("kernels.py")):
            yield f"{name}:{node.lineno} calls {called}"
        if called in ("np.load", "numpy.load", "load") and given.get("allow_pickle", "False") != "False":
            yield f"{name}:{node.lineno} loads pickled arrays"
        if called == "torch.load" and given.get("weights_only") != "True":
            yield f"{name}:{node.lineno} loads a pickle with torch"
        if called.endswith("import_module") and name not in IMPORTS:
            yield f"{name}:{node.lineno} imports by name"
        if given.get("shell") == "True":
            yield f"{name}:{node.lineno} runs a shell"


def test_nothing_in_the_tree_runs_code_from_files(root: Path) -> None:
    assert [one for name, tree in trees(root) for one in forbidden(name, tree)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "yaml.load(x)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "eval(x)",
        "subprocess.run(x, shell=True)",
        "importlib.import_module(x)",
        "from lxml import etree",
        "import xml.sax",
    ],
)
def test_the_scan_sees_each(line: str) -> None:
    assert list(forbidden("pipeline/x.py", ast.parse(line)))


def test_yaml_makes_plain_values_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_yaml(f"!!python/object/apply:os.mkdir ['{tmp_path}/made']", "a recipe")
    assert not (tmp_path / "made").exists()


def test_a_recipe_may_not_name_a_class(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "source: {warc: {inputs: [sample]}}\nsteps:\n- extract: {engine: 'tests.security.canary:Canary'}\n"
    )
    with pytest.raises(ConfigError, match="--set extract.engine="):
        read_recipe(str(recipe))
    assert main(["run", str(recipe), "-o", str(tmp_path / "out"), "--inline"]) == 2
    assert not (tmp_path / "out").exists()


def test_the_command_line_may(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("source: {warc: {inputs: [sample]}}\nsteps:\n- extract\n")
    named = "tests.pipeline.test_extract_guard:Fake"
    step = build(override(read_recipe(str(recipe)), [f"extract.engine={named}"])).steps[0]
    assert step.stages[0].engine == named  # type: ignore[attr-defined]


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    from pipeline.extract.native.model import Model

    np.savez(tmp_path / "m.npz", features=np.array([{"a": 1}], object))
    with pytest.raises(ConfigError):
        Model.load(tmp_path / "m.npz")
