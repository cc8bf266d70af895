"""Which requests are begun: no more of a kind from a client than it may ask for in a while.

Plain ASGI, so that streams stay streams. Knows of the routes only what kind of work a path asks for.
"""

import math
from contextlib import suppress

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import TooManyRequests, Unauthorized
from app.settings import Settings
from app.web.auth.api_keys import ANYBODY
from app.web.auth.routes import sent_key
from app.web.limits import Buckets
from app.web.problems import answer

_SCORES = frozenset({"scores", "scores:preview"})


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
    """Refuses a client's requests when there are too many of their kind.

    Clients are told apart by their keys; those without one that is admitted, by address.
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
                headers = {"Retry-After": str(math.ceil(seconds))}
                await answer(Request(scope), problem, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _client(scope: Scope) -> tuple[str, str]:
    """Return who asks. What is sent as Authorization and is no key could be another one each time."""
    text = sent_key(scope["headers"])
    with suppress(Unauthorized):
        key = None if text is None else scope["app"].state.admission.admit_at_once(text)
        if key is not None and key is not ANYBODY:
            return ("key", key.key)
    return ("address", str((scope["client"] or ("",))[0]))
