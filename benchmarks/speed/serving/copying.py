"""`likely copy` of a million responses, from SQLite to PostgreSQL and back, every digest compared.

The server is one of this run's own, with its durable defaults. Does not know how rows travel.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from app.database.urls import open_migrated
from app.operations.copying import Copied, copy_database
from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import seconds_of
from benchmarks.speed.training.cluster import store
from testbed.databases import find_programs, start_server
from testbed.running import check

RESPONSES = 1_000_000
GOAL = Goal("at most", 60, "seconds")
_AGAINST = "no peer: seconds"


def measure(movielens: Path) -> Iterator[Line]:  # noqa: ARG001 - made rows do
    """Measure at the size of the goal."""
    yield from lines(RESPONSES)


def lines(responses: int) -> Iterator[Line]:
    """Copy so many responses there and back."""
    work = [f"`likely copy`, {responses:,} responses, {way}" for way in ("to PostgreSQL", "back to SQLite")]
    try:
        find_programs()
    except FileNotFoundError as error:
        for one in work:
            yield missing(one, _AGAINST, GOAL, str(error))
        return
    url = start_server().set(drivername="postgresql").render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory() as folder:
        store(responses, f"{folder}/first.db")
        urls = [f"sqlite:///{folder}/first.db", url, f"sqlite:///{folder}/back.db"]
        with ExitStack() as opened:
            first, there, back = (opened.enter_context(closing(open_migrated(url))) for url in urls)
            copied: list[list[Copied]] = []
            for one, (source, target) in zip(work, ((first, there), (there, back)), strict=True):
                took = seconds_of(lambda: copied.append(copy_database(source, target, lambda *_: None)))  # noqa: B023 - called at once
                rows = sum(item.rows for item in copied[-1])
                check(copied[-1] == copied[0] and rows > responses)
                yield Line(one, _AGAINST, GOAL, [took], f"{rows:,} rows, once")
