"""Asks an application in this process what a server would ask it, byte by byte: paths that no client sends.

Does not know what is asked, or of whom.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Asked:
    """A request as it comes over the wire: the path as it was sent, with its query."""

    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes = b""


@dataclass
class Answered:
    """What came back, and whether anybody read the body for it."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    body_was_read: bool = False


async def ask(app: Any, asked: Asked) -> Answered:  # noqa: ANN401 - ASGI has several descriptions
    """Return the answer to one request; raises what the application raises."""
    answers = Answered()

    async def receive() -> dict[str, Any]:
        if answers.body_was_read:
            await asyncio.Event().wait()  # the caller stays on the line
        answers.body_was_read = True
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answers.status, answers.headers = message["status"], dict(message["headers"])
        answers.body += message.get("body", b"")

    await app(_scope(asked), receive, send)
    return answers


def _scope(asked: Asked) -> dict[str, Any]:
    """Return what uvicorn makes of a request."""
    path, _, query = asked.target.partition("?")
    headers = [(name.lower(), value) for name, value in asked.headers]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b"127.0.0.1:8000"))
    if asked.body:
        headers.append((b"content-length", str(len(asked.body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "root_path": "",
        "method": asked.method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "state": {},
    }
