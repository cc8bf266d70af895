"""The database: two kinds of transaction, migrations, and errors worded as problems.

What is SQLite's is in `app.database.sqlite`, what is PostgreSQL's in `app.database.postgresql`: two classes
with one interface. Does not know the tables; `migrations` creates them.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import URL, Connection, Engine, Float, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, TimeoutError  # noqa: A004 - its name
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.database.sqlite import SQLite, check_url
from app.errors import Busy, DatabaseUnusableError

if TYPE_CHECKING:
    from app.database.postgresql import PostgreSQL

_WAITING_WRITERS = 20
_DRIVERS = {"sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"}

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class now(FunctionElement[float]):  # noqa: N801 - a SQL function, written like func.now()
    """The database's clock: seconds since 1970, with fractions."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql_now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - likewise
    # One time a statement, as SQLite has it; the transaction's own stands while it waits for other writers.
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS DOUBLE PRECISION)"


class Database:
    """One database: an engine, and the two kinds of transaction that the application uses."""

    def __init__(self, url: str, busy_seconds: float = 30.0) -> None:
        self.url = parse_url(url)
        self._busy_seconds = busy_seconds
        self._kept = _open(self.url, busy_seconds)
        weakref.finalize(self, self._kept.close)  # a command ends without closing what it opened
        # Writers of this process queue here and are woken at once, whatever the database would do with them.
        self._write_lock = threading.Lock()
        # Those of requests wait elsewhere, in turns; here come imports in threads of the web process.
        self._waiting = threading.BoundedSemaphore(_WAITING_WRITERS)

    @classmethod
    def migrated(cls, url: str, busy_seconds: float = 30.0) -> Self:
        """Open a database and bring its tables up to date."""
        database = cls(url, busy_seconds)
        database.migrate()
        return database

    @property
    def engine(self) -> Engine:
        """The engine, for migrations."""
        return self._kept.engine

    @property
    def version(self) -> str:
        """Name and version of the database that runs."""
        return self._kept.version

    @property
    def address(self) -> str:
        """The URL by which another process of this machine opens it, password included."""
        url, file = self.url, self.url.database
        if url.get_backend_name() == "sqlite" and file and file != ":memory:":
            url = url.set(database=str(Path(file).absolute()))
        return url.render_as_string(hide_password=False)

    def check_several_writers(self, *, allowed: bool) -> None:
        """Raise `DatabaseUnusableError` where several processes that write can lose data, unless allowed."""
        if not allowed:
            self._kept.check_several_writers()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state and never waits for writers.

        Raises `Unavailable` when the database does not answer.
        """
        with self._answering(), self._kept.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that alone may write; leaving the block makes it durable.

        Raises `Busy` when the write lock does not come free in time, or when many wait for it already, and
        `Unavailable` when the database does not answer. Nothing is stored then.
        """
        with self._write_turn(), self._answering(), self._kept.writing() as connection:
            yield connection
            connection.commit()

    @contextmanager
    def writing_fenced(self) -> Iterator[Connection]:
        """Open a transaction for writes that the rows themselves guard, as leases do with their tokens.

        It waits for no other writer but one of the same rows, where the database can do that: else a long
        import would keep a worker from renewing its lease. Raises as `writing`.
        """
        with self._fenced_turn(), self._answering(), self._kept.writing_fenced() as connection:
            yield connection
            connection.commit()

    def _fenced_turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._kept.rows_have_locks else self._write_turn()

    @contextmanager
    def _write_turn(self) -> Iterator[None]:
        """Wait until no other thread of this process writes."""
        if not self._waiting.acquire(blocking=False):
            raise Busy(f"{_WAITING_WRITERS} writes wait already; try again")
        try:
            if not self._write_lock.acquire(timeout=self._busy_seconds):
                raise Busy(f"the database was busy for {self._busy_seconds:g} seconds; try again")
            try:
                yield
            finally:
                self._write_lock.release()
        finally:
            self._waiting.release()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Say in one sentence what a caller cannot change: a full disk, a lost file, no free connection."""
        try:
            self.check_place()
            yield
        except TimeoutError as error:
            raise Busy("no connection to the database came free in time; try again") from error
        except (DatabaseError, self.errors) as error:  # the driver's own where no connection could be made
            problem = self._kept.worded(getattr(error, "orig", error))
            if problem is None:
                raise
            raise problem from error

    def check_place(self) -> None:
        """Raise `Unavailable` when what is written would be lost, because the database is another by now."""
        self._kept.check_place()

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to the given revision; does nothing when they are there already.

        Several processes may call this at once: the migration runs inside one writing transaction. Where
        there is nothing to do it only reads, so a process starts while others write.
        """
        with self._kept.opening():
            if revision != "head" or not self._is_newest():
                self._upgrade(revision)

    def _is_newest(self) -> bool:
        """Return whether the last revision was applied; without Alembic, which takes long to come."""
        with self._kept.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            revisions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        return revisions == [newest_revision()]

    def _upgrade(self, revision: str) -> None:
        import alembic.command
        import alembic.config
        from alembic.util import CommandError

        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._kept.engine.connect() as connection:
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, revision)
            except CommandError as error:
                raise DatabaseUnusableError(
                    f"{self.url.database} was written by another version of Likely: {error}"
                ) from error

    def check(self) -> None:
        """Read a page of it; raises `Unavailable` when that fails."""
        with self.reading() as connection:
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").one()

    def connect_without_waiting(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection of the driver's own that fails at once where others wait for a lock.

        It begins no transaction by itself; any thread may use it, one at a time. The caller closes it.
        """
        return self._kept.connect_without_waiting()

    @property
    def sends_news(self) -> bool:
        """Whether the database can tell a process what another one did."""
        return self._kept.sends_news

    def listen(self, channel: str) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection of the driver's own that hears what is sent on a channel; close it."""
        return self._kept.listen(channel)

    def is_lost(self, connection: Any) -> bool:  # noqa: ANN401 - a DBAPI connection has no type
        """Return whether a connection of the driver's own has ended, and another is needed."""
        return self._kept.is_lost(connection)

    def is_passing(self, error: Exception) -> bool:
        """Return whether an error of the driver's own is of the database's state, and no mistake of ours."""
        return self._kept.worded(error) is not None

    @property
    def errors(self) -> type[Exception]:
        """What the driver's own connections raise."""
        return self._kept.errors

    @property
    def data_errors(self) -> tuple[type[Exception], ...]:
        """Those of them that say that a value cannot be one of the database's."""
        return self._kept.data_errors

    def close(self) -> None:
        """Close every pooled connection."""
        self._kept.close()


def forget_pages(connection: Connection) -> None:
    """Let a connection that has read much forget the pages of the file that it keeps for the next read."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA shrink_memory")


def newest_revision() -> str:
    """Return the last of the migrations: a file is named by its revision's number and what it does."""
    return max(file.name.partition("_")[0] for file in _revisions())


def find_revisions() -> tuple[set[str], str]:
    """Return all revisions of the tables that this version knows, and the newest."""
    return {file.name.partition("_")[0] for file in _revisions()}, newest_revision()


def _revisions() -> Iterator[Path]:
    return (MIGRATIONS / "versions").glob("[0-9]*_*.py")


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


def _open(url: URL, busy_seconds: float) -> "SQLite | PostgreSQL":
    if is_file(url):
        return SQLite(url, busy_seconds)
    from app.database.postgresql import PostgreSQL  # brings its driver along

    return PostgreSQL(url, busy_seconds)
