"""Middleware around every request: its id, span, metrics, headers, and the answer to a bug.

Plain ASGI, so that streams stay streams.
"""

import time
from collections.abc import Awaitable, Sequence
from functools import cache
from http import HTTPStatus

import structlog
from fastapi import Request
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.errors import BadInput, InternalError, Misdirected, Place, Problem, UnsupportedMedia
from app.observability.metrics import ServiceMetrics
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


class HttpMiddleware:
    """Middleware whose `serve` sees HTTP requests only; the start and the end of the application pass by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request, or pass on what is none."""
        return (self.serve if scope["type"] == "http" else self._app)(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        raise NotImplementedError


class RequestIdMiddleware(HttpMiddleware):
    """Gives each request an id: the caller's ``X-Request-ID`` or a new one, which the answer has too."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = name_request(Headers(scope=scope).get("x-request-id", ""))
        scope["request_id"] = name
        bind_contextvars(request_id=name)  # each request has a task, so a context, of its own

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = name
            await send(message)

        await self._app(scope, receive, send_with_id)


class MetricsMiddleware(HttpMiddleware):
    """Counts requests and times them up to the start of their answers, by route and not by path."""

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics) -> None:
        super().__init__(app)
        self._metrics, self._log = metrics, log.bind()
        self._children = cache(self._find)  # to find one by its labels takes longer than to count

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        start, is_measured = time.perf_counter(), False
        scope[BEGAN] = start

        def measure(status: int) -> None:
            nonlocal is_measured
            is_measured = True
            route, method, seconds = route_of(scope), method_of(scope), time.perf_counter() - start
            kind = _SCORES.get(getattr(scope.get("route"), "name", ""))
            count, histograms = self._children(
                method, route, status, kind if status == HTTPStatus.OK else None
            )
            count.inc()
            for histogram in histograms:
                histogram.observe(seconds)
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
        histograms = [self._metrics.seconds.labels(method, route)]
        if kind is not None:
            histograms.append(self._metrics.scores.labels(kind))
        return self._metrics.requests.labels(method, route, status), histograms


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


class RequestHeaderChecks(HttpMiddleware):
    """Refuses requests for hosts that are not trusted, and compressed bodies."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._hosts = settings.trusts()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
            return
        headers = {"Accept-Encoding": "identity"} if isinstance(problem, UnsupportedMedia) else None
        await answer(Request(scope), problem, headers)(scope, receive, send)

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


class ResponseHeadersMiddleware(HttpMiddleware):
    """Adds `ResponseHeaders` to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._headers = ResponseHeaders(settings)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._headers.complete(message["headers"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


_PROBES = frozenset({"/livez", "/readyz", "/metrics"})


class TracingMiddleware(HttpMiddleware):
    """Opens the span of a request, and activates tracing within it; not for probes."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        super().__init__(app)
        self._tracing = tracing

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in _PROBES:
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


class BugMiddleware(HttpMiddleware):
    """Answers an unforeseen exception with a 500 that says nothing of the inside; the log has the trace.

    Innermost: a handler of `Exception` would answer outside of all middleware, and a page of another origin
    could not read that answer.
    """

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an unforeseen exception is raised on, for the log."""
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            if not has_begun:
                route = route_of(scope)
                log.error("request failed", method=method_of(scope), route=route)  # noqa: TRY400 - uvicorn logs it
                detail = "something went wrong here; the log of the service has it under this request id"
                await answer(Request(scope), InternalError(detail))(scope, receive, send)
            raise
