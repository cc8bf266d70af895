"""A client that knows when it does not know: an answer, or `Lost`. One connection, one thread."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_SECONDS = 60.0
_IDLE = 2.0  # after 5 the service closes a connection, and a request on its way would be lost


class Lost(Exception):  # noqa: N818 - what happened to the answer
    """The connection broke: what was asked may have been done or not."""


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the body's content."""
        return json.loads(self.body)

    @property
    def done(self) -> bool:
        """Whether it was a 2xx."""
        return 200 <= self.status < 300


class Client:
    """Asks the service at a port of this machine; connects as needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request, its body as JSON unless it is bytes, and return the answer; raises `Lost`."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if body is None or isinstance(body, bytes) else {"Content-Type": "application/json"}
        if time.monotonic() - self._used > _IDLE:
            self.close()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
            self._connection.request(method, path, content, {**kind, **(headers or {})})
            answers = self._connection.getresponse()
            self._used = time.monotonic()
            received = {name.lower(): value for name, value in answers.getheaders()}
            return Reply(answers.status, received, answers.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
