"""What happens to every request: an id, limits on its body, a measurement and at debug level a log line.

Plain ASGI, so that streams stay streams. Does not know the routes, except that imports may be larger and
computations must be smaller: what these send is read and written several times, while others wait.
"""

import time
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus

import structlog
from fastapi import Request, Response
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.errors import BadInput, InternalError, Misdirected, Place, Problem, UnsupportedMedia
from app.observability.metrics import Measurements
from app.observability.tracing import Tracing
from app.settings import Settings
from app.web.problems import answer
from app.web.scope import BEGAN, method_of, name_request, route_of

log = structlog.get_logger()

_SCORES = {
    "list_scores": "scores",
    "list_recommendations": "recommendations",
    "score_pairs": "pairs",
    "preview_scores": "preview",
}


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
        start, is_measured = time.perf_counter(), False
        scope[BEGAN] = start

        def measure(status: int) -> None:
            nonlocal is_measured
            is_measured = True
            route, method, seconds = route_of(scope), method_of(scope), time.perf_counter() - start
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
            if not is_measured:
                measure(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    def _find(
        self, method: str, route: str, status: int, kind: str | None
    ) -> tuple[Counter, list[Histogram]]:
        times = [self._measurements.seconds.labels(method, route)]
        if kind is not None:
            times.append(self._measurements.scores.labels(kind))
        return self._measurements.requests.labels(method, route, status), times


class CrossOrigin(CORSMiddleware):
    """Lets pages of the origins in the settings use the API."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "PUT", "POST", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-None-Match",
                "Last-Event-ID",
                "X-Request-ID",
            ],
            expose_headers=[
                "ETag",
                "Idempotent-Replayed",
                "Location",
                "Retry-After",
                "WWW-Authenticate",
                "X-Request-ID",
            ],
        )

    def headers_for(self, origin: str) -> list[tuple[bytes, bytes]]:
        """Return the headers with which a page of this origin may read an answer; none if it may not."""
        if not origin or not self.is_allowed_origin(origin):
            return []
        headers = MutableHeaders(self.simple_headers)
        if not self.allow_all_origins:
            self.allow_explicit_origin(headers, origin)
        return headers.raw


class RequestHeads:
    """Refuses requests for hosts that are none of this service's, and bodies that are packed."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._hosts = app, settings.trusts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            problem = self._problem(scope)
            if problem is not None:
                headers = {"Accept-Encoding": "identity"} if isinstance(problem, UnsupportedMedia) else None
                await answer(Request(scope), problem, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        hosts = []
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
                return UnsupportedMedia("a body is read as it comes: send it without Content-Encoding")
        if len(hosts) != 1 and (hosts or scope["http_version"] != "1.0" or self._hosts is not None):
            why = f"a request names one Host; here are {len(hosts)}"
            return BadInput(why, [Place(why, parameter="host")])
        if self._hosts is not None and _without_port(hosts[0]) not in self._hosts:
            return Misdirected(
                "this service does not answer under the name in Host; LIKELY_TRUSTED_HOSTS says under which"
            )
        return None


def _without_port(host: bytes) -> str:
    name, colon, port = host.decode("latin-1").lower().rpartition(":")
    return name if colon and (port.isdecimal() or not port) else name + colon + port


_CACHE, _ETAG = b"cache-control", b"etag"


class ResponseHeaders:
    """The security headers of every answer, and whether it may be cached.

    Only an answer with an ETag or a Cache-Control of its own may be. Pages of other origins may include
    answers where the settings let such pages use the API.
    """

    def __init__(self, settings: Settings) -> None:
        self._headers = (
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"cross-origin" if settings.cors_origins else b"same-origin"),
        )

    def complete(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer with those that it lacks."""
        names = {name for name, _ in headers}
        more = [header for header in self._headers if header[0] not in names]
        if _CACHE not in names and _ETAG not in names:
            more.append((_CACHE, b"no-store"))
        return [*headers, *more]


class ResponseHeadersMiddleware:
    """Adds `ResponseHeaders` to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._headers = app, ResponseHeaders(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._headers.complete(message["headers"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


_PROBES = frozenset({"/livez", "/readyz", "/metrics"})


class Traced:
    """Opens the span of a request, and lets what happens inside open its own."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        method = method_of(scope)
        with self._tracing.open_request(method, Headers(scope=scope).get("traceparent", "")) as span:

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._tracing.end_request(span, method, route_of(scope), message["status"])
                await send(message)

            with self._tracing.activated():
                await self._app(scope, receive, send_traced)


class Bugs:
    """Answers what nobody foresaw, without a word about the inside; the log has it, under the request id.

    Innermost: a handler of `Exception` would answer outside of all middleware, and a page of another origin
    could not read that answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what goes wrong is raised on, for the log."""
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            if scope["type"] == "http" and not has_begun:
                await _answer_bug(Request(scope))(scope, receive, send)
            raise


def _answer_bug(request: Request) -> Response:
    log.error("request failed", method=method_of(request.scope), route=route_of(request.scope))
    detail = "something went wrong here; the log of the service has it under this request id"
    return answer(request, InternalError(detail))
