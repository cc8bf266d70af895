"""Which of the formats on offer a caller's Accept header prefers. Does not know what the formats hold."""

from collections.abc import Sequence

from app.errors import NotAcceptable


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered media type that the header prefers, the first offered among equals.

    What is no range is as if it were not there. Raises `NotAcceptable`. Source: RFC 9110, section 12.5.1; the
    most specific range that matches counts.
    """
    ranges = [_parse(part) for part in (accept or "").split(",") if "/" in part] or [("*/*", 1.0)]
    best = max(offered, key=lambda media: _quality(media, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptable(f"this comes as {', '.join(offered)}; ask for one of these with Accept")
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
    for wanted in (media, f"{kind}/*", "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
