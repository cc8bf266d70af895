"""One connection that stays open and asks one thing after the other, in as little time as Python can.

Does not know what is asked. What a client needs to read and write counts as the service's time.
"""

import http.client
import json
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_IDLE = 2.0  # seconds; after 5 the service closes a connection


class Client:
    """A keep-alive connection to a service, made anew after a pause; a context manager that closes it."""

    def __init__(self, url: str, seconds: float = 300) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        self._connection = http.client.HTTPConnection(host, port, timeout=seconds, blocksize=2**20)
        self._used = time.monotonic()

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of a successful answer; raises `RuntimeError` for any other."""
        if body is None:
            return self.send(method, path)
        return self.send(method, path, json.dumps(body).encode(), "application/json")

    def send(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", content_type: str = ""
    ) -> Any:  # noqa: ANN401 - JSON
        """Send a body as it is; see `ask`."""
        text = self.read(method, path, body, content_type)
        return json.loads(text) if text else None

    def read(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", content_type: str = ""
    ) -> bytes:
        """Return a successful answer as it came; see `ask`."""
        headers = {"Content-Type": content_type} if content_type else {}
        if time.monotonic() - self._used > _IDLE:
            self._connection.close()  # it connects anew by itself
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        self._used = time.monotonic()
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._connection.close()
