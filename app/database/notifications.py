"""News that the database sends: somebody began, ended or moved on with a training.

Who waits for such news looks again when they come, and every so often without them: news may be lost with
a connection, and SQLite sends none. Does not know what changed.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from app.database.database import Database

Wake = Callable[[], None]

_CHANNEL = "likely_trainings"
_ANNOUNCE = text(f"NOTIFY {_CHANNEL}")
_LOOK_SECONDS = 0.5  # how soon a listener notices that it is to end
_AGAIN_SECONDS = 1.0


def announce(connection: Connection) -> None:
    """Send news when the transaction is committed; many of one transaction are sent as one."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ANNOUNCE)


class Changes:
    """News of one database, for all who wait in this process; a context in which a thread listens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = threading.Condition()
        self._heard = 0
        self._waking: set[Wake] = set()
        self._closed = threading.Event()

    def open(self) -> None:
        """Begin to listen, where there is something to hear."""
        if self._database.sends_notifications:
            threading.Thread(target=self._listen, name="changes", daemon=True).start()

    def close(self) -> None:
        """Stop listening soon, and let go of who waits."""
        self._closed.set()
        self._hear()

    @property
    def heard(self) -> int:
        """How often there was news. Read it before looking, and wait with it after."""
        return self._heard

    def wait(self, count: int, seconds: float) -> None:
        """Wait so long, or until there is news since ``count``."""
        with self._news:
            self._news.wait_for(lambda: self._heard != count or self._closed.is_set(), seconds)

    async def wait_beside(self, count: int, seconds: float) -> None:
        """Wait as `wait` does, without keeping a thread."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._news:
            if self._heard != count:
                return
            self._waking.add(wake)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            with self._news:
                self._waking.discard(wake)

    def _hear(self) -> None:
        with self._news:
            self._heard += 1
            self._news.notify_all()
            for wake in self._waking:
                wake()
            self._waking.clear()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen_on(self._database.listen(_CHANNEL))
            except (SQLAlchemyError, self._database.errors):
                self._closed.wait(_AGAIN_SECONDS)  # meanwhile everybody looks every so often

    def _listen_on(self, connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        try:
            self._hear()  # what was sent before somebody listened
            while not self._closed.is_set():
                for _ in connection.notifies(timeout=_LOOK_SECONDS, stop_after=1):
                    self._hear()
        finally:
            connection.close()
