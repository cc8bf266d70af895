"""Users and movies over two dimensions, with their names. Does not know how users and movies were chosen."""

import altair as alt

from app.plots.charts import style
from app.plots.charts.labels import ALIGNS, Align, place
from app.plots.charts.style import BLUE, DARK, GREY, ORANGE, Plot
from app.plots.figures import Entity, Scatter

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
    # The place of a name is a place on the axes, so that no offset is needed; its alignment is its layer's.
    names = [
        alt.Chart(alt.NamedData(_names(align)))
        .mark_text(align=align, fontSize=11, color=DARK, limit=200)
        .encode(_x("x:Q", figure, xs), _y("y:Q", figure, ys), alt.Text("name:N"))
        for align in ALIGNS
    ]
    chart = alt.layer(*_zeros(figure, xs, ys), marks, *names).properties(
        width=_WIDTH, height=_HEIGHT, title=style.title(figure.title, figure.subtitle)
    )
    point_rows = [_point(entity) for entity in figure.entities]
    return Plot(chart, {"points": point_rows, "zero": [{"zero": 0}], **_placed(figure, xs, ys)})


def short(name: str) -> str:
    """Return a name that is not too long to stand beside a mark."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _range(values: list[float]) -> Ends:
    lowest, highest = min(values, default=-1.0), max(values, default=1.0)
    margin = (highest - lowest) * _MARGIN or 1.0
    return lowest - margin, highest + margin


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


def _names(align: Align) -> str:
    """Return what the data are called of the names that are aligned so."""
    return f"names {align}"


def _point(entity: Entity) -> style.Row:
    x, y = entity.values
    return {"kind": entity.kind, "name": short(entity.name), "x": x, "y": y}


def _placed(figure: Scatter, xs: Ends, ys: Ends) -> dict[str, list[style.Row]]:
    """Return the names with their places on the axes, by how they are aligned."""
    across, up = _WIDTH / (xs[1] - xs[0]), _HEIGHT / (ys[1] - ys[0])  # pixels a unit
    names = [short(entity.name) for entity in figure.entities]
    marks = [
        ((entity.values[0] - xs[0]) * across, (ys[1] - entity.values[1]) * up) for entity in figure.entities
    ]
    rows: dict[str, list[style.Row]] = {_names(align): [] for align in ALIGNS}
    for name, label in zip(names, place(marks, names, (_WIDTH, _HEIGHT)), strict=True):
        x, y = label.at
        row: style.Row = {"name": name, "x": xs[0] + x / across, "y": ys[1] - y / up}
        rows[_names(label.align)].append(row)
    return rows
