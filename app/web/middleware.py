"""What happens to every request: an id, limits on its body, a measurement and at debug level a log line.

Plain ASGI, so that streams stay streams. Does not know the routes, except that imports may be larger and
computations must be smaller: what these send is read and written several times, while others wait.
"""

import asyncio
import random
import re
import time
from functools import cache
from http import HTTPMethod, HTTPStatus

import structlog
from fastapi import Request
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.observability.metrics import Measurements
from app.processes.garbage_collection import give_back_soon
from app.settings import Settings
from app.web.nesting import nests_deeper

log = structlog.get_logger()

_IMPORTS = ("/movies:import", "/responses:import")
_COMPUTATIONS = "/v1/compute/"
_LARGE = 2**18
_SLOWEST = 16 * 2**10  # bytes a second
_CLOSE = {"Connection": "close"}
BEGAN = "began"  # in a request's scope: when it came, by `time.perf_counter`
_SCORES = {
    "list_scores": "scores",
    "list_recommendations": "recommendations",
    "score_pairs": "pairs",
    "preview_scores": "preview",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(request: Request) -> str:
    """Return the id of a request, as given by the caller or by `RequestIds`."""
    return str(request.scope.get("request_id", "-"))


def name_request(given: str) -> str:
    """Return a request's id: the one that came with it, where that is one, or a new one."""
    return given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"


class RequestIds:
    """Names each request: ``X-Request-ID`` as the caller gave it, or a new one, comes back in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = name_request(Headers(scope=scope).get("x-request-id", ""))
        scope["request_id"] = name
        bind_contextvars(request_id=name)  # each request has a task, so a context, of its own

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = name
            await send(message)

        await self._app(scope, receive, send_named)


class BodyLimits:
    """Refuses bodies that are larger, slower or nested deeper than the settings allow.

    Sizes count by the declared length and by the bytes received. Time counts while nothing comes, not while
    the service is busy with what came.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if not declared and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)  # no body
            return
        is_import = scope["method"] == "POST" and scope["path"].endswith(_IMPORTS)
        limit = self._settings.max_import_bytes if is_import else self._limit(scope)
        is_json = not is_import and "json" in headers.get("content-type", "").lower()
        parts: list[bytes] = []
        received, waited, whole = 0, 0.0, False

        async def receive_limited() -> Message:
            nonlocal received, waited, whole
            if whole:
                return await receive()
            if declared.isdecimal() and int(declared[:20]) > limit:
                raise _too_large(limit)
            began = time.perf_counter()
            message = await self._wait_for(receive, received / _SLOWEST - waited)
            waited += time.perf_counter() - began
            part = message.get("body", b"")
            received += len(part)
            whole = not message.get("more_body", False)
            if received > limit:
                raise _too_large(limit)
            if is_json:
                parts.append(part)
                if whole and nests_deeper(b"".join(parts), self._settings.max_json_depth):
                    raise HTTPException(HTTPStatus.BAD_REQUEST) from RecursionError()
            return message

        try:
            await self._app(scope, receive_limited, send)
        finally:
            if received > _LARGE:
                give_back_soon()  # reading it took many times its size

    async def _wait_for(self, receive: Receive, earned: float) -> Message:
        """Return the next part of a body; ``earned`` are the seconds that the parts before it allow for."""
        seconds = self._settings.receive_seconds
        try:
            async with asyncio.timeout(seconds + earned):
                return await receive()
        except TimeoutError as error:
            detail = f"the body did not come in {seconds:g} seconds, and a second for each 16 KiB of it"
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, detail, _CLOSE) from error

    def _limit(self, scope: Scope) -> int:
        settings = self._settings
        if scope["path"].startswith(_COMPUTATIONS):
            return min(settings.compute_body_bytes, settings.max_body_bytes)
        return settings.max_body_bytes


def _too_large(limit: int) -> HTTPException:
    detail = f"the body is larger than the {limit:,} bytes accepted here"
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


class Measured:
    """Counts requests and times them up to the start of their answers, by route and not by path."""

    def __init__(self, app: ASGIApp, measurements: Measurements) -> None:
        self._app, self._measurements, self._log = app, measurements, log.bind()
        self._labelled = cache(self._find)  # to find one by its labels takes longer than to count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, measured = time.perf_counter(), False
        scope[BEGAN] = started

        def measure(status: int) -> None:
            nonlocal measured
            measured = True
            route, method, seconds = route_of(scope), method_of(scope), time.perf_counter() - started
            kind = _SCORES.get(getattr(scope.get("route"), "name", ""))
            count, times = self._labelled(method, route, status, kind if status == HTTPStatus.OK else None)
            count.inc()
            for each in times:
                each.observe(seconds)
            self._log.debug("request", method=method, route=route, status=status, seconds=round(seconds, 6))

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                measure(int(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        except Exception:
            if not measured:
                measure(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    def _find(
        self, method: str, route: str, status: int, kind: str | None
    ) -> tuple[Counter, list[Histogram]]:
        times = [self._measurements.seconds.labels(method, route)]
        if kind is not None:
            times.append(self._measurements.scores.labels(kind))
        return self._measurements.requests.labels(method, route, status), times


def route_of(scope: Scope) -> str:
    """Return the pattern of the route that matched; paths hold ids, and there is no end of them."""
    return str(getattr(scope.get("route"), "path_format", "none"))


def method_of(scope: Scope) -> str:
    """Return the method, if it is one that HTTP knows; there is no end of the others."""
    method: str = scope["method"]
    return method if method in HTTPMethod.__members__ else "other"
