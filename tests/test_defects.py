"""The list of defects to plant: every one still has its one place in the code, and tests that exist.

Whether the tests find them is tried by `python -m benchmarks.torture.defects`, which takes many minutes.
"""

from pathlib import Path

import pytest

from benchmarks.torture.defects.__main__ import find_areas, planted, read_area
from benchmarks.torture.defects.defect import Defect

ROOT = Path(__file__).parents[1]
DEFECTS = [each for area in find_areas() for each in read_area(area)]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.what)
def test_a_defect_has_its_place_and_tests_to_find_it(defect: Defect) -> None:
    text = (ROOT / defect.file).read_text()
    assert planted(text, defect) != text
    assert defect.tests
    for test in defect.tests:
        file, *names = test.split("::")
        assert all(f"def {name.split('[')[0]}" in (ROOT / file).read_text() for name in names), test
