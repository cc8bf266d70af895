"""ETags: an answer that a client has already is not sent again (RFC 9110, section 13.1.2).

A tag is a digest of what decides every byte of the answer, so two answers with one tag are the same answer.
Does not know what the answers hold.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Header, Response

_STATUS = 304
_VERSION = version("likely").encode()  # looked up once: it takes half a millisecond

IfNoneMatch = Annotated[
    str | None, Header(description="ETags of answers that the client has; 304 if one is the present one")
]

UNCHANGED: dict[int | str, dict[str, Any]] = {
    _STATUS: {"description": "what the client has, by `If-None-Match`, is still so"}
}


def etag(*decisive: object) -> str:
    """Return the tag of an answer that these decide: bytes, text, numbers, or what can be written as JSON.

    The version of the service counts as well, as another one may show the same things differently.
    """
    whole = hashlib.sha256(_VERSION)
    for one in decisive:
        part = one if isinstance(one, bytes) else json.dumps(one).encode()
        whole.update(len(part).to_bytes(8, "big") + part)
    return f'"{whole.hexdigest()[:32]}"'


def headers_of(tag: str) -> dict[str, str]:
    """Return the headers of an answer with this tag: it may be kept, and is asked about before it is used."""
    return {"ETag": tag, "Cache-Control": "no-cache"}


def unchanged(headers: Mapping[str, str], if_none_match: str | None) -> Response | None:
    """Return a 304 when the client has the answer of these headers; None when it is to be sent."""
    given = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
    if "ETag" in headers and (headers["ETag"] in given or given == ["*"]):
        return Response(status_code=_STATUS, headers=headers)
    return None
