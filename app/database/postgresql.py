"""PostgreSQL: its driver, its pool, its isolation, its one writer at a time, and what its errors mean.

Reading transactions are REPEATABLE READ and see one state from their first query on. Writing transactions
take one advisory lock first, which is theirs until they end, whatever ends them; they are READ COMMITTED, so
that they see all that was committed before they got it. Does not know the tables.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.errors import Busy, DatabaseUnusableError, StorageFull, Unavailable

# "Likely", in ASCII. PostgreSQL keeps such locks by database, so two services in one server do not meet.
# A process that is frozen while it has the lock loses it, and its transaction, after a minute.
_WRITERS = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '60s', true), "
    f"pg_advisory_xact_lock({0x4C696B656C79})"
)
_CONNECTIONS = 32  # one for each thread of the web's pool, for imports that wait, and a few
_OLDEST = 130000  # 13, the oldest that is still maintained
_WAITS = (errors.LockNotAvailable, errors.SerializationFailure, errors.DeadlockDetected)
_LOST = ("08", "57P")  # classes of SQLSTATE
_READS_ONLY = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)

# Of a server that is cut off nothing comes back, not even an end: so many seconds until that counts as lost.
_SILENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class PostgreSQL:
    """A database in a server."""

    rows_have_locks = True
    sends_news = True

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self._busy_seconds = busy_seconds
        self.engine = _create_engine(url, busy_seconds)
        self._readers = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._spare: list[Any] = []
        self._connecting = threading.Lock()
        self._reached = True  # until something is lost a server is expected to answer at once

    @property
    def version(self) -> str:
        """Name and version of the server; it was asked when it was opened."""
        numbers: tuple[int, ...] = getattr(self.engine.dialect, "server_version_info", None) or ()
        return f"PostgreSQL {'.'.join(map(str, numbers))}".strip()

    @property
    def errors(self) -> type[Exception]:
        """What the driver's own connections raise."""
        return psycopg.Error

    @property
    def data_errors(self) -> tuple[type[Exception], ...]:
        """Those of them that say that a value cannot be one of the database's: a text with NUL."""
        return (psycopg.DataError,)

    def check_several_writers(self) -> None:
        """Do nothing: any number of processes may write."""

    def check_place(self) -> None:
        """Do nothing: a server is where it is."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state."""
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that holds the writers' lock; the caller commits. Raises `Busy`."""
        with self.engine.connect() as connection:
            lock_writers(connection)
            yield connection

    @contextmanager
    def writing_fenced(self) -> Iterator[Connection]:
        """Open a transaction that holds only the locks of the rows that it writes; the caller commits."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Bring the tables up to date within the block."""
        with self._connected() as connection:
            driver: Any = connection.connection.driver_connection
            encoding = driver.info.parameter_status("server_encoding")
            if driver.info.server_version < _OLDEST:
                raise DatabaseUnusableError(f"{self.version} is too old: use 13 or newer")
            if encoding != "UTF8":
                raise DatabaseUnusableError(
                    f"the database keeps text as {encoding}: make one with ENCODING 'UTF8'"
                )
        yield

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            message = str(error.orig).partition("\n")[0]
            raise DatabaseUnusableError(f"the database cannot be opened: {message}") from error
        with connection:
            yield connection

    def connect_without_waiting(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection; raises one of `errors` where to make one can take long.

        That is after one was lost: until a thread has made another.
        """
        if self._spare:
            return self._spare.pop()
        if self._reached:
            return self._connect_ready()
        if self._connecting.acquire(blocking=False):
            threading.Thread(target=self._connect_again, name="connecting", daemon=True).start()
        raise psycopg.OperationalError("a connection is being made")

    def _connect_ready(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        try:
            connection = self._connect_apart()
            connection.execute("SET lock_timeout = 1")  # ms; only migrations lock readers out
        except SQLAlchemyError as error:
            self._reached = False
            raise psycopg.OperationalError("no connection can be made") from error
        return connection

    def _connect_again(self) -> None:
        try:
            self._spare.append(self._connect_ready())
            self._reached = True
        except psycopg.Error:
            pass  # whoever asks next tries again, and whoever waits is told why
        finally:
            self._connecting.release()

    def listen(self, channel: str) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection that hears what is sent on a channel."""
        connection = self._connect_apart()
        connection.execute(f'LISTEN "{channel}"')
        return connection

    def _connect_apart(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Return a connection that is none of the pool's and begins no transactions."""
        connection_proxy = self.engine.raw_connection()
        connection: Any = connection_proxy.dbapi_connection
        connection_proxy.detach()
        connection.autocommit = True
        return connection

    def is_lost(self, connection: Any) -> bool:  # noqa: ANN401 - a DBAPI connection has no type
        """Return whether a connection of the driver's own has ended."""
        self._reached = self._reached and not connection.closed
        return bool(connection.closed)

    def close(self) -> None:
        """Close every connection that nobody has."""
        with self._connecting:
            while self._spare:
                self._spare.pop().close()
        self.engine.dispose()

    def worded(self, error: BaseException | None) -> Unavailable | None:
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
            return Unavailable(f"the database cannot be used at present: {_said(error)}")
        return None


def _said(error: psycopg.Error) -> str:
    """Return what callers may know: the driver's own words name hosts and users."""
    code = error.sqlstate
    if code is None or code.startswith(_LOST):
        return "the connection to its server was lost or cannot be made"
    return f"its server says {type(error).__name__}"


def lock_writers(connection: Connection) -> None:
    """Wait until nobody else writes, and keep it so until the transaction ends."""
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
