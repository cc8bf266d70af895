"""SQLite: its driver, its pragmas, its one writer at a time, its file, and what its errors mean.

Reading transactions see one state from their first query on. Writing transactions take the write lock at
their start (BEGIN IMMEDIATE), because SQLite refuses, without waiting, to turn a reader whose view has aged
into a writer.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pysqlite3.dbapi2
import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from typing_extensions import override

from app.database.database import Database, Trace
from app.errors import Busy, DatabaseUnusableError, StorageFull, Unavailable

_FIXED = (3, 51, 3)
_FIXED_IN_BRANCH = {(3, 50): 7, (3, 44): 6}
_WITHDRAWN = {(3, 52, 0)}


def may_write_together(version: str) -> bool:
    """Return whether several processes may write with this version, such as ``3.53.4``."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    patch_needed = _FIXED_IN_BRANCH.get((major, minor))
    is_fixed = (major, minor, patch) >= _FIXED or (patch_needed is not None and patch >= patch_needed)
    return is_fixed and (major, minor, patch) not in _WITHDRAWN


log = structlog.get_logger()

PRIVATE = 0o600
_OTHERS = 0o077


def keep_private(path: Path) -> None:
    """Make the database's file, empty, if there is none; take it from others if they may use it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    except FileExistsError:
        for file in (path, *beside(path)):
            _take_from_others(file)
    except OSError:
        pass  # SQLite says why it cannot be made


def find_inode(path: Path) -> int:
    """Return which file is there; 0 if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def beside(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside a database while it is open, or when it was killed."""
    return [path.with_name(path.name + end) for end in ("-wal", "-shm")]


def sync_folder(folder: Path) -> None:
    """Make names that came and went in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_from_others(file: Path) -> None:
    try:
        mode = file.stat().st_mode & 0o777
        if mode & _OTHERS:
            file.chmod(mode & ~_OTHERS)
            log.warning("others could use a file of the database, and cannot any more", file=file.name)
    except FileNotFoundError:
        pass
    except PermissionError:
        log.warning("others may use a file of the database, which belongs to somebody else", file=file.name)


_POLL_SECONDS, _OFTEN_SECONDS, _LATER_SECONDS = 0.002, 1.0, 0.02  # later: the writer has much to write
# Rows come in the file's order and go to two trees in the order of their keys. A page that is not in the
# cache is written and read again for almost every row; SQLite's own 2 MB hold too few.
_CACHE_KIB = 49_152

_CONNECTIONS = 32  # one for each thread of the web's pool, for imports that wait, and a few
_PRIMARY_CODE = 0xFF  # of an error code; the other bits are details of it


class SQLite(Database):
    """A database in a file."""

    rows_have_locks = False
    sends_notifications = False

    def __init__(self, url: URL, busy_seconds: float, trace: Trace) -> None:
        super().__init__(url, _create_engine(url, busy_seconds), busy_seconds, trace)
        self._path = find_path(url)
        self._inode: int | None = None

    @property
    @override
    def version(self) -> str:
        return f"SQLite {find_driver().sqlite_version}"

    @property
    @override
    def address(self) -> str:
        path = Path(str(self.url.database)).absolute()
        return self.url.set(database=str(path)).render_as_string(hide_password=False)

    @property
    @override
    def errors(self) -> type[Exception]:
        error: type[Exception] = find_driver().Error
        return error

    @property
    @override
    def data_errors(self) -> tuple[type[Exception], ...]:
        return ()  # any text can be stored

    @override
    def check_several_writers(self, *, allowed: bool) -> None:
        if not allowed and not may_write_together(find_driver().sqlite_version):
            raise DatabaseUnusableError(
                f"{self.version} can corrupt a database that several processes write, as 3.51.3 and newer "
                "cannot: bring one, or start with --no-worker, one web process, LIKELY_IMPORT_PROCESSES=0, "
                "and train while nothing is served; LIKELY_ALLOW_AFFECTED_SQLITE=true starts all the same"
            )

    @override
    def check_not_replaced(self) -> None:
        if self._inode is not None and find_inode(self._path) != self._inode:
            raise Unavailable(
                f"the database file {self._path.name} was removed or replaced; restart the service"
            )

    @override
    def _begin_reading(self) -> AbstractContextManager[Connection]:
        return self.engine.connect()

    @override
    @contextmanager
    def _begin_writing(self) -> Iterator[Connection]:
        with self.engine.execution_options(begin="IMMEDIATE").connect() as connection:
            self._begin(connection)
            yield connection

    @override
    def _begin_writing_fenced(self) -> AbstractContextManager[Connection]:
        return self._begin_writing()  # there is one lock for everything

    def _begin(self, connection: Connection) -> None:
        """Take the write lock from the writers of other processes, polling it often.

        SQLite itself would sleep longer each time, up to 0.1 s, while a later writer takes the lock.
        """
        driver: Any = connection.connection.driver_connection
        start = time.monotonic()
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.begin()
                except OperationalError as error:
                    if "locked" not in str(error.orig):
                        raise
                    elapsed = time.monotonic() - start
                    if elapsed > self._busy_seconds:
                        raise Busy(
                            f"the database was busy for {self._busy_seconds:g} seconds; try again"
                        ) from error
                else:
                    return
                time.sleep(_POLL_SECONDS if elapsed < _OFTEN_SECONDS else _LATER_SECONDS)
        finally:
            driver.execute(f"PRAGMA busy_timeout = {1000 * self._busy_seconds:.0f}")

    @override
    @contextmanager
    def _check_around_migration(self) -> Iterator[None]:
        keep_private(self._path)
        before = find_inode(self._path)
        yield
        self._inode = self._path.stat().st_ino
        if before not in {0, self._inode}:
            raise DatabaseUnusableError(f"{self._path} was replaced while it was opened; start again")

    @override
    def connect_nonblocking(self) -> Any:
        connection_proxy = self.engine.raw_connection()
        connection: Any = connection_proxy.dbapi_connection
        connection_proxy.detach()
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    @override
    def listen(self, channel: str) -> Any:
        raise NotImplementedError(channel)  # see `sends_notifications`

    @override
    def is_lost(self, connection: Any) -> bool:
        return False  # nothing lies between here and a file

    @override
    def problem_of(self, error: BaseException | None) -> Unavailable | None:
        """Return the problem that an error of the driver is, None for one that is a bug of ours.

        An I/O error leaves open whether what was written will be there after the next start.
        """
        if type(error) not in {find_driver().DatabaseError, find_driver().OperationalError}:
            return None  # a broken constraint, for example
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE == find_driver().SQLITE_FULL:
            return StorageFull(
                "no space is left for the database; reads go on, and writes when there is space again"
            )
        return Unavailable(f"the database cannot be used at present: {error}")


@contextmanager
def roomy_cache(connection: Connection) -> Iterator[None]:
    """Give SQLite more memory for pages within the block."""
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = {-_CACHE_KIB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


def check_url(url: URL) -> None:
    """Raise `DatabaseUnusableError` unless a URL names a file in a folder that is there."""
    if not url.database or url.database == ":memory:":
        raise DatabaseUnusableError(
            "the service and its workers share a file: use a URL like sqlite:///likely.db"
        )
    folder = find_path(url).parent
    if not folder.is_dir():
        raise DatabaseUnusableError(f"the folder {folder} does not exist; create it first")


def find_path(url: URL) -> Path:
    """Return where the file is that a checked URL names."""
    return Path(url.database or "").resolve()


def find_driver() -> ModuleType:
    """Return the SQLite that runs."""
    driver: ModuleType = pysqlite3.dbapi2
    return driver


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
