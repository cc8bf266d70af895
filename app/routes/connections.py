"""A connection before it has a request: uvicorn's, with an end to waiting and to reading.

Does not know what is asked.
"""

import asyncio
import json
import secrets
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

SECONDS = "receive_seconds"  # in the state that the application starts with
_BYTES = 64 * 2**10  # that may come without a head or a piece of a body being whole


class Connection(HttpToolsProtocol):
    """Closes when a request's head is not whole in time, or larger than any that is meant.

    uvicorn waits without end for a head of which one byte has come, and keeps all that came of it.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._seconds = float(app_state[SECONDS])
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._after_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless too much came that was neither a whole head nor of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > _BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {_BYTES:,} bytes")
        elif self._timer is None and self.timeout_keep_alive_task is None and self._idle():
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
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request" if msg else msg)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer and close; only close if the answer to an earlier request is on its way."""
        if self._idle():
            self.transport.write(_refusal(status, detail))
        self.transport.close()


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    name = secrets.token_hex(8)
    content: dict[str, object] = {
        "type": f"urn:likely:problem:{status.name.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "errors": [],
        "request_id": name,
    }
    body = json.dumps(content).encode()
    head = (
        f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nx-request-id: {name}\r\n"
        "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINE[status.value] + head.encode() + body
