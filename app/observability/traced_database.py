"""The database, with a span around each transaction: from the wait for a connection or the lock to its end.

What `app.database.prepared_statements` reads on a connection of its own is in the span of whoever asks. Does
not know statements.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from app.database.database import Database
from app.observability.spans import span


class TracedDatabase(Database):
    """Takes the place of `Database` where there is tracing."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Do as `Database.reading` does."""
        with span("database read"), super().reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Do as `Database.writing` does."""
        with span("database write"), super().writing() as connection:
            yield connection
