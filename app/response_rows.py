"""Where the rows of an import's responses go: one by one into SQLite, in bulk into PostgreSQL.

A later row replaces an earlier one of the same user and movie. Knows rows by the database's keys, no file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import polars as pl
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from app.sqlite import roomy_cache
from app.tables import Response

_MAKE_INCOMING = """
CREATE TEMPORARY TABLE incoming_responses (
    place BIGINT, user_id BIGINT, movie_id BIGINT, response DOUBLE PRECISION, timestamp DOUBLE PRECISION
) ON COMMIT DROP
"""
_COPY = "COPY incoming_responses FROM STDIN (FORMAT csv)"
_STORE = """
WITH stored AS (
    INSERT INTO responses (user_id, movie_id, response, timestamp)
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, response, timestamp
    FROM incoming_responses ORDER BY user_id, movie_id, place DESC
    ON CONFLICT (user_id, movie_id) DO UPDATE SET response = excluded.response, timestamp = excluded.timestamp
    RETURNING xmax = 0 AS created
)
SELECT count(*) FILTER (WHERE created) FROM stored
"""


class ResponseRows(Protocol):
    """Takes frames with the columns user_id, movie_id, response and timestamp; counts what it stored."""

    def add(self, frame: pl.DataFrame) -> None:
        """Take the rows of a frame, behind those of the frames before."""

    def created(self) -> int:
        """Return how many of the responses were not there before; all are stored then."""


@contextmanager
def response_rows(connection: Connection) -> Iterator[ResponseRows]:
    """Open what takes an import's rows into the connection's transaction."""
    if connection.dialect.name == "sqlite":
        with roomy_cache(connection):
            yield _InSQLite(connection)
    else:
        yield _InPostgreSQL(connection)


class _InSQLite:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before = _count(connection)
        statement = upsert(Response)
        statement = statement.on_conflict_do_update(
            index_elements=[Response.user_id, Response.movie_id],
            set_={"response": statement.excluded.response, "timestamp": statement.excluded.timestamp},
        )
        self._statement = str(statement.compile(dialect=connection.dialect))

    def add(self, frame: pl.DataFrame) -> None:
        # To the driver as they are: SQLAlchemy's own handling of each would take longer than the storing.
        rows = list(zip(*(column.to_list() for column in frame), strict=True))
        if rows:
            self._connection.exec_driver_sql(self._statement, rows)

    def created(self) -> int:
        return _count(self._connection) - self._before


class _InPostgreSQL:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = 0
        connection.exec_driver_sql(_MAKE_INCOMING)

    def add(self, frame: pl.DataFrame) -> None:
        driver: Any = self._connection.connection.driver_connection
        with driver.cursor().copy(_COPY) as copy:
            copy.write(frame.with_row_index("place", self._rows).write_csv(include_header=False))
        self._rows += frame.height

    def created(self) -> int:
        created: int = self._connection.exec_driver_sql(_STORE).scalar_one()
        return created


def _count(connection: Connection) -> int:
    # Of all catalogs: only the difference matters, and no join is needed.
    return connection.scalar(select(func.count()).select_from(Response)) or 0
