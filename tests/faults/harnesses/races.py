"""Races: two workers on one queue; the one that trains is frozen at a random moment, and wakes up late.

Every write under a lease is noted by the process that makes it, with its token and what the database said.
Does not know what is trained.
"""

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select

from app.cli.demo import load_class
from app.database.database import Database
from app.database.tables import Serving, Training, TrainingState, TrainingStep, UserEmbedding
from app.database.urls import open_migrated
from app.training import leases
from app.training.leases import Lease, LeaseLostError
from app.training.trainings import create_training
from tests.faults.figures import Figure
from tests.faults.processes import Processes, processes
from tests.faults.states import opened

Thing = TypeVar("Thing")

RACES = 100
LEASE = 0.5
_NOTES = "writes"
_WAIT = 30.0
_OPTIONS = {"epochs": 20_000}  # the third part of a second


@dataclass
class Found:
    """What came out of the races so far."""

    races: int = 0
    taken_over: int = 0
    refused: int = 0
    wrong: int = 0
    said: str = ""

    def broken(self, label: str) -> None:
        """Note a broken promise."""
        self.wrong += 1
        self.said = self.said or label


def run(scale: float) -> list[Figure]:
    """Race so many times."""
    moments, result = random.Random(3), Found()
    with tempfile.TemporaryDirectory(prefix="likely-races-") as name:
        folder = Path(name)
        with opened(folder) as database:
            database.migrate()
            with database.writing() as connection:
                load_class(connection)
        with processes(folder, LEASE_SECONDS=str(LEASE)) as started:
            racing = Racing(started, moments, result)
            for _ in range(max(1, round(RACES * scale))):
                racing.race()
    label = (
        f"{result.races} of {RACES} races of two workers, the one that trains stopped in each; "
        f"{result.taken_over} trainings were taken over"
    )
    came = f"{result.refused} writes of stale workers refused, {result.wrong} promises broken "
    came += result.said[:300]
    return [Figure(label, "one publishes, stale writers refused 100 %", came.strip(), result.wrong == 0)]


class Racing:
    """Two workers and the database that they share."""

    def __init__(self, processes: Processes, moments: random.Random, result: Found) -> None:
        self._processes, self._moments, self._found = processes, moments, result
        self._workers = {
            name: processes.run(_work, name, str(processes.folder / f"{_NOTES}-{name}"))
            for name in ("one", "other")
        }

    def race(self) -> None:
        """Let both have two trainings to take; freeze who takes the first, longer than its lease."""
        self._found.races += 1
        with opened(self._processes.folder) as database:
            trainings = [_queue(database, seed) for seed in (self._found.races, self._found.races + 1000)]
            first = trainings[0]
            holder = _wait_for(lambda: _holder(database, first))
            time.sleep(self._moments.uniform(0.0, 0.4))
            worker = self._workers[holder]
            _signal(worker, signal.SIGSTOP)
            time.sleep(LEASE + self._moments.uniform(0.05, 0.5))
            _signal(worker, signal.SIGCONT)
            for training in trainings:
                _wait_for(lambda training=training: _ended(database, training))  # type: ignore[misc]
            time.sleep(0.1)  # who woke up notices
            self._check(database, trainings)

    def _check(self, database: Database, trainings: list[int]) -> None:
        notes = self._notes()
        with database.reading() as connection:
            for training in trainings:
                row = connection.execute(
                    select(Training.status, Training.token, Training.steps_total).where(
                        Training.id == training
                    )
                ).one()
                self._found.taken_over += row.token > 1
                if row.status != "succeeded":
                    self._found.broken(f"training {training} {row.status}")
                if _counts(connection, training) != (3, 1, row.steps_total):
                    self._found.broken(f"training {training} has {_counts(connection, training)}")
                published = [
                    note
                    for note in notes
                    if note[0] == training and note[2] == "succeeded" and note[3] == "done"
                ]
                if [one[1] for one in published] != [row.token]:
                    self._found.broken(
                        f"training {training} with token {row.token} was published by {published}"
                    )
            if connection.scalar(select(Serving.training_id)) != max(trainings):
                self._found.broken("the newest training does not serve")
        self._check_stale(notes)

    def _check_stale(self, notes: list[tuple[int, int, str, str]]) -> None:
        """No write may be done under a token when a higher one was seen before."""
        newest: dict[int, int] = {}
        for training, token, what, said in notes:
            stale = token < newest.get(training, 0)
            self._found.refused += said == "refused"
            if stale and said == "done":
                self._found.broken(f"training {training}: {what} under the stale token {token}")
            newest[training] = max(newest.get(training, 0), token)

    def _notes(self) -> list[tuple[int, int, str, str]]:
        """Return training, token, status written and what the database said, in the order of the commits."""
        lines = []
        for file in self._processes.folder.glob(f"{_NOTES}-*"):
            lines += file.read_text().splitlines()
            file.write_text("")
        parts = [line.split() for line in sorted(lines, key=lambda line: float(line.split()[0]))]
        return [(int(training), int(token), what, said) for _, training, token, what, said in parts]


def _work(name: str, notes: str) -> None:
    """Be a worker that notes each write under a lease, while the database is locked for it."""
    from app.settings import Settings
    from app.training.worker import Worker

    write = leases._write  # noqa: SLF001 - the one door of all writes under a lease

    def noted(connection: Connection, lease: Lease, values: Mapping[str, Any]) -> None:
        message = "done"
        try:
            write(connection, lease, values)
        except LeaseLostError:
            message = "refused"
            raise
        finally:
            line = (
                f"{time.time()} {lease.training} {lease.token} {values.get('status', 'report')} {message}\n"
            )
            with Path(notes).open("a") as file:
                file.write(line)

    leases._write = noted  # noqa: SLF001 - likewise
    settings = Settings()
    Worker(open_migrated(settings.database_url), settings, name).run()


def _queue(database: Database, seed: int) -> int:
    with database.writing() as connection:
        return create_training(connection, "class", "gradient_descent", _OPTIONS, seed, serve=True).id


def _holder(database: Database, training: int) -> str:
    with database.reading() as connection:
        result = select(Training.worker).where(Training.id == training, Training.status != "queued")
        return connection.scalar(result) or ""


def _ended(database: Database, training: int) -> bool:
    with database.reading() as connection:
        status = connection.scalar(select(Training.status).where(Training.id == training))
    return status in {"succeeded", "failed"}


def _counts(connection: Connection, training: int) -> tuple[int, ...]:
    return tuple(
        connection.execute(
            select(func.count()).select_from(table).where(table.training_id == training)
        ).scalar_one()
        for table in (UserEmbedding, TrainingState, TrainingStep)
    )


def _signal(worker: ForkServerProcess, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(worker.pid or 0, number)


def _wait_for(find: Callable[[], Thing]) -> Thing:
    deadline = time.monotonic() + _WAIT
    while time.monotonic() < deadline:
        result = find()
        if result:
            return result
        time.sleep(0.005)
    raise RuntimeError("what was waited for did not come")
