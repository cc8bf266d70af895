"""Nothing that is read can run: no pickle, no eval, nothing that unpickles, anywhere in the application.

What trainings learned is kept in the database, as float32 numbers and as safetensors, never in its own file.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("app", "models", "migrations") for path in (ROOT / folder).rglob("*.py"))
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "torch.package",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# torch.load and torch.save pickle; so does numpy.load when it is allowed to, and pandas and polars know how.
ATTRIBUTES = {"torch.load", "torch.save", "np.load", "np.save", "numpy.load", "numpy.save", "torch.hub"}
PARAMETERS = {"allow_pickle"}


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Name what runs what it reads."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ([module] if module in MODULES else [])
                named = {f"{module}.{name.name}" for name in names}
                yield from named & (ATTRIBUTES | MODULES)
            case ast.Name(id=name) if name in BUILTINS:
                yield name
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                if f"{name}.{attribute}" in ATTRIBUTES:
                    yield f"{name}.{attribute}"
            case ast.keyword(arg=str(name)) if name in PARAMETERS:
                yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_runs_nothing_that_it_reads(file: Path) -> None:
    assert list(forbidden(ast.parse(file.read_text()))) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("from torch import load", "torch.load"),
        ("torch.save(state, file)", "torch.save"),
        ("numpy.load(file, allow_pickle=True)", "numpy.load"),
        ("eval(text)", "eval"),
        ("run = exec", "exec"),
    ],
)
def test_what_would_run_is_noticed(line: str, named: str) -> None:
    assert named in list(forbidden(ast.parse(line)))


def test_a_module_that_is_named_here_is_one_of_python_or_not_installed() -> None:
    assert {"pickle", "shelve", "marshal"} <= sys.stdlib_module_names & MODULES
