"""Plant every defect in a copy of the project, one after the other, and see that its tests find it.

    python -m benchmarks.torture.defects [AREA ...]      # all areas if none

Before any is planted all of their tests must pass. Does not know what the tests test.
"""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

from rich.console import Console

import benchmarks.torture.defects as areas
from benchmarks.torture.defects.defect import Defect

ROOT = Path(__file__).parents[3]
_COPIED = (
    "app",
    "models",
    "migrations",
    "tests",
    "benchmarks",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
)
_CONSOLE = Console(highlight=False)


def main(chosen: list[str]) -> None:
    """Plant the defects of these areas; ends with the names of those that nothing found."""
    defects = [each for area in chosen or find_areas() for each in read_area(area)]
    with TemporaryDirectory() as name:
        copy = Path(name)
        for part in _COPIED:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
        tests = sorted({test for each in defects for test in each.tests})
        if not _pass(copy, tests):
            raise SystemExit("the tests fail before anything is planted")
        missed = [each.what for each in defects if not _found(copy, each)]
    _CONSOLE.print(f"{len(defects) - len(missed)} of {len(defects)} found")
    if missed:
        raise SystemExit("\n".join(["not found:", *missed]))


def find_areas() -> list[str]:
    """Return the modules beside this one that have DEFECTS."""
    return [each.name for each in iter_modules(areas.__path__) if each.name not in {"defect", "__main__"}]


def read_area(area: str) -> tuple[Defect, ...]:
    """Return an area's defects."""
    defects: tuple[Defect, ...] = import_module(f"benchmarks.torture.defects.{area}").DEFECTS
    return defects


def _found(copy: Path, defect: Defect) -> bool:
    path = copy / defect.file
    right = path.read_text()
    path.write_text(planted(right, defect))
    found = not _pass(copy, defect.tests)
    path.write_text(right)
    _CONSOLE.print(f"{'found' if found else 'NOT FOUND'}: {defect.what}")
    return found


def planted(text: str, defect: Defect) -> str:
    """Return a file's text with the defect; raises `ValueError` unless there is just one place for it."""
    if text.count(defect.right) != 1:
        raise ValueError(f"{defect.file} has {text.count(defect.right)} places for: {defect.what}")
    return text.replace(defect.right, defect.wrong)


def _pass(copy: Path, tests: tuple[str, ...] | list[str]) -> bool:
    # The project is installed by its path: what is in the copy has to come first.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(command, cwd=copy, env=environment, check=False, capture_output=True)  # noqa: S603 - our own
    return ran.returncode == 0


if __name__ == "__main__":
    main(sys.argv[1:])
