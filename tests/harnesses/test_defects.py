"""The list of defects to plant: every one still has its one place in the code, and tests that exist.

Whether the tests find them is tried by `python -m tests.faults.defects`, which takes many minutes.
"""

from pathlib import Path

import pytest

from tests.faults.all_harnesses import HARNESSES
from tests.faults.defects.__main__ import (
    ERROR,
    FOUND,
    PASSED,
    TIMEOUT,
    find_areas,
    judge,
    planted,
    read_area,
    read_outcome,
    run_tests,
)
from tests.faults.defects.defect import Defect

ROOT = Path(__file__).parents[2]
DEFECTS = [each for area in find_areas() for each in read_area(area)]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.what)
def test_a_defect_has_its_place_and_tests_to_find_it(defect: Defect) -> None:
    text = (ROOT / defect.file).read_text()
    assert planted(text, defect) != text
    assert defect.tests
    for test in defect.tests:
        file, *names = test.split("::")
        assert all(f"def {name.split('[')[0]}" in (ROOT / file).read_text() for name in names), test


def test_every_harness_that_the_tests_run_has_a_defect_to_find() -> None:
    """Credentials and the contract have theirs among the defects of keys and limits."""
    named = {defect.what.partition(":")[0] for defect in DEFECTS if ":" in defect.what}
    assert named == set(HARNESSES) - {"credentials", "contract"}


FAILED = '<testsuites><testcase><failure message="AssertionError: 1"/></testcase></testsuites>'


@pytest.mark.parametrize(
    ("status", "report", "outcome"),
    [
        (0, "<testsuites/>", PASSED),
        (1, FAILED, FOUND),
        (1, FAILED.replace("AssertionError: 1", "Failed: Timeout (>120.0s) from pytest-timeout."), TIMEOUT),
        (1, FAILED.replace("failure", "error"), ERROR),
        (1, "", ERROR),
        *((status, FAILED, ERROR) for status in (2, 3, 4, 5, -9)),
    ],
)
def test_only_a_failed_test_finds_a_defect(status: int, report: str, outcome: str) -> None:
    assert read_outcome(status, report) == outcome


@pytest.mark.faults
@pytest.mark.timeout(600)  # Python and pytest start late beside whatever else runs
def test_a_test_that_fails_is_found_and_one_that_does_not_end_is_not(tmp_path: Path) -> None:
    for content, seconds, outcome in (
        ("def test_a(): assert 0", 500.0, FOUND),
        ("import time\ndef test_a(): time.sleep(600)", 1.0, TIMEOUT),
    ):
        (tmp_path / "test_it.py").write_text(content)
        assert run_tests(tmp_path, ["test_it.py"], 1.0, seconds=seconds) == outcome, content


def test_a_defect_that_is_not_found_is_not_held() -> None:
    assert judge([FOUND, FOUND]).held
    for other in (PASSED, TIMEOUT, ERROR):
        assert not judge([FOUND, other]).held
    assert not judge([]).held
