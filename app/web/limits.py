"""Limits: slots, the queue of writers, rate limits by token buckets, and the size and time of bodies.

Not safe for threads: all of it runs on the event loop.
"""

import asyncio
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress

import numpy as np
from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Busy, Overloaded, TooLarge, TooManyRequests, TooSlow, Unauthorized
from app.observability.tracing import span
from app.processes.garbage_collection import release_memory_soon
from app.settings import Settings
from app.web.auth.api_keys import ANYBODY
from app.web.auth.routes import sent_key
from app.web.middleware import HttpMiddleware
from app.web.problems import BodyRefused, answer, unreadable_json

_CLIENTS = 100_000

_IMPORTS = ("/movies:import", "/responses:import")
_COMPUTATIONS = "/v1/compute/"
_LARGE = 2**18
_SLOWEST = 16 * 2**10  # bytes a second


class Slots:
    """A semaphore that refuses instead of waiting."""

    def __init__(self, limit: int, things: str) -> None:
        self.slots, self._things = limit, things
        self.busy = self.waiting = 0

    def take(self) -> None:
        """Take a slot, which `release` gives back; raises `Overloaded` if none is free."""
        if self.busy >= self.slots:
            raise Overloaded(f"{self.slots} {self._things} are under way already; try again")
        self.busy += 1

    def release(self) -> None:
        """Give a slot back."""
        self.busy -= 1


class WriterQueue:
    """A FIFO queue for the slots of writers; a request that waits takes no thread."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._free, self._seconds = asyncio.Semaphore(limit), seconds
        self.slots = limit
        self.busy = self.waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it; raises `Busy` if none becomes free in time."""
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
    """Token buckets, one a client, filled at a steady rate; each request takes a token.

    A full bucket holds the tokens of ``seconds``. Beyond a number of clients the least recent are evicted,
    and begin with a full bucket again.
    """

    def __init__(self, rate: float, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._full, self._now = rate, max(1.0, rate * seconds), now
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, client: Hashable) -> float:
        """Take a token and return 0.0, or return the seconds until there is one."""
        now = self._now()
        level, then = self._levels.pop(client, (self._full, now))
        level = min(self._full, level + (now - then) * self._rate)
        enough = level >= 1
        self._levels[client] = (level - 1 if enough else level), now
        if len(self._levels) > _CLIENTS:
            self._levels.popitem(last=False)
        return 0.0 if enough else (1 - level) / self._rate


# Possessive, and a string without its end is one up to the end of the text: no text makes this go back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"
_OTHERS = bytes(set(range(256)) - set(_OPENING + _CLOSING + b'"'))
_STEPS = bytes.maketrans(_OPENING + _CLOSING, b"\x01\x01\xff\xff")  # +1 and −1 as int8


def nests_deeper(text: bytes, than: int) -> bool:
    """Return whether arrays and objects nest deeper than this."""
    if len(text) <= than:
        return False
    if b"\0" in text:  # of UTF-16, in which a letter may have the byte of a quotation mark
        text = text.decode(json.detect_encoding(text), "replace").encode()
    if b"\\" in text:
        text = _STRING.sub(b"", text)
    # Most strings have no bracket, and are two quotation marks now; what is left between two is in one.
    marks = text.translate(None, _OTHERS).replace(b'""', b"")
    steps = np.frombuffer(b"".join(marks.split(b'"')[::2]).translate(_STEPS), np.int8)
    return bool(steps.size) and int(np.cumsum(steps, dtype=np.int32).max()) > than


_SCORES = frozenset({"scores", "scores:preview"})


def kind_of(method: str, path: str) -> str | None:
    """Return the kind of a request for its rate limit; None if it has none."""
    if not path.startswith("/v1/"):
        return None
    if path.startswith("/v1/compute/"):
        return "compute"
    end = path.rpartition("/")[2]
    if method in {"GET", "HEAD"} or (method == "POST" and end in _SCORES):
        return "scores"
    if method == "POST" and (end == "trainings" or end.endswith(":cancel")):
        return "trainings"
    return "writes"


class RateLimits(HttpMiddleware):
    """Refuses a client's requests with a 429 while its token bucket for their kind is empty.

    A client is a valid key or, without one, an address.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        rates = {
            "scores": settings.scores_a_second,
            "writes": settings.writes_a_second,
            "compute": settings.compute_a_second,
            "trainings": settings.trainings_a_second,
        }
        super().__init__(app)
        self._buckets = {kind: Buckets(rate, settings.burst_seconds) for kind, rate in rates.items() if rate}

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._buckets:
            kind = kind_of(scope["method"], scope["path"])
            buckets = self._buckets.get(kind or "")
            seconds = 0.0 if buckets is None else buckets.take(_client(scope))
            if seconds:
                problem = TooManyRequests(f"too many requests for {kind} came from here; come back later")
                headers = {"Retry-After": str(math.ceil(seconds))}
                await answer(Request(scope), problem, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _client(scope: Scope) -> tuple[str, str]:
    """Return the client's key or address; an invalid Authorization could be another one each time."""
    text = sent_key(scope["headers"])
    with suppress(Unauthorized):
        key = None if text is None else scope["app"].state.authenticator.authenticate_nowait(text)
        if key is not None and key is not ANYBODY:
            return ("key", key.key)
    return ("address", str((scope["client"] or ("",))[0]))


class BodyLimits(HttpMiddleware):
    """Refuses bodies that are larger, slower or nested deeper than the settings allow.

    The size is both the declared length and the bytes received. Time counts while the service waits for
    bytes, not while it is busy with those that came. Imports may be larger; computations must be smaller,
    because what these send is read and written several times, while others wait.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._settings = settings

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        content_length = headers.get("content-length", "")
        if not content_length and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)  # no body
            return
        is_import = scope["method"] == "POST" and scope["path"].endswith(_IMPORTS)
        limit = self._settings.max_import_bytes if is_import else self._settings.max_body_bytes
        if scope["path"].startswith(_COMPUTATIONS):
            limit = min(limit, self._settings.compute_body_bytes)
        is_json = not is_import and "json" in headers.get("content-type", "").lower()
        parts: list[bytes] = []
        size, wait_seconds, complete = 0, 0.0, False

        async def receive_limited() -> Message:
            nonlocal size, wait_seconds, complete
            if complete:
                return await receive()
            if content_length.isdecimal() and int(content_length[:20]) > limit:
                raise _too_large(limit)
            began = time.perf_counter()
            message = await self._wait_for(receive, size / _SLOWEST - wait_seconds)
            wait_seconds += time.perf_counter() - began
            part = message.get("body", b"")
            size += len(part)
            complete = not message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            if is_json:
                parts.append(part)
                if complete and nests_deeper(b"".join(parts), self._settings.max_json_depth):
                    raise BodyRefused(unreadable_json("its brackets nest too deeply"))
            return message

        try:
            await self._app(scope, receive_limited, send)
        finally:
            if size > _LARGE:
                release_memory_soon()  # reading it took many times its size

    async def _wait_for(self, receive: Receive, extra_seconds: float) -> Message:
        """Return the next part of a body; ``extra_seconds`` are those that the parts before it left over."""
        seconds = self._settings.receive_seconds
        try:
            async with asyncio.timeout(seconds + extra_seconds):
                return await receive()
        except TimeoutError as error:
            detail = f"the body did not come in {seconds:g} seconds, and a second for each 16 KiB of it"
            raise BodyRefused(TooSlow(detail)) from error


def _too_large(limit: int) -> BodyRefused:
    return BodyRefused(TooLarge(f"the body is larger than the {limit:,} bytes accepted here"))
