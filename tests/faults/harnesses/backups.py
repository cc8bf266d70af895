"""Backups under writes, restored and verified, and migrations up, down and up again with data in the tables.

While a service takes responses, imports and trainings, 100 backups are made. Responses come one after the
other, so in a backup there must be the first n, with n between what was acknowledged before it and what was
sent when it was ready; of each import all rows or none. What is restored must be what was backed up, row by
row, and its digests what they were. Does not know how a backup is made.
"""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Self

import alembic.command
import alembic.config
import httpx2
from sqlalchemy import Connection

from app.database.database import MIGRATIONS, find_revisions
from app.database.sqlite import read_file
from app.database.urls import open_database, open_migrated
from app.operations.backups import back_up, restore
from app.operations.verification import verify_file
from app.settings import Settings
from testbed.live import Service, serving
from tests.faults.figures import Figure
from tests.support.stored import store_two_catalogs

_BACKUPS = 100
_ROWS = 50  # of an import
_IMPORTS_A_TRAINING = 40  # each leaves embeddings of everybody, and a backup's rows are read five times
_BETWEEN = 0.05  # seconds between responses
_CLASS = "/v1/catalogs/class"

Table = list[dict[str, Any]]


def run(scale: float) -> list[Figure]:
    """Make so large a share of 100 backups; migrate always."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        store_two_catalogs(Settings(database_url=f"sqlite:///{folder}/likely.db", poll_seconds=0.01))
        backed_up = _back_up(folder, max(3, round(_BACKUPS * scale)))
        return [backed_up, _migrate(folder)]  # all that came in meanwhile is migrated, too


@dataclass
class _Writers:
    """Two threads that write until they are stopped."""

    service: Service
    sent: int = 0
    acknowledged: int = 0
    imports: int = 0
    trainings: int = 0
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.threads = [threading.Thread(target=write) for write in (self._answer, self._import_and_train)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _answer(self) -> None:
        with httpx2.Client(base_url=self.service.url, timeout=30) as http:
            while not self.stop.is_set():
                self.sent += 1
                path = f"{_CLASS}/users/s{self.sent}/responses/m0"
                if self._good(http.put(path, json={"response": 1})):
                    self.acknowledged = self.sent
                self.stop.wait(_BETWEEN)

    def _import_and_train(self) -> None:
        with httpx2.Client(base_url=self.service.url, timeout=30) as http:
            while not self.stop.is_set():
                self.imports += 1
                rows = "".join(f"i{self.imports}-{number},m1,0\n" for number in range(_ROWS))
                headers = {"content-type": "text/csv"}
                content = "user,movie,response\n" + rows
                self._good(http.post(f"{_CLASS}/responses:import", content=content, headers=headers))
                if self.imports % _IMPORTS_A_TRAINING == 1:
                    body = {"trainer": "gradient_descent", "seed": 1, "options": {"epochs": 20}}
                    self.trainings += self._good(http.post(f"{_CLASS}/trainings", json=body))
                self.stop.wait(0.5)

    def _good(self, answer: httpx2.Response) -> bool:
        if not answer.is_success:
            self.failures.append(answer.text)
        return bool(answer.is_success)


def _back_up(folder: Path, backups: int) -> Figure:
    draw, wrong, slowest, sizes = Random(5), [], 0.0, []
    with serving(folder, {"LIKELY_LOG_LEVEL": "error"}) as service, _Writers(service) as writers:
        for number in range(backups):
            file, back = folder / f"{number}.backup", folder / f"{number}.restored"
            acknowledged, started = writers.acknowledged, time.perf_counter()
            back_up(folder / "likely.db", file)
            slowest = max(slowest, time.perf_counter() - started)
            wrong += _look(file, acknowledged, writers.sent)
            restore(file, back, replace=False)
            if _digest(file) != _digest(back):
                wrong.append(f"backup {number} and what was restored of it differ")
            wrong += verify_file(back).faults
            sizes.append(file.stat().st_size)
            file.unlink()
            back.unlink()
            time.sleep(draw.random() / 20)
    wrong += writers.failures
    return Figure(
        what=f"{backups} backups while {writers.acknowledged:,} responses, {writers.imports} imports of "
        f"{_ROWS} rows and {writers.trainings} trainings came in; each restored and verified",
        asked="each one state, whole; restored rows and digests equal; no write fails",
        found=f"{len(wrong)} faults; the slowest of {max(sizes) / 2**20:.1f} MiB after {slowest:.2f} s"
        + "".join(f"; {item}" for item in wrong[:3]),
        held=not wrong,
    )


def _look(file: Path, acknowledged: int, sent: int) -> list[str]:
    """Return what of a backup is no state that there was."""
    with read_file(file) as connection:
        users = (
            connection.exec_driver_sql(
                "SELECT user FROM users JOIN responses ON users.id = user_id WHERE movie_id IN (1, 2)"
            )
            .scalars()
            .all()
        )
    answers = sorted(int(user[1:]) for user in users if user.startswith("s"))
    summary: dict[str, int] = {}
    for user in users:
        if user.startswith("i"):
            name = user.partition("-")[0]
            summary[name] = summary.get(name, 0) + 1
    wrong = [f"{name} by half: {rows} rows" for name, rows in summary.items() if rows != _ROWS]
    if answers != list(range(1, len(answers) + 1)):
        wrong.append("responses with gaps")
    if not acknowledged <= len(answers) <= sent:
        wrong.append(f"{len(answers)} responses where {acknowledged} to {sent} were due")
    return wrong


def _digest(file: Path) -> str:
    with read_file(file) as connection:
        return hashlib.sha256(repr(_read_tables(connection)).encode()).hexdigest()


def _read_tables(connection: Connection) -> dict[str, Table]:
    """Return all rows of all tables that there are, in an order of their own."""
    names = (
        connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        )
        .scalars()
        .all()
    )
    return {
        name: sorted(
            (dict(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').mappings()),  # noqa: S608 - a name of the database's own
            key=repr,
        )
        for name in names
    }


def _migrate(folder: Path) -> Figure:
    """Go from the newest revision down to each older one and back, with two trained catalogs."""
    known, newest = find_revisions()
    file = folder / "migrated.db"
    wrong: list[str] = []
    comparison = 0
    for revision in sorted(known - {newest}, reverse=True):
        file.unlink(missing_ok=True)
        back_up(folder / "likely.db", file)
        before = _tables_of(file)
        _downgrade(file, revision)
        down = _tables_of(file)
        open_migrated(f"sqlite:///{file}").close()
        up = _tables_of(file)
        for name in sorted((down.keys() & before.keys()) - {"alembic_version"}):
            columns = list(down[name][0]) if down[name] else []
            output = [_only(tables[name], columns) for tables in (before, down, up)]
            comparison += len(output[0])
            if output[0] != output[1] or output[0] != output[2]:
                wrong.append(f"{name} at {revision}")
        if revision > "0001":  # the first revision holds nothing of what trainings learned of movies
            wrong += verify_file(file).faults
    return Figure(
        what=f"migrations up, down to each of {len(known) - 1} older revisions and up again, "
        "with two trained catalogs and what came in",
        asked="nothing lost that the older revision has a column for",
        found=f"{comparison:,} rows compared, {len(wrong)} differ"
        + "".join(f"; {item}" for item in wrong[:3]),
        held=not wrong,
    )


def _only(rows: Table, columns: list[str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in columns) for row in rows), key=repr)


def _tables_of(file: Path) -> dict[str, Table]:
    with read_file(file) as connection:
        return _read_tables(connection)


def _downgrade(file: Path, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    database = open_database(f"sqlite:///{file}")
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, revision)
    database.close()
