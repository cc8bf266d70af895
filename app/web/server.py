"""The connection of uvicorn with time-outs, limits on bytes, and load shedding."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import Overloaded, Problem
from app.observability.metrics import ServiceMetrics
from app.settings import Settings
from app.web.limits import Slots
from app.web.middleware import CrossOrigin, ResponseHeaders
from app.web.problems import problem_response
from app.web.scope import name_request

LOAD_SHEDDING = "load_shedding"  # in the state that the application starts with
_PROBES = frozenset({b"/livez", b"/readyz", b"/metrics"})
_REQUEST_ID = b"0" * 16  # in the cached answer, as long as the id that replaces it
_CLOSE = (b"connection", b"close")
_RELEVANT = frozenset({b"origin", b"x-request-id"})


class LoadShedding:
    """Answers requests beyond the limit on concurrent ones with a 503 at once; probes are always served.

    ``streams`` are the event streams that run: each is a request under way, and none counts in the limit.
    """

    def __init__(self, settings: Settings, streams: Slots, metrics: ServiceMetrics) -> None:
        self.settings = settings
        self._streams, self._metrics = streams, metrics
        self._headers = ResponseHeaders(settings)
        self._cross_origin = CrossOrigin(Response(), settings) if settings.cors_origins else None
        self._problem = Overloaded(f"{settings.requests_at_once} requests are under way already; try again")
        self._cached = self._render(self._problem, _REQUEST_ID.decode())

    def is_full(self, requests: int, url: bytes) -> bool:
        """Return whether one more request than these would exceed the limit."""
        if requests - self._streams.busy < self.settings.requests_at_once:
            return False
        return url.partition(b"?")[0] not in _PROBES

    def shed(self, method: bytes, headers: Iterable[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
        """Return the whole answer to a request, by its method and headers, beyond the limit."""
        self._metrics.count_shed(method.decode("ascii"))
        relevant = {name: value.decode("latin-1") for name, value in headers if name in _RELEVANT}
        if not relevant and keep_alive and method != b"HEAD":
            return self._cached.replace(_REQUEST_ID, b"%016x" % random.getrandbits(64))
        more = (
            [] if self._cross_origin is None else self._cross_origin.headers_for(relevant.get(b"origin", ""))
        )
        if not keep_alive:
            more.append(_CLOSE)
        answer = self._render(self._problem, name_request(relevant.get(b"x-request-id", "")), more)
        return answer if method != b"HEAD" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def refuse(self, status: HTTPStatus, detail: str) -> bytes:
        """Return the answer to bytes that are no acceptable request; the connection then closes."""
        return self._render(Problem.of_status(status, detail), name_request(""), [_CLOSE])

    def _render(self, problem: Problem, name: str, more: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
        response = problem_response(problem, name)
        response.raw_headers.append((b"x-request-id", name.encode()))
        headers = [*self._headers.complete(response.raw_headers), *more]
        lines = b"".join(header + b": " + value + b"\r\n" for header, value in headers)
        return STATUS_LINE[problem.status.value] + lines + b"\r\n" + bytes(response.body)


_BYTES = 64 * 2**10  # that may arrive without completing the headers or a part of a body, or wait to be sent
_PIPELINED = 16  # requests that may wait for the answer to the one before


class Connection(HttpToolsProtocol):
    """Closes when the headers of a request are late or too large; sheds load.

    uvicorn waits without end for headers of which one byte has come, and buffers all that came of them. Its
    own limit on concurrent requests counts probes and streams, and answers in plain text, without a time to
    come back.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shedding: LoadShedding = app_state[LOAD_SHEDDING]
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._after_headers = False
        self._is_shed = False  # the request that is being received
        self._unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for the headers of the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._stop_waiting()
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read on; one that reads nothing for long is disconnected."""
        super().pause_writing()
        self._unsent = self.loop.call_later(self._shedding.settings.receive_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Send on."""
        self._stop_sending()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse more bytes, unless too many came that completed neither headers nor a part of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_shed:
            # A client may read the answer only after it has sent the body: closing now would lose the answer.
            if self._unread > self._shedding.settings.max_body_bytes:
                self.transport.close()
        elif self._unread > _BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {_BYTES:,} bytes")
        if self._timer is None and self.timeout_keep_alive_task is None and self._idle():
            self._wait()  # these may be the first bytes of the next request

    def on_message_begin(self) -> None:
        """Begin the headers of a request."""
        self._after_headers = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, but not the trailers of a chunked body, for which the parser calls this as well."""
        if not self._after_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request, or shed it: from here on `BodyLimits` limits the time."""
        self._unread, self._after_headers = 0, True
        self._stop_waiting()
        idle = self._idle()
        if len(self.pipeline) >= _PIPELINED and not idle:
            self.transport.close()  # no client that reads the answers pipelines so many
        self._is_shed = self.transport.is_closing() or (
            idle and self._shedding.is_full(len(self.tasks), self.url)
        )
        if not self._is_shed:
            super().on_headers_complete()
        elif not self.transport.is_closing():
            self._shed()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if not self._is_shed:
            self._unread = 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._is_shed:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request" if msg else msg)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _shed(self) -> None:
        """Answer a 503, and be ready for the next request."""
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        method = self.parser.get_method()
        self.transport.write(self._shedding.shed(method, self.headers, keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()
        elif self.transport.get_write_buffer_size() > _BYTES:
            self.transport.abort()  # a client that does not read the answers

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._shedding.settings.receive_seconds, self.transport.close)

    def _stop_sending(self) -> None:
        """Cancel the timer of a client that does not read."""
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer and close; only close while the answer to an earlier request is being sent."""
        if self._idle():
            self.transport.write(self._shedding.refuse(status, detail))
        self.transport.close()
