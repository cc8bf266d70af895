"""Content negotiation by Accept, and conditional requests by ETag (RFC 9110, sections 12.5.1 and 13.1.2).

A tag is a digest of all inputs of an answer, so two answers with one tag are the same bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Header, Response

from app.errors import NotAcceptable


def choose(accept: str | None, types: Sequence[str]) -> str:
    """Return the offered media type that the header prefers, the first offered among equals.

    What is no media range is ignored. Raises `NotAcceptable`. Source: RFC 9110, section 12.5.1; the
    most specific range that matches counts.
    """
    ranges = [_parse(part) for part in (accept or "").split(",") if "/" in part] or [("*/*", 1.0)]
    best = max(types, key=lambda media: _quality(media, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptable(f"this comes as {', '.join(types)}; ask for one of these with Accept")
    return best


def _parse(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return media, float(quality)
    except ValueError:
        return media, 0.0


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    kind = media.partition("/")[0]
    for pattern in (media, f"{kind}/*", "*/*"):
        qualities = [quality for name, quality in ranges if name == pattern]
        if qualities:
            return max(qualities)
    return 0.0


_STATUS = 304
_VERSION = version("likely").encode()  # looked up once: it takes half a millisecond

IfNoneMatch = Annotated[
    str | None, Header(description="ETags of answers that the client has; 304 if one is the present one")
]

UNCHANGED: dict[int | str, dict[str, Any]] = {
    _STATUS: {"description": "what the client has, by `If-None-Match`, is still so"}
}


def etag(*decisive: object) -> str:
    """Return the tag of an answer that depends on these: bytes, text, numbers, or other JSON values.

    The version of the service is one more, since another may render the same values differently.
    """
    digest = hashlib.sha256(_VERSION)
    for value in decisive:
        part = value if isinstance(value, bytes) else json.dumps(value).encode()
        digest.update(len(part).to_bytes(8, "big") + part)
    return f'"{digest.hexdigest()[:32]}"'


def headers_of(tag: str) -> dict[str, str]:
    """Return the headers of an answer with this tag: cached, and revalidated before each use."""
    return {"ETag": tag, "Cache-Control": "no-cache"}


def unchanged(headers: Mapping[str, str], if_none_match: str | None) -> Response | None:
    """Return a 304 if the client has the answer with these headers; None if it has not."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if "ETag" in headers and (headers["ETag"] in tags or tags == ["*"]):
        return Response(status_code=_STATUS, headers=headers)
    return None
