"""PostgreSQL: its driver, its pool, its isolation, its one writer at a time, and what its errors mean.

Reading transactions are REPEATABLE READ and see one state from their first query on. Writing transactions
take one advisory lock first, which is theirs until they end, whatever ends them; they are READ COMMITTED, so
that they see all that was committed before they got it.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from typing_extensions import override

from app.database.database import Database, Trace
from app.errors import Busy, DatabaseUnusableError, StorageFull, Unavailable

# "Likely", in ASCII. PostgreSQL keeps such locks by database, so two services in one server do not meet.
# A process that is stopped while it has the lock loses it, and its transaction, after a minute.
_WRITERS = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '60s', true), "
    f"pg_advisory_xact_lock({0x4C696B656C79})"
)
_CONNECTIONS = 32  # one for each thread of the web's pool, for imports that wait, and a few
_OLDEST = 130000  # 13, the oldest that is still maintained
_WAITS = (errors.LockNotAvailable, errors.SerializationFailure, errors.DeadlockDetected)
_LOST = ("08", "57P")  # classes of SQLSTATE
_READS_ONLY = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)

# A server that is cut off sends nothing, not even an end: seconds until the connection counts as lost.
_SILENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class PostgreSQL(Database):
    """A database in a server."""

    rows_have_locks = True
    sends_notifications = True

    def __init__(self, url: URL, busy_seconds: float, trace: Trace) -> None:
        super().__init__(url, _create_engine(url, busy_seconds), busy_seconds, trace)
        self._readers = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._spares: list[Any] = []
        self._connecting = threading.Lock()
        weakref.finalize(self, _close_spares, self._connecting, self._spares)
        self._reached = True  # until something is lost a server is expected to answer at once

    @property
    @override
    def version(self) -> str:
        version: tuple[int, ...] = getattr(self.engine.dialect, "server_version_info", None) or ()
        return f"PostgreSQL {'.'.join(map(str, version))}".strip()

    @property
    @override
    def address(self) -> str:
        return self.url.render_as_string(hide_password=False)

    @property
    @override
    def errors(self) -> type[Exception]:
        return psycopg.Error

    @property
    @override
    def data_errors(self) -> tuple[type[Exception], ...]:
        return (psycopg.DataError,)  # a text with NUL

    @override
    def check_several_writers(self, *, allowed: bool) -> None:
        """Do nothing: any number of processes may write."""

    @override
    def check_not_replaced(self) -> None:
        """Do nothing: a server is where it is."""

    @override
    @contextmanager
    def _begin_reading(self) -> Iterator[Connection]:
        with self._readers.connect() as connection:
            yield connection

    @override
    @contextmanager
    def _begin_writing(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            lock_writers(connection)
            yield connection

    @override
    @contextmanager
    def _begin_writing_fenced(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    @override
    @contextmanager
    def _check_around_migration(self) -> Iterator[None]:
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            message = str(error.orig).partition("\n")[0]
            raise DatabaseUnusableError(f"the database cannot be opened: {message}") from error
        with connection:
            driver: Any = connection.connection.driver_connection
            encoding = driver.info.parameter_status("server_encoding")
            if driver.info.server_version < _OLDEST:
                raise DatabaseUnusableError(f"{self.version} is too old: use 13 or newer")
            if encoding != "UTF8":
                raise DatabaseUnusableError(
                    f"the database keeps text as {encoding}: make one with ENCODING 'UTF8'"
                )
        yield

    @override
    def connect_nonblocking(self) -> Any:
        """Return a connection; raises one of `errors` where to make one can take long.

        That is after one was lost: until a thread has made another.
        """
        if self._spares:
            return self._spares.pop()
        if self._reached:
            return self._connect_impatient()
        if self._connecting.acquire(blocking=False):
            threading.Thread(target=self._connect_spare, name="connecting", daemon=True).start()
        raise psycopg.OperationalError("a connection is being made")

    def _connect_impatient(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection that waits for no lock."""
        try:
            connection = self._connect_unpooled()
            connection.execute("SET lock_timeout = 1")  # ms; only migrations lock readers out
        except SQLAlchemyError as error:
            self._reached = False
            raise psycopg.OperationalError("no connection can be made") from error
        return connection

    def _connect_spare(self) -> None:
        try:
            self._spares.append(self._connect_impatient())
            self._reached = True
        except psycopg.Error:
            pass  # the next request tries again, and one that waits gets the reason
        finally:
            self._connecting.release()

    @override
    def listen(self, channel: str) -> Any:
        connection = self._connect_unpooled()
        connection.execute(f'LISTEN "{channel}"')
        return connection

    def _connect_unpooled(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection that is none of the pool's and begins no transactions."""
        connection_proxy = self.engine.raw_connection()
        connection: Any = connection_proxy.dbapi_connection
        connection_proxy.detach()
        connection.autocommit = True
        return connection

    @override
    def is_lost(self, connection: Any) -> bool:
        self._reached = self._reached and not connection.closed
        return bool(connection.closed)

    @override
    def close(self) -> None:
        """Close every connection that is in use nowhere."""
        _close_spares(self._connecting, self._spares)
        super().close()

    @override
    def problem_of(self, error: BaseException | None) -> Unavailable | None:
        """Return the problem that an error of the driver is, None for one that is a bug of ours.

        Where a connection is lost in a commit, it is open whether what was written is there.
        """
        if isinstance(error, _WAITS):
            return Busy(f"the database was busy for {self._busy_seconds:g} seconds; try again")
        if isinstance(error, errors.DiskFull):
            return StorageFull(
                "no space is left for the database; reads go on, and writes when there is space again"
            )
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, *_READS_ONLY)):
            return Unavailable(f"the database cannot be used at present: {_public_message(error)}")
        return None


def _close_spares(connecting: threading.Lock, spares: list[Any]) -> None:
    with connecting:
        while spares:
            spares.pop().close()


def _public_message(error: psycopg.Error) -> str:
    """Return what callers may know: the driver's own message names hosts and users."""
    code = error.sqlstate
    if code is None or code.startswith(_LOST):
        return "the connection to its server was lost or cannot be made"
    return f"its server says {type(error).__name__}"


def lock_writers(connection: Connection) -> None:
    """Take the lock of all writers; the end of the transaction releases it."""
    connection.execute(_WRITERS)


def _create_engine(url: URL, busy_seconds: float) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # else its errors show what was to be stored
        connect_args={name: value for name, value in _SILENCE.items() if name not in url.query},
        pool_size=_CONNECTIONS,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,  # a server that was restarted is noticed before anything is asked of it
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.execute(f"SET lock_timeout = {1000 * busy_seconds:.0f}")
        connection.execute(  # a commit is on disk before it is answered
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    return engine
