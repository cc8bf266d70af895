"""Statements compiled once and run by the driver itself, in a transaction or as reads that never wait.

SQLAlchemy takes a tenth of a millisecond to run a statement that SQLite answers in a hundredth. Does not
know what is read or written.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql.expression import ClauseElement

from app.database import Database
from app.errors import Unavailable


class Prepared:
    """A statement in SQLite's own words; its parameters are the names that it binds.

    An INSERT binds the names of its columns too, which ``columns`` lists.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] = ()) -> None:
        if not isinstance(statement, ClauseElement):
            raise TypeError("there is nothing to compile")
        compiled = statement.compile(dialect=dialect(paramstyle="named"), column_keys=list(columns) or None)
        self.sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run it in the connection's transaction and return the rows that it finds or returns."""
        found = _driver_of(connection).execute(self.sql, self.bound(parameters))
        rows: list[tuple[Any, ...]] = found.fetchall()
        return rows

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it for each of some rows of parameters."""
        _driver_of(connection).executemany(self.sql, [self.bound(row) for row in rows])

    def bound(self, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """Return all that it binds: these parameters, and what it holds itself."""
        return {**self._constants, **parameters} if self._constants else parameters


def _driver_of(connection: Connection) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
    """Return the driver's connection; a transaction has begun, as SQLAlchemy begins one."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.dbapi_connection


class PreparedReads:
    """Reads on a connection kept for them, for one thread at a time; who finds it taken does without it.

    Each read is a transaction of its own, so it sees every commit before it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None  # the DBAPI has no types
        self._taken = threading.Lock()

    def row(self, prepared: Prepared, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        """Return the one row that a statement finds; None when there is none, or where `rows` has None."""
        found = self.rows(prepared, parameters)
        return found[0] if found is not None and len(found) == 1 else None

    def rows(self, prepared: Prepared, parameters: Mapping[str, object]) -> list[tuple[Any, ...]] | None:
        """Return the rows that a statement finds.

        None when the database does not answer at once: whoever asks then asks
        again in the ordinary way, which waits, and says what is wrong.
        """
        if not self._taken.acquire(blocking=False):
            return None
        try:
            self._database.check_place()
            if self._connection is None:
                self._connection = self._database.connect_without_waiting()
            found: list[tuple[Any, ...]] = self._connection.execute(
                prepared.sql, prepared.bound(parameters)
            ).fetchall()
        except (Unavailable, self._database.errors):
            return None
        else:
            return found
        finally:
            self._taken.release()

    def close(self) -> None:
        """Close the connection."""
        with self._taken:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
