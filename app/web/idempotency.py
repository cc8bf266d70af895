"""The header Idempotency-Key: a POST that is repeated with it is done once, and gets the same answer."""

import hashlib
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from app.database.idempotency import HEADER, Answer, Asked

_LONGEST = 128

Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=_LONGEST,
        pattern="^[!-~]+$",
        description="chosen by the caller, a new one for each request and the same when that is sent again: "
        f"it is done once and answered the same. 1 to {_LONGEST} visible ASCII characters",
    ),
]

REPEATED = {
    "Idempotent-Replayed": {
        "description": "true when the request was done before, and this is its answer again",
        "schema": {"type": "string"},
    }
}


class Digest:
    """The SHA-256 of a request: method, path, query, Content-Type, and the body as it arrives."""

    def __init__(self, request: Request) -> None:
        self._sum = hashlib.sha256()
        scope = request.scope
        self._owner: str = scope["api_key"].key
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        for part in (scope["method"], scope["path"], scope["query_string"], media_type):
            data = part if isinstance(part, bytes) else str(part).encode()
            self._sum.update(len(data).to_bytes(8, "little") + data)

    def add(self, chunk: bytes) -> None:
        """Add the next bytes of the body."""
        self._sum.update(chunk)

    def asked(self, key: str | None) -> Asked | None:
        """Return the request under its Idempotency-Key, if it has one; each API key has its own."""
        if key is None:
            return None
        return Asked(hashlib.sha256(f"{self._owner} {key}".encode()).hexdigest(), self._sum.digest())


async def read_asked(request: Request, key: Key = None) -> Asked | None:
    """Return the request under its Idempotency-Key, or None without one; reads the body."""
    digest = Digest(request)
    if key is not None:
        digest.add(await request.body())
    return digest.asked(key)


Once = Annotated[Asked | None, Depends(read_asked)]


def respond(answer: Answer) -> Response:
    """Return the response of a stored answer, for the first request and for repeats."""
    headers = {} if answer.location is None else {"Location": answer.location}
    if answer.repeated:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, "application/json")
