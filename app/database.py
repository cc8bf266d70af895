"""Connections and transactions: which SQLite runs, how it is opened, who may write when.

Reading transactions see one state from their first query on. Writing transactions take the write lock at
their start (BEGIN IMMEDIATE), because SQLite refuses, without waiting, to turn a reader whose view has aged
into a writer. Does not know the tables; `migrations` creates them.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pysqlite3.dbapi2
from sqlalchemy import URL, Connection, Engine, Float, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, TimeoutError  # noqa: A004 - its name
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.database_files import find_inode, keep_private
from app.errors import Busy, StorageFull, Unavailable
from app.sqlite_versions import may_write_together

_WAITING_WRITERS = 20
_LOOK_SECONDS, _OFTEN_SECONDS, _LATER_SECONDS = 0.002, 1.0, 0.02  # later: who writes has much to write
_CONNECTIONS = 32  # one for each thread of the web's pool, for imports that wait, and a few

MIGRATIONS = Path(__file__).parent.parent / "migrations"


class DatabaseUnusableError(Exception):
    """The database cannot be opened; the message is one sentence for the person who starts the service."""


class now(FunctionElement[float]):  # noqa: N801 - a SQL function, written like func.now()
    """The database's clock: seconds since 1970, with fractions."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Database:
    """One database: an engine, and the two kinds of transaction that the application uses."""

    def __init__(self, url: str, busy_seconds: float = 30.0) -> None:
        self.url = parse_url(url)
        self._busy_seconds = busy_seconds
        self._engine = _create_engine(self.url, busy_seconds)
        # SQLite has one writer at a time. Writers of this process queue here and are woken at once;
        # inside SQLite they would poll, sleeping longer each time.
        self._write_lock = threading.Lock()
        # Those of requests wait elsewhere, in turns; here come imports in threads of the web process.
        self._waiting = threading.BoundedSemaphore(_WAITING_WRITERS)
        self._file: tuple[Path, int] | None = None

    @classmethod
    def migrated(cls, url: str, busy_seconds: float = 30.0) -> Self:
        """Open a database and bring its tables up to date."""
        database = cls(url, busy_seconds)
        database.migrate()
        return database

    @property
    def engine(self) -> Engine:
        """The engine, for migrations."""
        return self._engine

    @property
    def version(self) -> str:
        """Name and version of the database library that runs."""
        return f"SQLite {find_driver().sqlite_version}"

    def check_several_writers(self, *, allowed: bool) -> None:
        """Raise `DatabaseUnusableError` where several processes that write can lose data, unless allowed."""
        if not allowed and not may_write_together(find_driver().sqlite_version):
            raise DatabaseUnusableError(
                f"{self.version} can corrupt a database that several processes write, as 3.51.3 and newer "
                "cannot: bring one, or start with --no-worker, one web process, LIKELY_IMPORT_PROCESSES=0, "
                "and train while nothing is served; LIKELY_ALLOW_AFFECTED_SQLITE=true starts all the same"
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state and never waits for writers.

        Raises `Unavailable` when the database does not answer.
        """
        with self._answering(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that alone may write; leaving the block makes it durable.

        Raises `Busy` when the write lock does not come free in time, or when many wait for it already, and
        `Unavailable` when the database does not answer. Nothing is stored then.
        """
        with self._write_turn(), self._answering(), self._immediate() as connection:
            yield connection
            connection.commit()

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
            self.check_file()
            yield
        except TimeoutError as error:
            raise Busy("no connection to the database came free in time; try again") from error
        except (DatabaseError, self.errors) as error:  # the driver's own where no connection could be made
            problem = _worded(getattr(error, "orig", error))
            if problem is None:
                raise
            raise problem from error

    def check_file(self) -> None:
        """Raise `Unavailable` when the file was replaced: what is written to the old one would be lost."""
        if self._file is None:
            return
        path, inode = self._file
        if find_inode(path) != inode:
            raise Unavailable(f"the database file {path.name} was removed or replaced; restart the service")

    @contextmanager
    def _immediate(self) -> Iterator[Connection]:
        with self._engine.execution_options(begin="IMMEDIATE").connect() as connection:
            self._begin(connection)
            yield connection

    def _begin(self, connection: Connection) -> None:
        """Take the write lock from the writers of other processes, looking for it often.

        SQLite itself would sleep longer each time, up to 0.1 s, while whoever came later takes the lock.
        """
        driver: Any = connection.connection.driver_connection
        began = time.monotonic()
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.begin()
                except OperationalError as error:
                    if "locked" not in str(error.orig):
                        raise
                    waited = time.monotonic() - began
                    if waited > self._busy_seconds:
                        raise Busy(
                            f"the database was busy for {self._busy_seconds:g} seconds; try again"
                        ) from error
                else:
                    return
                time.sleep(_LOOK_SECONDS if waited < _OFTEN_SECONDS else _LATER_SECONDS)
        finally:
            driver.execute(f"PRAGMA busy_timeout = {1000 * self._busy_seconds:.0f}")

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to the given revision; does nothing when they are there already.

        Several processes may call this at once: the migration runs inside one writing transaction. Where
        there is nothing to do it only reads, so a process starts while others write. The files are then for
        their owner only.
        """
        path = find_path(self.url)
        keep_private(path)
        before = find_inode(path)
        if revision != "head" or not self._is_newest():
            self._upgrade(revision)
        self._file = (path, path.stat().st_ino)
        if before not in {0, self._file[1]}:
            raise DatabaseUnusableError(f"{path} was replaced while it was opened; start again")

    def _is_newest(self) -> bool:
        """Return whether the last revision was applied; without Alembic, which takes long to come."""
        with self._engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            applied = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        return applied == [newest_revision()]

    def _upgrade(self, revision: str) -> None:
        import alembic.command
        import alembic.config
        from alembic.util import CommandError

        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._engine.connect() as connection:
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
        pooled = self._engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        pooled.detach()
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    @property
    def errors(self) -> type[Exception]:
        """What the driver's own connections raise."""
        error: type[Exception] = find_driver().Error
        return error

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def forget_pages(connection: Connection) -> None:
    """Let a connection that has read much forget the pages of the file that it keeps for the next read."""
    connection.exec_driver_sql("PRAGMA shrink_memory")


def newest_revision() -> str:
    """Return the last of the migrations: a file is named by its revision's number and what it does."""
    return max(file.name.partition("_")[0] for file in _revisions())


def find_path(url: URL) -> Path:
    """Return where the file is that a checked URL names."""
    return Path(url.database or "").resolve()


@contextmanager
def read_file(path: Path) -> Iterator[Connection]:
    """Open a transaction that sees one state of a database file, and can change nothing in it.

    The file is opened as for writing, so that SQLite tidies away what it puts beside it.
    """
    engine = create_engine(
        "sqlite://",
        creator=lambda: find_driver().connect(f"{path.resolve().as_uri()}?mode=rw", uri=True),
        module=find_driver(),
        poolclass=NullPool,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")

    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection


def find_revisions() -> tuple[set[str], str]:
    """Return all revisions of the tables that this version knows, and the newest."""
    return {file.name.partition("_")[0] for file in _revisions()}, newest_revision()


def _revisions() -> Iterator[Path]:
    return (MIGRATIONS / "versions").glob("[0-9]*_*.py")


def parse_url(url: str) -> URL:
    """Return a URL of a SQLite file; raises `DatabaseUnusableError`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusableError(
            f"{url!r} is no database URL; sqlite:///likely.db would be one"
        ) from error
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise DatabaseUnusableError(
            f"this version keeps its data in SQLite only, not in {parsed.drivername}: "
            "use a URL like sqlite:///likely.db"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusableError(
            "the service and its workers share a file: use a URL like sqlite:///likely.db"
        )
    folder = Path(parsed.database).resolve().parent
    if not folder.is_dir():
        raise DatabaseUnusableError(f"the folder {folder} does not exist; create it first")
    return parsed


def find_driver() -> ModuleType:
    """Return the SQLite that runs."""
    driver: ModuleType = pysqlite3.dbapi2
    return driver


def _worded(error: BaseException | None) -> Unavailable | None:
    """Return the problem that an error of the driver is, None for one that is a bug of ours.

    An I/O error leaves open whether what was written will be there after the next start.
    """
    if type(error) not in {find_driver().DatabaseError, find_driver().OperationalError}:
        return None  # a broken constraint, for example
    if _primary_code(error) == find_driver().SQLITE_FULL:
        return StorageFull(
            "no space is left for the database; reads go on, and writes when there is space again"
        )
    return Unavailable(f"the database cannot be used at present: {error}")


def _primary_code(error: BaseException | None) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # the other bits say more of the same


def _create_engine(url: URL, busy_seconds: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # else its errors show what was to be stored
        module=find_driver(),
        connect_args={"timeout": busy_seconds},
        pool_size=_CONNECTIONS,
        pool_timeout=busy_seconds,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.isolation_level = None  # the driver would begin transactions by itself, and deferred
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit is on disk before it is answered
            "foreign_keys = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
