"""Plant every defect in a copy of the project, one after the other, and see that its tests find it.

    python -m tests.faults.defects [AREA ...]      # all areas if none

A defect is found when a test fails: not when none can be collected, and not when one never ends. Before any
is planted all of their tests must pass. What came of it is printed, and kept in
docs/track-record/defects.json for docs/track-record.md when all areas were tried. Does not know what the
tests test.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from rich.console import Console

import tests.faults.defects as areas
from tests.faults.__main__ import DEFECTS, keep, write_table
from tests.faults.defects.defect import TIMES, Defect
from tests.faults.figures import Figure

ROOT = Path(__file__).parents[3]
_COPIED = (
    "app",
    "models",
    "migrations",
    "tests",
    "testbed",
    "benchmarks",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
)
_SECONDS = 900.0  # for one defect's tests, and so many times more for a larger part
_CONSOLE = Console(highlight=False)
PASSED, FOUND, TIMEOUT, ERROR = "passed", "found", "timeout", "error"
_OTHERS = {
    PASSED: "not found",
    TIMEOUT: "with tests that did not end",
    ERROR: "with tests that could not run",
}


def main(choice: list[str]) -> None:
    """Plant the defects of these areas; ends with the names of those that nothing found."""
    start = time.perf_counter()
    defects = [defect for area in choice or find_areas() for defect in read_area(area)]
    with TemporaryDirectory() as name:
        copy = Path(name)
        for part in _COPIED:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
        _check_right(copy, defects)
        came = {defect.what: _plant(copy, defect) for defect in defects}
    figure = judge(came.values())
    if choice:
        _CONSOLE.print(f"{figure.what}: {figure.found}")
    else:
        keep(DEFECTS, 1.0, time.perf_counter() - start, [figure])
        write_table()
    if not figure.held:
        raise SystemExit("\n".join(f"{how}: {what}" for what, how in came.items() if how != FOUND))


def judge(came: Iterable[str]) -> Figure:
    """Return the figure of what came of all defects."""
    counts = Counter(came)
    others = ", ".join(f"{counts[how]} {said}" for how, said in _OTHERS.items() if counts[how])
    return Figure(
        f"{counts.total()} defects planted, one after the other",
        "every one is found by a test that fails",
        f"{counts[FOUND]} found" + (f", {others}" if others else ""),
        counts[FOUND] == counts.total() > 0,
    )


def find_areas() -> list[str]:
    """Return the modules beside this one that have DEFECTS."""
    return [item.name for item in iter_modules(areas.__path__) if item.name not in {"defect", "__main__"}]


def read_area(area: str) -> tuple[Defect, ...]:
    """Return an area's defects."""
    defects: tuple[Defect, ...] = import_module(f"tests.faults.defects.{area}").DEFECTS
    return defects


def _check_right(copy: Path, defects: list[Defect]) -> None:
    """Raise `SystemExit` unless all of their tests pass while nothing is planted, by how much they take."""
    for times in sorted({defect.times for defect in defects}):
        tests = sorted({test for defect in defects if defect.times == times for test in defect.tests})
        how = run_tests(copy, tests, times, seconds=_SECONDS * len(tests))
        if how != PASSED:
            raise SystemExit(f"before anything is planted the tests are not passed, but {how}")


def _plant(copy: Path, defect: Defect) -> str:
    path = copy / defect.file
    right = path.read_text()
    path.write_text(planted(right, defect))
    how = run_tests(copy, defect.tests, defect.times)
    path.write_text(right)
    _CONSOLE.print(f"{how if how == FOUND else f'NOT FOUND ({how})'}: {defect.what}")
    return how


def planted(text: str, defect: Defect) -> str:
    """Return a file's text with the defect; raises `ValueError` unless there is just one place for it."""
    if text.count(defect.right) != 1:
        raise ValueError(f"{defect.file} has {text.count(defect.right)} places for: {defect.what}")
    return text.replace(defect.right, defect.wrong)


def run_tests(copy: Path, tests: Iterable[str], times: float, *, seconds: float = _SECONDS) -> str:
    """Run tests in a copy of the project; say that all passed, that one found something, or why not."""
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    # The project is installed by its path: what is in the copy has to come first.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", TIMES: f"{times}"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "",
        "-p",
        "no:cacheprovider",
        f"--junit-xml={report}",
    ]
    with subprocess.Popen(
        [*command, *tests],
        cwd=copy,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as ran:
        try:
            status = ran.wait(seconds * max(1.0, times))
        except subprocess.TimeoutExpired:
            return TIMEOUT
        finally:
            with suppress(ProcessLookupError):  # whatever is left of it, services included
                os.killpg(ran.pid, signal.SIGKILL)
    return read_outcome(status, report.read_text() if report.exists() else "")


def read_outcome(status: int, report: str) -> str:
    """Say what pytest's exit status and its report come to.

    Only 1 is a failed test, but so are one that pytest-timeout ended and one whose fixture raised; these
    stand in the report.
    """
    if status == 0:
        return PASSED
    if status != 1 or not report:
        return ERROR
    failures = list(ET.fromstring(report).iter("failure"))  # noqa: S314 - pytest's own
    if any("from pytest-timeout" in failure.get("message", "") for failure in failures):
        return TIMEOUT
    return FOUND if failures else ERROR


if __name__ == "__main__":
    main(sys.argv[1:])
