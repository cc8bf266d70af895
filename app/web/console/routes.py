"""/ and /console/…: the console, a page that uses the API as any other client does.

Serves the files of `app/web/console/static/` unchanged.
"""

from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Response

from app.errors import NotFound
from app.web.negotiation import IfNoneMatch, etag, headers_of, unchanged

router = APIRouter(include_in_schema=False)

_MEDIA = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PAGE = "index.html"
_HEADERS = {
    # Scripts from this service only, none inline: text that a user typed is never run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@router.api_route("/", methods=["GET", "HEAD"])
def read_page(if_none_match: IfNoneMatch = None) -> Response:
    """Show the console."""
    return _answer(_PAGE, if_none_match)


@router.api_route("/console/{file}", methods=["GET", "HEAD"])
def read_page_file(file: str, if_none_match: IfNoneMatch = None) -> Response:
    """Show a file of the console."""
    return _answer(file, if_none_match)


def _answer(name: str, if_none_match: str | None) -> Response:
    """Answer with a file of the folder; the name is compared with the files' names, never used as a path."""
    folder = files("app.web.console") / "static"
    page_file = next((file for file in folder.iterdir() if file.name == name), None)
    media_type = _MEDIA.get(PurePath(name).suffix)
    if page_file is None or media_type is None:
        raise NotFound(f"the console has no file {name!r}; / is its page, /docs lists the API")
    content = page_file.read_bytes()
    headers = headers_of(etag(content)) | _HEADERS
    return unchanged(headers, if_none_match) or Response(content, headers=headers, media_type=media_type)
