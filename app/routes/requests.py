"""What happens to every request: an id, a limit on its body, a measurement.

Plain ASGI, so that streams stay streams. Does not know the routes, except that imports may be larger and
computations must be smaller: what these send is read and written several times, while others wait.
"""

import re
import secrets
import time
from http import HTTPMethod, HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.measurements import Measurements
from app.settings import Settings

_IMPORTS = ("/movies:import", "/responses:import")
_COMPUTATIONS = "/v1/compute/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(request: Request) -> str:
    """Return the id of a request, as given by the caller or by `RequestIds`."""
    return str(request.scope.get("request_id", "-"))


class RequestIds:
    """Names each request: ``X-Request-ID`` as the caller gave it, or a new one, comes back in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = name

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = name
            await send(message)

        await self._app(scope, receive, send_named)


class BodyLimit:
    """Refuses bodies larger than the settings allow, by their declared length and by the bytes received."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        declared = Headers(scope=scope).get("content-length", "")
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit or (declared.isdecimal() and int(declared) > limit):
                raise HTTPException(413, f"the body is larger than the {limit:,} bytes accepted here")
            return message

        await self._app(scope, receive_limited, send)

    def _limit(self, scope: Scope) -> int:
        settings = self._settings
        if scope["method"] == "POST" and scope["path"].endswith(_IMPORTS):
            return settings.max_import_bytes
        if scope["path"].startswith(_COMPUTATIONS):
            return min(settings.compute_body_bytes, settings.max_body_bytes)
        return settings.max_body_bytes


class Measured:
    """Counts requests and times them up to the start of their answers, by route and not by path."""

    def __init__(self, app: ASGIApp, measurements: Measurements) -> None:
        self._app, self._measurements = app, measurements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, measured = time.perf_counter(), False

        def measure(status: int) -> None:
            nonlocal measured
            measured = True
            route, method = _route(scope), _method(scope)
            self._measurements.requests.labels(method, route, status).inc()
            self._measurements.seconds.labels(method, route).observe(time.perf_counter() - started)

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                measure(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        except Exception:
            if not measured:
                measure(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


def _route(scope: Scope) -> str:
    """Return the pattern of the route that matched; paths hold ids, and there is no end of them."""
    return str(getattr(scope.get("route"), "path_format", "none"))


def _method(scope: Scope) -> str:
    """Return the method, if it is one that HTTP knows; there is no end of the others."""
    method: str = scope["method"]
    return method if method in HTTPMethod.__members__ else "other"
