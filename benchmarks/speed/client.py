"""One connection that stays open and asks one thing after the other, in as little time as Python can.

What a client needs to write and read counts as the service's time, and http.client takes 0.15 ms a request
for itself. Every answer is to say its length in its head, as the service's do. Does not know what is asked.
"""

import json
import socket
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_IDLE = 2.0  # seconds; after 5 the service closes a connection
_AT_ONCE = 2**20
_NO_CONTENT = 204
_LENGTH, _END = b"\r\ncontent-length: ", b"\r\n\r\n"


class Client:
    """A keep-alive connection to a service, made anew after a pause; a context manager that closes it."""

    def __init__(self, url: str, seconds: float = 300) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._seconds = parts.hostname or "", parts.port or 80, seconds
        self._socket: socket.socket | None = None
        self._used = 0.0

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of a successful answer; raises `RuntimeError` for any other."""
        if body is None:
            return self.send(method, path)
        return self.send(method, path, json.dumps(body).encode(), "application/json")

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Any:  # noqa: ANN401 - JSON
        """Send a body as it is; see `ask`."""
        text = self.read(method, path, body, content_type)
        return json.loads(text) if text else None

    def read(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> bytes:
        """Return a successful answer as it came; see `ask`."""
        try:
            status, text = self._exchange(method, path, body, content_type)
        except BaseException:
            self.close()  # else the next would read what is left of this answer
            raise
        self._used = time.monotonic()
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's
            raise RuntimeError(f"{method} {path}: {status} {text[:500]!r}")
        return text

    def _exchange(self, method: str, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        if body:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        connection = self._connected()
        connection.sendall(head.encode() + b"\r\n" + body)
        came = bytearray()
        while (end := came.find(_END)) < 0:
            came += _received(connection)
        _, says, length = came[:end].lower().partition(_LENGTH)
        status, end = int(came[9:12]), end + len(_END)
        if not says and status != _NO_CONTENT:
            raise RuntimeError("the answer does not say its length")
        complete = end + int(length.partition(b"\r\n")[0] or 0)
        while len(came) < complete:
            came += _received(connection)
        return status, bytes(came[end:])

    def _connected(self) -> socket.socket:
        if self._socket is not None and time.monotonic() - self._used > _IDLE:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection((self._host, self._port), self._seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(_AT_ONCE)
    if not part:
        raise RuntimeError("the connection was closed before the answer was whole")
    return part
