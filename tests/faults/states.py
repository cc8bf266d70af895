"""What a database holds, to compare two runs: every row of every table, without clocks and claims.

Does not know how the runs went.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from app.database.database import Database
from app.database.tables import Base
from app.database.urls import open_database

# What tells when and by whom, and not what, or is drawn at random. An answer that is kept shows a time of its
# training.
_LEFT_OUT = {
    "catalogs": {"created_at"},
    "trainings": {"created_at", "started_at", "ended_at", "lease_until", "worker", "token", "attempts"},
    "responses": {"timestamp"},
    "idempotency_keys": {"created_at", "body"},
    "api_keys": {"created_at", "key", "digest"},
}
_WHETHER = {"api_keys": {"revoked_at"}}  # a time, of which only counts that there is one

State = dict[str, Counter[tuple[object, ...]]]


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    """Open the database of a folder beside its processes."""
    database = open_database(f"sqlite:///{folder}/likely.db")
    try:
        yield database
    finally:
        database.close()


def read_state(folder: Path, *, versions: bool = True) -> State:
    """Return what the database of a folder holds, with or without the versions that count its changes.

    Who asks again for what was done moves a version once more. Raises `RuntimeError` when the file is broken.
    """
    with opened(folder) as database, database.reading() as connection:
        check_sound(connection)
        return {
            table.name: Counter(
                tuple(map(repr, row))
                for row in connection.execute(select(*_columns(table, versions=versions)))
            )
            for table in Base.metadata.sorted_tables
        }


def _columns(table: Table, *, versions: bool) -> Iterator[ColumnElement[Any]]:
    for item in table.c:
        if _is_kept(table.name, item.name, versions=versions):
            yield item.is_not(None) if item.name in _WHETHER.get(table.name, ()) else item


def _is_kept(table: str, column: str, *, versions: bool) -> bool:
    if column in _LEFT_OUT.get(table, ()):
        return False
    return versions or column not in {"version", "movies_version"}


def check_sound(connection: Connection) -> None:
    """Raise `RuntimeError` unless the file is whole and every reference leads somewhere."""
    complete = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    astray = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if complete != ["ok"] or astray:
        raise RuntimeError(f"the file is not sound: {complete[:3]}, {astray[:3]}")


def different(one: State, state: State) -> str:
    """Say in which tables two states differ, in nothing if they are equal."""
    return ", ".join(
        f"{table}: {sum((rows - state[table]).values())} and {sum((state[table] - rows).values())} rows"
        for table, rows in one.items()
        if rows != state[table]
    )


def copied(source: Path, target: Path) -> Path:
    """Make a folder with a copy of the database of another, which nobody writes to."""
    target.mkdir()
    for file in source.glob("likely.db*"):
        shutil.copy(file, target)
    return target
