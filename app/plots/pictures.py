"""Figures as answers: a picture, a specification or text, by Accept or by suffix. Knows no figure.

Figures that are equal are drawn the same, byte by byte, so a figure and its form decide the ETag.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Response

from app.plots.drawing import DrawingPool, DrawTask, Form
from app.plots.figures import Figure
from app.plots.text import as_text
from app.web.negotiation import UNCHANGED, IfNoneMatch, choose, etag, headers_of, unchanged
from app.web.parameters import from_app

TEXT, SVG, PNG, JSON = "text/plain", "image/svg+xml", "image/png", "application/json"
VEGA_LITE = "application/vnd.vegalite.v6+json"  # what notebooks call it

Drawing = Annotated[DrawingPool, from_app("drawing")]

Accept = Annotated[str | None, Header()]
Suffix = Annotated[
    Literal["svg", "png", "json", "vl.json", "txt"],
    Path(description="a picture, its Vega-Lite specification (both `json` and `vl.json`), or text"),
]

_BY_SUFFIX = MappingProxyType({"svg": SVG, "png": PNG, "json": JSON, "vl.json": VEGA_LITE, "txt": TEXT})
_FORMS: Mapping[str, Form] = MappingProxyType(
    {SVG: "svg", PNG: "png", JSON: "vega-lite", VEGA_LITE: "vega-lite"}
)
_OFFERED = [TEXT, SVG, PNG, JSON, VEGA_LITE]  # text first: it is what curl shows

# Another release of these may draw the same figure differently.
_DRAWN_BY = [version("altair"), version("vl-convert-python")]

CONTENT: dict[str, Any] = {
    TEXT: {"schema": {"type": "string"}},
    SVG: {"schema": {"type": "string"}},
    PNG: {"schema": {"type": "string", "format": "binary"}},
    JSON: {"schema": {"type": "object"}},
    VEGA_LITE: {"schema": {"type": "object"}},
}
COMPUTED: dict[int | str, dict[str, Any]] = {200: {"content": CONTENT}}
RESPONSES = COMPUTED | UNCHANGED


@dataclass(frozen=True)
class Conditions:
    """Which forms a client accepts, and the ETag of the one that it has."""

    accept: str | None
    if_none_match: str | None


def read_headers(accept: Accept = None, if_none_match: IfNoneMatch = None) -> Conditions:
    """Return the conditions in a request's headers."""
    return Conditions(accept, if_none_match)


RequestConditions = Annotated[Conditions, Depends(read_headers)]


async def answer_by_accept(drawing: DrawingPool, figure: Figure, conditions: Conditions) -> Response:
    """Return a figure in the form that the Accept header prefers; raises `NotAcceptable`."""
    response = await answer(drawing, figure, choose(conditions.accept, _OFFERED), conditions)
    response.headers["Vary"] = "Accept"
    return response


async def answer_by_suffix(
    drawing: DrawingPool, figure: Figure, suffix: str, conditions: Conditions
) -> Response:
    """Return a figure in the form of a path's suffix."""
    return await answer(drawing, figure, _BY_SUFFIX[suffix], conditions)


async def answer(drawing: DrawingPool, figure: Figure, media_type: str, conditions: Conditions) -> Response:
    """Return a figure in a form, or a 304 before anything is drawn; raises what `DrawingPool.run` raises."""
    headers = headers_of(etag(figure.model_dump_json(), media_type, _DRAWN_BY))
    response = unchanged(headers, conditions.if_none_match)
    if response is None:
        response = await draw(drawing, figure, media_type)
        response.headers.update(headers)
    return response


async def draw_by_accept(drawing: DrawingPool, figure: Figure, accept: str | None) -> Response:
    """Return a figure that a POST computed in the form that the Accept header prefers: nothing to keep."""
    response = await draw(drawing, figure, choose(accept, _OFFERED))
    response.headers["Vary"] = "Accept"
    return response


async def draw_by_suffix(drawing: DrawingPool, figure: Figure, suffix: str) -> Response:
    """Return a figure that a POST computed in the form of a path's suffix."""
    return await draw(drawing, figure, _BY_SUFFIX[suffix])


async def draw(drawing: DrawingPool, figure: Figure, media_type: str) -> Response:
    """Return a figure in a form; raises what `DrawingPool.run` raises.

    A picture is finished though its client disconnects: to replace the process that draws it would delay
    others longer.
    """
    if media_type == TEXT:
        return Response(as_text(figure), media_type=TEXT)
    picture = await drawing.run(DrawTask(figure=figure, form=_FORMS[media_type]))
    return Response(picture, media_type=media_type)
