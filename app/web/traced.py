"""A span for each request, from its head to the end of its answer. Only there where traces are asked for.

Plain ASGI, so that streams stay streams. Probes have none: they would be most of what a collector gets. Does
not know what happens inside.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observability.spans import stop_tracing, trace_by
from app.observability.tracing import Tracing
from app.web.middleware import method_of, route_of

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

            token = trace_by(self._tracing.open)
            try:
                await self._app(scope, receive, send_traced)
            finally:
                stop_tracing(token)
