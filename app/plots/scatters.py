"""Users and movies over two dimensions, with their names. Does not know how users and movies were chosen."""

import altair as alt

from app.plots import style
from app.plots.figures import Entity, Scatter
from app.plots.labels import place
from app.plots.style import BLUE, DARK, GREY, ORANGE, Plot

_WIDTH, _HEIGHT = 560, 440
_MARGIN = 0.12  # of the range of the values, on each side
_LONGEST_NAME = 24  # characters

Ends = tuple[float, float]


def draw(figure: Scatter) -> Plot:
    """Return a circle a user and a triangle a movie, each with its name beside it, and lines through zero."""
    xs, ys = (_range([entity.values[axis] for entity in figure.entities]) for axis in (0, 1))
    points = alt.Chart(alt.NamedData("points"))
    marks = points.mark_point(filled=True, size=90, opacity=0.9).encode(
        _x("x:Q", figure, xs), _y("y:Q", figure, ys), _color(), _shape()
    )
    # A name stands where its middle lies on the axes, so that no offset is needed.
    names = points.mark_text(fontSize=11, color=DARK, limit=200).encode(
        _x("name_x:Q", figure, xs), _y("name_y:Q", figure, ys), alt.Text("name:N")
    )
    chart = alt.layer(*_zeros(figure, xs, ys), marks, names).properties(
        width=_WIDTH, height=_HEIGHT, title=style.title(figure.title, figure.subtitle)
    )
    return Plot(chart, {"points": _rows(figure, xs, ys), "zero": [{"zero": 0}]})


def short(name: str) -> str:
    """Return a name that is not too long to stand beside a mark."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _range(values: list[float]) -> Ends:
    least, most = min(values, default=-1.0), max(values, default=1.0)
    margin = (most - least) * _MARGIN or 1.0
    return least - margin, most + margin


def _color() -> alt.Color:
    return alt.Color("kind:N", title=None, scale=alt.Scale(domain=["user", "movie"], range=[BLUE, ORANGE]))


def _shape() -> alt.Shape:
    scale = alt.Scale(domain=["user", "movie"], range=["circle", "triangle-up"])
    return alt.Shape("kind:N", title=None, scale=scale)


def _x(field: str, figure: Scatter, ends: Ends) -> alt.X:
    return alt.X(field, title=figure.x, scale=alt.Scale(domain=list(ends), nice=False, zero=False))


def _y(field: str, figure: Scatter, ends: Ends) -> alt.Y:
    return alt.Y(field, title=figure.y, scale=alt.Scale(domain=list(ends), nice=False, zero=False))


def _zeros(figure: Scatter, xs: Ends, ys: Ends) -> list[alt.Chart]:
    rule = alt.Chart(alt.NamedData("zero")).mark_rule(color=GREY, strokeDash=[4, 4])
    across = [rule.encode(_y("zero:Q", figure, ys))] if ys[0] < 0 < ys[1] else []
    up = [rule.encode(_x("zero:Q", figure, xs))] if xs[0] < 0 < xs[1] else []
    return across + up


def _rows(figure: Scatter, xs: Ends, ys: Ends) -> list[style.Row]:
    across, up = _WIDTH / (xs[1] - xs[0]), _HEIGHT / (ys[1] - ys[0])  # pixels a unit
    names = [short(entity.name) for entity in figure.entities]
    marks = [
        ((entity.values[0] - xs[0]) * across, (ys[1] - entity.values[1]) * up) for entity in figure.entities
    ]
    boxes = place(marks, names, (_WIDTH, _HEIGHT))
    return [
        _row(entity, name, xs[0] + box.middle[0] / across, ys[1] - box.middle[1] / up)
        for entity, name, box in zip(figure.entities, names, boxes, strict=True)
    ]


def _row(entity: Entity, name: str, name_x: float, name_y: float) -> style.Row:
    x, y = entity.values
    return {"kind": entity.kind, "name": name, "x": x, "y": y, "name_x": name_x, "name_y": name_y}
