"""Numbers in cells that are coloured by them: the heatmap of embeddings and the score matrix.

Does not know which users and movies were chosen.
"""

import altair as alt

from app.plots.charts import style
from app.plots.charts.style import DARK, LIGHT, Plot
from app.plots.figures import Entity, Heatmap, ScoreMatrix

_CELL = (64, 30)  # width and height in pixels
# Beyond these shares of the scale a cell is too dark for black numbers; the blue darkens sooner.
_DARKEST_BLUE, _DARKEST_ORANGE = -0.79, 0.87
_BLACK = "#000000"  # anything lighter is too faint where blue and orange are half dark
_LIKE = 0.5
_ANSWERS = ("likes", "dislikes")


def draw_heatmap(figure: Heatmap) -> Plot:
    """Return a row a user, then a row a movie, and a column a dimension; white is 0."""
    largest = max((abs(value) for entity in figure.entities for value in entity.values), default=0.0) or 1.0
    cells: list[style.Row] = [
        {"row": row_name(entity), "column": name, "value": value, "ink": _ink(value / largest)}
        for entity in figure.entities
        for name, value in zip(figure.dimensions, entity.values, strict=True)
    ]
    rows = [row_name(entity) for entity in figure.entities]
    scale = alt.Scale(scheme="blueorange", domain=[-largest, largest])
    color = alt.Color("value:Q", scale=scale, legend=alt.Legend(title="value", format=".2~f"))
    layers = _cells(rows, figure.dimensions, None, "dimension", color)
    return Plot(_sized(layers, figure, rows, figure.dimensions), {"cells": cells})


def draw_scores(figure: ScoreMatrix) -> Plot:
    """Return a row a user and a column a movie; triangles stand in the cells that the user answered."""
    cells: list[style.Row] = [
        {"row": user, "column": movie, "value": score, "ink": _ink(2 * score - 1)}
        for user, scores in zip(figure.users, figure.scores, strict=True)
        for movie, score in zip(figure.movies, scores, strict=True)
    ]
    answers: list[style.Row] = [
        {"row": user, "column": movie, "answer": _ANSWERS[response < _LIKE], "ink": _ink(2 * score - 1)}
        for user, scores, responses in zip(figure.users, figure.scores, figure.responses, strict=True)
        for movie, score, response in zip(figure.movies, scores, responses, strict=True)
        if response is not None
    ]
    color = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="blueorange", domain=[0, 1]),
        legend=alt.Legend(title="like-score", format=".1f"),
    )
    layers = [*_cells(figure.users, figure.movies, "user", "movie", color), _answered(figure)]
    return Plot(_sized(layers, figure, figure.users, figure.movies), {"cells": cells, "answers": answers})


def row_name(entity: Entity) -> str:
    """Return what an entity is called where users and movies stand below each other."""
    return f"{entity.kind} {entity.name}"


def _cells(
    rows: list[str], columns: list[str], row_title: str | None, column_title: str, color: alt.Color
) -> list[alt.Chart]:
    base = alt.Chart(alt.NamedData("cells")).encode(*_places(rows, columns, row_title, column_title))
    text = base.mark_text().encode(
        text=alt.Text("value:Q", format=".2f"), color=alt.Color("ink:N", scale=None)
    )
    return [base.mark_rect(stroke="white").encode(color), text]


def _answered(figure: ScoreMatrix) -> alt.Chart:
    shape = alt.Shape(
        "answer:N",
        scale=alt.Scale(domain=list(_ANSWERS), range=["triangle-up", "triangle-down"]),
        legend=alt.Legend(title="the user's response", symbolFillColor=DARK, symbolStrokeColor=DARK),
    )
    marks = alt.Chart(alt.NamedData("answers")).mark_point(size=28, filled=True, xOffset=24, opacity=1)
    chart: alt.Chart = marks.encode(
        *_places(figure.users, figure.movies, "user", "movie"), shape, alt.Color("ink:N", scale=None)
    )
    return chart


def _places(
    rows: list[str], columns: list[str], row_title: str | None, column_title: str
) -> tuple[alt.X, alt.Y]:
    # The order stands in the scale: as a sort it would become an expression, with the names in it as code.
    axis = alt.Axis(orient="top", labelAngle=-35, labelAlign="left")
    return (
        alt.X("column:N", title=column_title, scale=alt.Scale(domain=columns), sort=None, axis=axis),
        alt.Y("row:N", title=row_title, scale=alt.Scale(domain=rows), sort=None),
    )


def _sized(
    layers: list[alt.Chart], figure: Heatmap | ScoreMatrix, rows: list[str], columns: list[str]
) -> alt.LayerChart:
    width, height = _CELL
    # Of a cell's and its number's colours each has a scale of its own.
    chart = alt.LayerChart(layer=layers, resolve=alt.Resolve(scale={"color": "independent"}))
    return chart.properties(
        width=width * max(len(columns), 1),
        height=height * max(len(rows), 1),
        title=style.title(figure.title, figure.subtitle),
    )


def _ink(share: float) -> str:
    """Return the colour of a number in a cell that lies at this share, −1 to 1, of the scale."""
    return _BLACK if _DARKEST_BLUE <= share <= _DARKEST_ORANGE else LIGHT
