"""A small part of each harness that tries to break the promises, from the seeds of the long runs."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.faults.all_harnesses import run
from tests.faults.client import Reply
from tests.faults.commits import find_commits
from tests.faults.defects.defect import part, times
from tests.faults.harnesses import kills
from tests.faults.harnesses.failpoints import BOUNDARIES
from tests.faults.processes import Processes

APP = Path(__file__).parents[2] / "app"
# Commits that no failpoint reaches, each with the reason why that is right.
UNREACHED = {
    "app.operations.copying.copy_database": (
        "into an empty database, in one transaction: who was cut off runs it again"
    )
}

PARTS = {
    "kills": 0.01,
    "failpoints": 0.05,
    "clients": 0.01,
    "hosts": 0.03,
    "races": 0.02,
    "deletions": 0.01,
}

pytestmark = pytest.mark.timeout(600 * max(1.0, times()))  # processes start late beside whatever else runs


@pytest.mark.faults
@pytest.mark.parametrize("harness", PARTS)
def test_a_part_of_the_harness_breaks_no_promise(harness: str) -> None:
    broken = [figure for figure in run(harness, part(PARTS[harness]))[:1] if not figure.held]
    assert not broken


def test_every_commit_of_the_application_has_a_failpoint() -> None:
    """A new one needs an entry in `tests.faults.harnesses.failpoints`, which the harness has to reach."""
    assert set(find_commits(APP)) == BOUNDARIES | set(UNREACHED)


def test_no_function_commits_in_two_places_which_a_failpoint_could_not_tell_apart() -> None:
    assert [name for name, count in Counter(find_commits(APP)).items() if count > 1] == []


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


if times() > 1:  # it takes a minute at least, which a planted defect is given and `make test` is not

    @pytest.mark.faults
    def test_a_part_of_the_soak_grows_and_loses_nothing() -> None:
        [figure] = run("soak", part(1 / 60))
        assert figure.held, figure.found


def test_fewer_kills_than_were_asked_for_are_not_held(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as clients:
        killing = kills.Killing(Processes(tmp_path), clients, Random(1))
    killing.kills = 10
    killing.book.notes[0].write("what", 1, lambda: Reply(200, {}, b""))
    assert killing.figures(enough=10)[0].held
    assert not killing.figures(enough=11)[0].held
