"""Reads of a few rows that never wait: statements compiled once, on a connection kept for them.

SQLAlchemy takes a tenth of a millisecond to run a statement that SQLite answers in a hundredth. Each read is
a transaction of its own, so it sees every commit before it. Does not know what is read.
"""

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite import dialect

from app.database import Database
from app.errors import Unavailable


class Prepared:
    """A statement in SQLite's own words; its parameters are the names that it binds."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=dialect(paramstyle="named"))
        self.sql = str(compiled)


class PreparedReads:
    """The connection, for one thread at a time; who finds it taken does without it."""

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
            self._database.check_file()
            if self._connection is None:
                self._connection = self._database.connect_without_waiting()
            found: list[tuple[Any, ...]] = self._connection.execute(prepared.sql, parameters).fetchall()
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
