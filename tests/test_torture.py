"""A small part of each harness that tries to break the promises, from the seeds of the long runs."""

import pytest

from benchmarks.torture.harnesses import run

PARTS = {"kills": 0.01, "failpoints": 0.05, "clients": 0.01, "races": 0.02, "deletions": 0.01}


@pytest.mark.parametrize("harness", PARTS)
def test_a_part_of_the_harness_breaks_no_promise(harness: str) -> None:
    broken = [figure for figure in run(harness, PARTS[harness])[:1] if not figure.held]
    assert not broken
