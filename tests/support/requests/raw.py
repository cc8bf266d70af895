"""Requests as bytes over sockets: what no HTTP client would send, and answers as they come."""

import json
import socket
import time
from contextlib import suppress
from typing import Any, NamedTuple

import httpx2


class Answer(NamedTuple):
    """What came back: nothing at all is status 0."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def problem(self) -> dict[str, Any]:
        """Return the problem that the answer holds."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return problem


def connect(url: str, timeout: float = 30) -> socket.socket:
    """Return a connection to the service at a URL."""
    u_r_l = httpx2.URL(url)
    return socket.create_connection((u_r_l.host, u_r_l.port), timeout)


def read_answer(connection: socket.socket, since: float | None = None, method: str = "GET") -> Answer:
    """Read one answer, or what comes of it until the connection ends."""
    began = time.perf_counter() if since is None else since
    came = b""
    while not _whole(came, method):
        try:
            part = connection.recv(2**16)
        except ConnectionError:
            break
        if not part:
            break
        came += part
    return _parsed(came, time.perf_counter() - began)


def ask(url: str, request: bytes, timeout: float = 30) -> Answer:
    """Send one request on a connection of its own and read the answer."""
    began = time.perf_counter()
    with connect(url, timeout) as connection:
        with suppress(ConnectionError):  # refused before it was all sent: the answer may be here
            connection.sendall(request)
        return read_answer(connection, began, request.partition(b" ")[0].decode("latin-1"))


def _whole(came: bytes, method: str) -> bool:
    _, end, body = came.partition(b"\r\n\r\n")
    if not end:
        return False
    answer = _parsed(came, 0)
    if answer.status == 100:
        return _whole(body, method)
    if method == "HEAD" or answer.status in {204, 304}:
        return True
    if answer.headers.get("transfer-encoding") == "chunked":
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(answer.headers.get("content-length", 2**62))


def _parsed(came: bytes, seconds: float) -> Answer:
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if first.startswith("HTTP/1.1 100 "):
        return _parsed(body, seconds) if body else Answer(100, {}, b"", seconds)
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]) if first else 0, headers, body, seconds)
