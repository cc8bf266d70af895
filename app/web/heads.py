"""The heads of requests and answers: which are refused unread, and what every answer says to browsers.

Plain ASGI, so that streams stay streams. Does not know the routes.
"""

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BadInput, Misdirected, Place, Problem, UnsupportedMedia
from app.settings import Settings
from app.web.problems import answer

# What pages of other origins may read of an answer, where they may read it at all.
EXPOSED = ("ETag", "Idempotent-Replayed", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID")
_CACHE, _ETAG = b"cache-control", b"etag"


def safe_headers(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """Return what every answer tells browsers: see `AnswerHeads`."""
    return (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"cross-origin" if settings.cors_origins else b"same-origin"),
    )


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


class AnswerHeads:
    """Tells browsers to take every answer for what it says it is, and to keep to themselves what they asked.

    Only an answer with an ETag or a rule of its own may be kept. Pages of other origins may include answers
    where the settings let such pages use the API.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._headers = app, safe_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                added = [header for header in self._headers if header[0] not in given]
                if _CACHE not in given and _ETAG not in given:
                    added.append((_CACHE, b"no-store"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
