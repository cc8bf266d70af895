"""Copying everything from one database to another: SQLite to PostgreSQL, back, or the same to the same.

One transaction reads, one writes, so an interrupted copy leaves nothing and can be repeated. Before it
ends every table is read again and its digest compared.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Connection, Table, func, insert, select

from app.database.database import Database
from app.database.sqlite import roomy_cache
from app.database.tables import Base
from app.errors import Conflict

Progress = Callable[[str, int], None]  # what is done, and with how many rows more
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Copied:
    """A table as it was copied: its rows, and the SHA-256 of them in the order of their keys."""

    table: str
    rows: int
    digest: str


def count_rows(database: Database) -> int:
    """Return how many rows there are to copy."""
    with database.reading() as connection:
        return sum(_count(connection, table) for table in Base.metadata.sorted_tables)


def copy_database(source: Database, target: Database, progress: Progress) -> list[Copied]:
    """Copy all rows, and return each table as both databases have it then.

    Raises `Conflict` when the target has rows already, or when a digest differs; nothing is stored then.
    """
    tables = Base.metadata.sorted_tables
    with target.writing() as writing, source.reading() as reading:
        for table in tables:
            if _count(writing, table):
                raise Conflict(
                    f"{target.url.render_as_string()} has {table.name} already: copy into an empty database"
                )
        results = [_copy(reading, writing, table, progress) for table in tables]
        for table in tables:
            if "id" in table.primary_key.columns:
                _continue_keys(writing, table, _last_key(reading, table))
        for result, table in zip(results, tables, strict=True):
            if _digest(writing, table, progress) != result:
                raise Conflict(f"{table.name} did not arrive as it was sent; nothing was stored")
    return results


def _copy(reading: Connection, writing: Connection, table: Table, progress: Progress) -> Copied:
    digest, rows = hashlib.sha256(), 0
    with _writer(writing, table) as write, closing(_read(reading, table)) as read:
        for batch in read:
            digest.update("".join(map(repr, batch)).encode())
            write(batch)
            rows += len(batch)
            progress(f"copying {table.name}", len(batch))
    return Copied(table.name, rows, digest.hexdigest())


def _digest(connection: Connection, table: Table, progress: Progress) -> Copied:
    digest, rows = hashlib.sha256(), 0
    with closing(_read(connection, table)) as read:
        for batch in read:
            digest.update("".join(map(repr, batch)).encode())
            rows += len(batch)
            progress(f"comparing {table.name}", len(batch))
    return Copied(table.name, rows, digest.hexdigest())


def _read(connection: Connection, table: Table) -> Generator[list[tuple[Any, ...]], None, None]:
    """Return a table's rows in the order of its keys, so many at once."""
    statement = select(table).order_by(*table.primary_key).execution_options(yield_per=_ROWS_AT_ONCE)
    with connection.execute(statement) as result:
        for rows in result.partitions():
            yield [tuple(row) for row in rows]


@contextmanager
def _writer(connection: Connection, table: Table) -> Iterator[Callable[[Sequence[tuple[Any, ...]]], None]]:
    """Give what stores rows of a table."""
    if connection.dialect.name == "postgresql":
        texts = [place for place, column in enumerate(table.columns) if isinstance(column.type, JSON)]
        driver: Any = connection.connection.driver_connection
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        with driver.cursor().copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:

            def write(rows: Sequence[tuple[Any, ...]]) -> None:
                for row in rows:
                    copy.write_row(_worded(row, texts))

            yield write
    else:
        statement = insert(table)
        keys = [column.name for column in table.columns]

        def store(rows: Sequence[tuple[Any, ...]]) -> None:
            connection.execute(statement, [dict(zip(keys, row, strict=True)) for row in rows])

        with roomy_cache(connection):
            yield store


def _worded(row: tuple[Any, ...], places: Sequence[int]) -> tuple[Any, ...]:
    """Return a row with what is JSON as its text, as the tables' own statements would store it."""
    if not places:
        return row
    return tuple(json.dumps(value) if place in places else value for place, value in enumerate(row))


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _last_key(connection: Connection, table: Table) -> int:
    """Return the last key that was given out; keys are never used twice, also not after a copy."""
    if connection.dialect.name == "postgresql":
        sequence = f"{table.name}_id_seq"
        row = connection.exec_driver_sql(
            f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"  # noqa: S608 - a table's name
        )
        return int(row.scalar_one())
    row = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,))
    return int(row.scalar() or 0)


def _continue_keys(connection: Connection, table: Table, last: int) -> None:
    if last == 0:
        return
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT setval('{table.name}_id_seq', {last})")
        return
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))
