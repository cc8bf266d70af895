"""The database: two kinds of transaction, migrations, and errors turned into problems.

What is SQLite's is in `app.database.sqlite`, what is PostgreSQL's in `app.database.postgresql`.
"""

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, Float, inspect
from sqlalchemy.exc import DatabaseError, TimeoutError  # noqa: A004 - its name
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.errors import Busy, DatabaseUnusableError, Unavailable

Trace = Callable[[str], AbstractContextManager[object]]
"""Opens a span of this name around a transaction; `nullcontext` where there is no tracing."""

_QUEUED_WRITERS = 20

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


class Database(ABC):
    """One database: an engine, and the two kinds of transaction that the application uses.

    A class for each kind of database derives from it; `app.database.urls.open_database` chooses by the URL.
    """

    rows_have_locks: ClassVar[bool]
    """Whether writers of different rows need not wait for one another."""
    sends_notifications: ClassVar[bool]
    """Whether the database can tell a process what another one did."""

    def __init__(self, url: URL, engine: Engine, busy_seconds: float, trace: Trace) -> None:
        self.url, self.engine = url, engine
        self._busy_seconds, self._trace = busy_seconds, trace
        weakref.finalize(self, engine.dispose)  # a command ends without closing what it opened
        # Writers of this process queue here and are woken at once, whatever the database would do with them.
        self._write_lock = threading.Lock()
        # Requests that write have a queue of their own; here come imports in threads of the web process.
        self._queue = threading.BoundedSemaphore(_QUEUED_WRITERS)

    @property
    @abstractmethod
    def version(self) -> str:
        """Name and version of the database that runs."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The URL by which another process of this machine opens it, password included."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state and never waits for writers.

        Raises `Unavailable` when the database does not answer.
        """
        with self._trace("database read"), self._errors_as_problems(), self._begin_reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that alone may write; leaving the block makes it durable.

        Raises `Busy` when the write lock does not come free in time, or when many wait for it already, and
        `Unavailable` when the database does not answer. Nothing is stored then.
        """
        with (
            self._trace("database write"),
            self._write_turn(),
            self._errors_as_problems(),
            self._begin_writing() as connection,
        ):
            yield connection
            connection.commit()

    @contextmanager
    def writing_fenced(self) -> Iterator[Connection]:
        """Open a transaction for writes that the rows themselves guard, as leases do with their tokens.

        It waits for no other writer but one of the same rows, where the database can do that: else a long
        import would keep a worker from renewing its lease. Raises as `writing`.
        """
        turn = nullcontext() if self.rows_have_locks else self._write_turn()
        with turn, self._errors_as_problems(), self._begin_writing_fenced() as connection:
            yield connection
            connection.commit()

    @abstractmethod
    def _begin_reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state."""

    @abstractmethod
    def _begin_writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that holds the lock of all writers; the caller commits. Raises `Busy`."""

    @abstractmethod
    def _begin_writing_fenced(self) -> AbstractContextManager[Connection]:
        """Open a transaction that holds only the locks of its rows, where there are such locks."""

    @contextmanager
    def _write_turn(self) -> Iterator[None]:
        """Wait until no other thread of this process writes."""
        if not self._queue.acquire(blocking=False):
            raise Busy(f"{_QUEUED_WRITERS} writes wait already; try again")
        try:
            if not self._write_lock.acquire(timeout=self._busy_seconds):
                raise Busy(f"the database was busy for {self._busy_seconds:g} seconds; try again")
            try:
                yield
            finally:
                self._write_lock.release()
        finally:
            self._queue.release()

    @contextmanager
    def _errors_as_problems(self) -> Iterator[None]:
        """Raise as a problem what a caller cannot change: a full disk, a lost file, no free connection."""
        try:
            self.check_not_replaced()
            yield
        except TimeoutError as error:
            raise Busy("no connection to the database came free in time; try again") from error
        except (DatabaseError, self.errors) as error:  # the driver's own where no connection could be made
            problem = self.problem_of(getattr(error, "orig", error))
            if problem is None:
                raise
            raise problem from error

    @abstractmethod
    def problem_of(self, error: BaseException | None) -> Unavailable | None:
        """Return the problem that an error of the driver is, None for one that is a bug of ours."""

    @abstractmethod
    def check_several_writers(self, *, allowed: bool) -> None:
        """Raise `DatabaseUnusableError` where several processes that write can lose data, unless allowed."""

    @abstractmethod
    def check_not_replaced(self) -> None:
        """Raise `Unavailable` when what is written would be lost, because the database is another by now."""

    def check(self) -> None:
        """Read a page of it; raises `Unavailable` when that fails."""
        with self.reading() as connection:
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").one()

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to the given revision; does nothing when they are there already.

        Several processes may call this at once: the migration runs inside one writing transaction. Where
        there is nothing to do it only reads, so a process starts while others write.
        """
        with self._check_around_migration():
            if revision != "head" or not self._is_newest():
                self._upgrade(revision)

    @abstractmethod
    def _check_around_migration(self) -> AbstractContextManager[None]:
        """Raise `DatabaseUnusableError` before or after the block where the database cannot be used."""

    def _is_newest(self) -> bool:
        """Return whether the last revision was applied; without Alembic, which is slow to import."""
        with self.engine.connect() as connection:
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
        with self.engine.connect() as connection:
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, revision)
            except CommandError as error:
                raise DatabaseUnusableError(
                    f"{self.url.database} was written by another version of Likely: {error}"
                ) from error

    @abstractmethod
    def connect_nonblocking(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection of the driver's own that fails at once where others wait for a lock.

        It begins no transaction by itself; any thread may use it, one at a time. The caller closes it.
        """

    @abstractmethod
    def listen(self, channel: str) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection of the driver's own that receives a channel's notifications; close it."""

    @abstractmethod
    def is_lost(self, connection: Any) -> bool:  # noqa: ANN401 - a DBAPI connection has no type
        """Return whether a connection of the driver's own has ended, and another is needed."""

    @property
    @abstractmethod
    def errors(self) -> type[Exception]:
        """What the driver's own connections raise."""

    @property
    @abstractmethod
    def data_errors(self) -> tuple[type[Exception], ...]:
        """Those of them that say that a value cannot be one of the database's."""

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


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
