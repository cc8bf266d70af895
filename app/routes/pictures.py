"""Figures as answers: a picture, a specification or text, by Accept or by suffix. Knows no figure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi import Header, Path, Response

from app.drawing.tasks import DrawTask, Form
from app.plots.figures import Figure
from app.plots.terminal import as_text
from app.resources import Resources
from app.routes import media

TEXT, SVG, PNG, JSON = "text/plain", "image/svg+xml", "image/png", "application/json"

Accept = Annotated[str | None, Header()]
Suffix = Annotated[
    Literal["svg", "png", "json", "txt"], Path(description="a picture, its Vega-Lite specification, or text")
]

_BY_SUFFIX = MappingProxyType({"svg": SVG, "png": PNG, "json": JSON, "vl.json": JSON, "txt": TEXT})
_FORMS: Mapping[str, Form] = MappingProxyType({SVG: "svg", PNG: "png", JSON: "vega-lite"})
_OFFERED = [TEXT, SVG, PNG, JSON]  # text first: it is what curl shows

CONTENT: dict[str, Any] = {
    TEXT: {"schema": {"type": "string"}},
    SVG: {"schema": {"type": "string"}},
    PNG: {"schema": {"type": "string", "format": "binary"}},
    JSON: {"schema": {"type": "object"}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": CONTENT}}


async def answer_by_accept(app: Resources, figure: Figure, accept: str | None) -> Response:
    """Return a figure in the form that the Accept header prefers; raises `NotAcceptable`."""
    answer = await draw(app, figure, media.choose(accept, _OFFERED))
    answer.headers["Vary"] = "Accept"
    return answer


async def answer_by_suffix(app: Resources, figure: Figure, suffix: str) -> Response:
    """Return a figure in the form of a path's suffix."""
    return await draw(app, figure, _BY_SUFFIX[suffix])


async def draw(app: Resources, figure: Figure, media_type: str) -> Response:
    """Return a figure in a form; raises what `DrawingPool.run` raises.

    A picture is finished though its caller hangs up: to kill the process that draws it would take others
    longer.
    """
    if media_type == TEXT:
        return Response(as_text(figure), media_type=TEXT)
    drawn = await app.drawing.run(DrawTask(figure=figure, form=_FORMS[media_type]))
    return Response(drawn, media_type=media_type)
