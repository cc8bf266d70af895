"""A connection around its requests: uvicorn's, with an end to waiting, reading, writing and beginning.

Does not know what is asked.
"""

import asyncio
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.observability.metrics import Measurements
from app.settings import Settings
from app.web.limits import Places
from app.web.middleware import EXPOSED, safe_headers
from app.web.scope import name_request

ENTRANCE = "entrance"  # in the state that the application starts with
_PROBES = frozenset({b"/livez", b"/readyz", b"/metrics"})
_NAME = "0" * 16  # as long as a new request's name, in whose place it stands
_CLOSE = {"connection": "close"}
_LOOKED_AT = frozenset({b"origin", b"x-request-id"})


@dataclass(frozen=True)
class Entrance:
    """What is begun: so many requests at once, and probes always.

    ``streams`` are the event streams that run: each is under way, and none counts among the requests.
    """

    settings: Settings
    streams: Places
    measurements: Measurements = field(repr=False)

    def is_full(self, under_way: int, url: bytes) -> bool:
        """Return whether one more request than these would be more than can be answered soon."""
        if under_way - self.streams.busy < self.settings.requests_at_once:
            return False
        return url.partition(b"?")[0] not in _PROBES

    def turn_away(
        self, method: bytes, headers_sent: Iterable[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> bytes:
        """Return the answer to a request, by its method and headers, that finds no place."""
        self.measurements.count_turned_away(method.decode("ascii"))
        relevant = {name: value.decode("latin-1") for name, value in headers_sent if name in _LOOKED_AT}
        if not relevant and keep_alive and method != b"HEAD":
            return self._usual.replace(_NAME.encode(), b"%016x" % random.getrandbits(64))
        headers = self._cross_origin(relevant.get(b"origin", "")) | ({} if keep_alive else _CLOSE)
        answer = self._full(name_request(relevant.get(b"x-request-id", "")), headers)
        return answer if method != b"HEAD" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def refuse(self, status: HTTPStatus, detail: str) -> bytes:
        """Return the answer to what is no request that could be begun; the connection then closes."""
        return self._worded(status, status.name.lower().replace("_", "-"), detail, name_request(""), _CLOSE)

    @cached_property
    def _usual(self) -> bytes:
        return self._full(_NAME, {})

    def _full(self, name: str, headers: Mapping[str, str]) -> bytes:
        detail = f"{self.settings.requests_at_once} requests are under way already; try again"
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._worded(status, "overloaded", detail, name, {"retry-after": "1", **headers})

    def _worded(
        self, status: HTTPStatus, kind: str, detail: str, name: str, headers: Mapping[str, str]
    ) -> bytes:
        content = {
            "type": f"urn:likely:problem:{kind}",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "errors": (),
            "request_id": name,
        }
        body = json.dumps(content).encode()
        lines = {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "x-request-id": name,
            **{name.decode(): value.decode() for name, value in safe_headers(self.settings)},
            "cache-control": "no-store",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return STATUS_LINE[status.value] + head.encode("latin-1") + b"\r\n" + body

    def _cross_origin(self, origin: str) -> dict[str, str]:
        """Return what lets a page of this origin read an answer; nothing where it may not."""
        origins = self.settings.cors_origins
        if origin not in origins and (not origin or "*" not in origins):
            return {}
        return {
            "access-control-allow-origin": "*" if "*" in origins else origin,
            "access-control-expose-headers": ", ".join(EXPOSED),
            "vary": "Origin",
        }


_BYTES = 64 * 2**10  # that may come without a head or a piece of a body being whole, or wait to be read
_IN_A_ROW = 16  # requests that may wait for the answer to the one before


class Connection(HttpToolsProtocol):
    """Closes when a request's head is not whole in time, or larger than any that is meant.

    uvicorn waits without end for a head of which one byte has come, and keeps all that came of it. Its own
    limit on requests at once counts probes and streams, and answers in plain
    text, without a time to come back.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._entrance: Entrance = app_state[ENTRANCE]
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._after_head = False
        self._turned_away = False  # the request that comes in
        self._unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Have more to send than the caller takes; who takes nothing for long is let go."""
        super().pause_writing()
        self._unsent = self.loop.call_later(self._entrance.settings.receive_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on sending."""
        self._stop_sending()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read on, unless too much came that was neither a whole head nor of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._turned_away:
            # Who sends a body looks for the answer when it is sent: closing now would take the answer away.
            if self._unread > self._entrance.settings.max_body_bytes:
                self.transport.close()
        elif self._unread > _BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {_BYTES:,} bytes")
        if self._timer is None and self.timeout_keep_alive_task is None and self._idle():
            self._wait()  # what came after an answer may be the beginning of the next head

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._after_head = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is none, though the parser calls it so."""
        if not self._after_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have a head: from here on the application waits, and knows how long."""
        self._unread, self._after_head = 0, True
        self._stop_waiting()
        idle = self._idle()
        if len(self.pipeline) >= _IN_A_ROW and not idle:
            self.transport.close()  # nobody asks so much at once who reads the answers
        self._turned_away = self.transport.is_closing() or (
            idle and self._entrance.is_full(len(self.tasks), self.url)
        )
        if not self._turned_away:
            super().on_headers_complete()
        elif not self.transport.is_closing():
            self._turn_away()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if not self._turned_away:
            self._unread = 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Have all of a request."""
        if not self._turned_away:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request" if msg else msg)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _turn_away(self) -> None:
        """Answer that there is no place, and be ready for the next request."""
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        method = self.parser.get_method()
        self.transport.write(self._entrance.turn_away(method, self.headers, keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()
        elif self.transport.get_write_buffer_size() > _BYTES:
            self.transport.abort()  # who reads none of the refusals

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._entrance.settings.receive_seconds, self.transport.close)

    def _stop_sending(self) -> None:
        """Wait no longer for the caller to take something."""
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer and close; only close if the answer to an earlier request is on its way."""
        if self._idle():
            self.transport.write(self._entrance.refuse(status, detail))
        self.transport.close()
