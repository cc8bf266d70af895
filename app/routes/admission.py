"""Which requests are begun: no more at once than can be answered soon, and no more from a client than it may.

Plain ASGI, so that streams stay streams. Knows of the routes only what kind of work a path asks for.
"""

import hashlib
import math

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import Buckets, Places
from app.errors import Overloaded, Problem, TooManyRequests
from app.routes.problems import answer
from app.settings import Settings

_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_SCORES = frozenset({"scores", "scores:preview"})
_STREAM = (b"content-type", b"text/event-stream")


def kind_of(method: str, path: str) -> str | None:
    """Return which of the limits counts a request, None if none does."""
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


class Rates:
    """Refuses a client's requests when there are too many of their kind, by what it sends as Authorization.

    Clients that send nothing there are told apart by address.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        rates = {
            "scores": settings.scores_a_second,
            "writes": settings.writes_a_second,
            "compute": settings.compute_a_second,
            "trainings": settings.trainings_a_second,
        }
        self._app = app
        self._buckets = {kind: Buckets(rate, settings.burst_seconds) for kind, rate in rates.items() if rate}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._buckets:
            kind = kind_of(scope["method"], scope["path"])
            buckets = self._buckets.get(kind or "")
            seconds = 0.0 if buckets is None else buckets.take(_client(scope))
            if seconds:
                problem = TooManyRequests(f"too many requests for {kind} came from here; come back later")
                await _refuse(scope, receive, send, problem, math.ceil(seconds))
                return
        await self._app(scope, receive, send)


def _client(scope: Scope) -> bytes:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if given is not None:  # never kept as it is
        return hashlib.sha256(given).digest()
    return str((scope["client"] or ("",))[0]).encode()


class Admission:
    """Refuses at once what is more than can be answered soon; what is begun is answered.

    Probes are always answered. A stream of events is counted apart once it runs: see `Resources.streams`.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._places = app, Places(settings.requests_at_once, "requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        try:
            self._places.take()
        except Overloaded as problem:
            await _refuse(scope, receive, send, problem, 1)
            return
        held = True

        async def send_leaving(message: Message) -> None:
            nonlocal held
            if held and message["type"] == "http.response.start" and _is_stream(message):
                held = False
                self._places.leave()
            await send(message)

        try:
            await self._app(scope, receive, send_leaving)
        finally:
            if held:
                self._places.leave()


def _is_stream(message: Message) -> bool:
    return any(name == _STREAM[0] and value.startswith(_STREAM[1]) for name, value in message["headers"])


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem, seconds: int) -> None:
    await answer(Request(scope), problem, {"Retry-After": str(seconds)})(scope, receive, send)
