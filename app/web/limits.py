"""How much is under way at once, and how much one client may ask for in a while.

Meant for one thread, that of the event loop. Does not know what is asked for.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from app.errors import Busy, Overloaded
from app.observability.spans import span

_CLIENTS = 100_000


class Places:
    """So many at once; one more is refused instead of waiting."""

    def __init__(self, most: int, things: str) -> None:
        self.places, self._things = most, things
        self.busy = self.waiting = 0

    def take(self) -> None:
        """Take a place, to be left by `leave`; raises `Overloaded`."""
        if self.busy >= self.places:
            raise Overloaded(f"{self.places} {self._things} are under way already; try again")
        self.busy += 1

    def leave(self) -> None:
        """Leave a place to somebody else."""
        self.busy -= 1


class Turns:
    """So many at once; the others wait in the order in which they came, and take no thread while they do."""

    def __init__(self, most: int, seconds: float) -> None:
        self._free, self._seconds = asyncio.Semaphore(most), seconds
        self.places = most
        self.busy = self.waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it; raises `Busy` where none comes in time."""
        self.waiting += 1
        try:
            with span("wait for a turn"):
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
        except TimeoutError as error:
            raise Busy(f"the database was busy for {self._seconds:g} seconds; try again") from error
        finally:
            self.waiting -= 1
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self._free.release()


class Buckets:
    """A bucket of tokens a client, filled at a steady rate; each request takes one.

    A full bucket holds what comes in in ``seconds``. Clients that nobody has heard of for the longest time
    are forgotten where there are too many, and begin with a full bucket again.
    """

    def __init__(self, rate: float, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._full, self._now = rate, max(1.0, rate * seconds), now
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, client: Hashable) -> float:
        """Take a token: return 0.0, or in how many seconds there will be one."""
        now = self._now()
        level, then = self._levels.pop(client, (self._full, now))
        level = min(self._full, level + (now - then) * self._rate)
        enough = level >= 1
        self._levels[client] = (level - 1 if enough else level), now
        if len(self._levels) > _CLIENTS:
            self._levels.popitem(last=False)
        return 0.0 if enough else (1 - level) / self._rate
