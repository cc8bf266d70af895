"""A small part of each harness that tries to break the promises, from the seeds of the long runs."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.torture.commits import find_commits
from benchmarks.torture.failpoints import BOUNDARIES
from benchmarks.torture.harnesses import run

APP = Path(__file__).parents[1] / "app"
# Commits that no failpoint reaches, each with the reason why that is right.
UNREACHED = {
    "app.copying.copy_database": "into an empty database and in one transaction: who was cut off runs it again"
}

PARTS = {"kills": 0.01, "failpoints": 0.05, "clients": 0.01, "races": 0.02, "deletions": 0.01}


@pytest.mark.parametrize("harness", PARTS)
def test_a_part_of_the_harness_breaks_no_promise(harness: str) -> None:
    broken = [figure for figure in run(harness, PARTS[harness])[:1] if not figure.held]
    assert not broken


def test_every_commit_of_the_application_has_a_failpoint() -> None:
    """A new one needs an entry in benchmarks/torture/failpoints.py, which the harness then has to reach."""
    assert set(find_commits(APP)) == BOUNDARIES | set(UNREACHED)


def test_no_function_commits_in_two_places_which_a_failpoint_could_not_tell_apart() -> None:
    assert [name for name, times in Counter(find_commits(APP)).items() if times > 1] == []


def test_a_commit_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "shelf.py").write_text(
        "class Shelf:\n"
        "    def tidy(self):\n"
        "        with lock, self.database.writing() as one:\n"
        "            pass\n"
        "        def again():\n"
        "            self.database.writing().__enter__()\n"
        "one.commit()\n"
    )
    found = find_commits(tmp_path / "app")
    assert found == ["app.shelf.Shelf.tidy", "app.shelf.Shelf.tidy.<locals>.again", "app.shelf"]
