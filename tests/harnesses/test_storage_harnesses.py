"""A small part, from the same seeds, of what `make faults` tries with disks and backups."""

import pytest

from tests.faults.all_harnesses import run
from tests.faults.defects.defect import part, times

# Services are started and killed, beside whatever else runs.
pytestmark = [pytest.mark.faults, pytest.mark.timeout(600 * max(1.0, times()))]


def test_disks_that_are_full_or_fail_lose_nothing() -> None:
    [figure] = run("disks", part(0.01))
    assert figure.held, figure.found


def test_backups_under_writes_and_migrations_lose_nothing() -> None:
    for figure in run("backups", part(0.03)):
        assert figure.held, figure.found
