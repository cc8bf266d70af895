"""Statements compiled once and run by the driver itself, in a transaction or as reads that never wait.

SQLAlchemy takes a tenth of a millisecond to run a statement that a database answers in a hundredth. Does not
know what is read or written.
"""

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.expression import ClauseElement

from app.database.database import Database
from app.errors import Unavailable


class Prepared:
    """A statement in each database's own words; its parameters are the names that it binds.

    An INSERT binds the names of its columns too, which ``columns`` lists.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] = ()) -> None:
        if not isinstance(statement, ClauseElement):
            raise TypeError("there is nothing to compile")
        self._statement, self._columns = statement, list(columns) or None
        self._compiled: dict[str, tuple[str, dict[str, object]]] = {}

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run it in the connection's transaction and return the rows that it finds or returns."""
        return self.run_in(_driver_of(connection), connection.dialect, parameters)

    def run_in(
        self,
        driver: Any,  # noqa: ANN401 - a DBAPI connection has no type
        dialect: Dialect,
        parameters: Mapping[str, object],
    ) -> list[tuple[Any, ...]]:
        """Run it on a connection of the driver's own and return the rows that it finds or returns."""
        sql, constants = self._words(dialect)
        result = driver.execute(sql, {**constants, **parameters})
        rows: list[tuple[Any, ...]] = [] if result.description is None else result.fetchall()
        return rows

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it for each of some rows of parameters."""
        sql, constants = self._words(connection.dialect)
        _driver_of(connection).cursor().executemany(sql, [{**constants, **row} for row in rows])

    def _words(self, dialect: Dialect) -> tuple[str, dict[str, object]]:
        """Return the text for a database, and the values in it that are always the same."""
        if dialect.name not in self._compiled:
            target = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
            text = self._statement.compile(dialect=target, column_keys=self._columns)
            constants = {name: value for name, value in text.params.items() if value is not None}
            self._compiled[dialect.name] = str(text), constants
        return self._compiled[dialect.name]


def _driver_of(connection: Connection) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
    """Return the driver's connection; a transaction has begun, as SQLAlchemy begins one."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.dbapi_connection


class PreparedReads:
    """Reads on a connection reserved for them, for one thread at a time; who finds it taken does without it.

    Each read is a transaction of its own, so it sees every commit before it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None  # the DBAPI has no types
        self._taken = threading.Lock()

    def row(self, statement: Prepared, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        """Return the one row that a statement finds; None when there is none, or where `rows` has None."""
        rows = self.rows(statement, parameters)
        return rows[0] if rows is not None and len(rows) == 1 else None

    def rows(self, statement: Prepared, parameters: Mapping[str, object]) -> list[tuple[Any, ...]] | None:
        """Return the rows that a statement finds.

        None when the database does not answer at once: whoever asks then asks
        again in the ordinary way, which waits, and says what is wrong.
        """
        if not self._taken.acquire(blocking=False):
            return None
        try:
            self._database.check_not_replaced()
            if self._connection is None:
                self._connection = self._database.connect_nonblocking()
                weakref.finalize(self, self._connection.close)
            result = statement.run_in(self._connection, self._database.engine.dialect, parameters)
        except Unavailable:
            return None
        except self._database.data_errors:  # what no text of the database's can be is not there
            return None
        except self._database.errors as error:
            if self._connection is not None and self._database.is_lost(self._connection):
                self._connection = None
            if self._database.problem_of(error) is None:
                raise
            return None
        else:
            return result
        finally:
            self._taken.release()

    def close(self) -> None:
        """Close the connection."""
        with self._taken:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
