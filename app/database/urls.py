"""URLs of databases: checked, and opened as the kind of database that they name."""

from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.database.database import Database, Trace
from app.database.sqlite import SQLite, check_url
from app.errors import DatabaseUnusableError

_DRIVERS = {"sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"}


def open_database(url: str, busy_seconds: float = 30.0, *, trace: Trace = nullcontext) -> Database:
    """Open a database; a write waits up to ``busy_seconds``, and ``trace`` opens a span of each transaction.

    Raises `DatabaseUnusableError` where the URL cannot be one of a database.
    """
    address = parse_url(url)
    if is_file(address):
        return SQLite(address, busy_seconds, trace)
    from app.database.postgresql import PostgreSQL  # imports its driver

    return PostgreSQL(address, busy_seconds, trace)


def open_migrated(url: str, busy_seconds: float = 30.0) -> Database:
    """Open a database and bring its tables up to date."""
    database = open_database(url, busy_seconds)
    database.migrate()
    return database


def check_exists(url: str) -> None:
    """Raise `DatabaseUnusableError` where a URL names a file that is not there: to open it would make it."""
    address = parse_url(url)
    if is_file(address) and not Path(str(address.database)).exists():
        raise DatabaseUnusableError(f"there is no database at {address.render_as_string()}")


def parse_url(url: str) -> URL:
    """Return a URL of a database that can be used; raises `DatabaseUnusableError`."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusableError(
            f"{url!r} is no database URL; sqlite:///likely.db would be one, or postgresql://user@host/likely"
        ) from error
    if address.drivername not in _DRIVERS:
        raise DatabaseUnusableError(
            f"data is kept in SQLite or PostgreSQL, not in {address.drivername}: "
            "use a URL like sqlite:///likely.db or postgresql://user@host/likely"
        )
    if is_file(address):
        check_url(address)
    return address


def is_file(url: URL) -> bool:
    """Return whether a URL names a file, as SQLite's do."""
    return url.get_backend_name() == "sqlite"
