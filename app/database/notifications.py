"""Notifications that the database sends: a training began, ended or got on.

Whoever waits for them also polls from time to time: notifications may be lost with a connection, and SQLite
sends none.
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
_NOTIFY = text(f"NOTIFY {_CHANNEL}")
_POLL_SECONDS = 0.5  # how soon a listener notices that it is to end
_RECONNECT_SECONDS = 1.0


def notify(connection: Connection) -> None:
    """Send a notification when the transaction commits; several of one transaction are sent as one."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY)


class Notifications:
    """Counts the notifications of one database, for every waiting thread and task of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._arrival = threading.Condition()
        self._count = 0
        self._wakers: set[Wake] = set()
        self._closed = threading.Event()

    def open(self) -> None:
        """Start a thread that listens, where the database sends notifications."""
        if self._database.sends_notifications:
            threading.Thread(target=self._listen, name="notifications", daemon=True).start()

    def close(self) -> None:
        """Stop listening soon, and end every wait."""
        self._closed.set()
        self._receive()

    @property
    def count(self) -> int:
        """How many notifications came. Read it before a query, and wait with it after."""
        return self._count

    def wait(self, count: int, seconds: float) -> None:
        """Wait for ``seconds``, or until more than ``count`` notifications have come."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._count != count or self._closed.is_set(), seconds)

    async def wait_async(self, count: int, seconds: float) -> None:
        """Wait as `wait` does, without occupying a thread."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._arrival:
            if self._count != count:
                return
            self._wakers.add(wake)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            with self._arrival:
                self._wakers.discard(wake)

    def _receive(self) -> None:
        with self._arrival:
            self._count += 1
            self._arrival.notify_all()
            for wake in self._wakers:
                wake()
            self._wakers.clear()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen_on(self._database.listen(_CHANNEL))
            except (SQLAlchemyError, self._database.errors):
                self._closed.wait(_RECONNECT_SECONDS)  # meanwhile everybody polls

    def _listen_on(self, connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        try:
            self._receive()  # for what was sent before this thread listened
            while not self._closed.is_set():
                for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                    self._receive()
        finally:
            connection.close()
