"""What a network predicts: against its targets, and over its inputs where these are two.

Does not know how the network was trained.
"""

from itertools import pairwise

import altair as alt

from app.plots.charts import style
from app.plots.charts.style import BLUE, DARK, GREY, ORANGE, Plot
from app.plots.figures import Fit, Surface

_SIDE = 340
_MARGIN = 0.05  # of the targets' range, on each side


def draw(figure: Fit) -> Plot:
    """Return predictions over targets, with the tolerance as a band; beside it the surface, if any."""
    against = _against_targets(figure)
    data = {"points": _rows(figure), "band": _band(figure)}
    title = style.title(figure.title, figure.subtitle)
    if figure.surface is None:
        return Plot(against.properties(title=title), data)
    panels = alt.hconcat(against, _over_inputs(), spacing=36).resolve_scale(
        color="independent", shape="independent"
    )
    surface = {"surface": _cells(figure.surface), "inputs": _input_rows(figure)}
    return Plot(panels.properties(title=title), data | surface)


def is_within(figure: Fit, target: float, prediction: float) -> bool:
    """Return whether a prediction is a good one."""
    return abs(prediction - target) < figure.tolerance


def _against_targets(figure: Fit) -> alt.LayerChart:
    x = alt.X("target:Q", title="target", scale=alt.Scale(zero=False))
    band = alt.Chart(alt.NamedData("band")).encode(x=x)
    points = alt.Chart(alt.NamedData("points")).encode(
        x=x, y=alt.Y("prediction:Q", title="prediction", scale=alt.Scale(zero=False))
    )
    names = [f"within ±{figure.tolerance:g}", f"not within ±{figure.tolerance:g}"]
    legend = alt.Legend(title=None, orient="top")
    layers = [
        band.mark_area(color=GREY, opacity=0.2).encode(y=alt.Y("low:Q", title="prediction"), y2="high:Q"),
        band.mark_line(color=GREY, strokeDash=[6, 4]).encode(y=alt.Y("target:Q", title="prediction")),
        points.mark_point(size=70, strokeWidth=2).encode(
            color=alt.Color("fit:N", legend=legend, scale=alt.Scale(domain=names, range=[BLUE, ORANGE])),
            shape=alt.Shape("fit:N", legend=legend, scale=alt.Scale(domain=names, range=["circle", "cross"])),
        ),
    ]
    return alt.LayerChart(layer=layers).properties(width=_SIDE, height=_SIDE)


def _over_inputs() -> alt.LayerChart:
    exact = alt.Scale(nice=False, zero=False)
    cells = alt.Chart(alt.NamedData("surface")).mark_rect()
    surface = cells.encode(
        x=alt.X("left:Q", title="x1", scale=exact),
        x2="right:Q",
        y=alt.Y("lower:Q", title="x2", scale=exact),
        y2="upper:Q",
        color=alt.Color("prediction:Q", title="prediction", scale=alt.Scale(scheme="viridis")),
    )
    points = alt.Chart(alt.NamedData("inputs")).mark_point(
        filled=True, size=50, color="white", stroke=DARK, strokeWidth=1, opacity=1
    )
    layers = [surface, points.encode(x="x1:Q", y="x2:Q")]
    return alt.LayerChart(layer=layers).properties(width=_SIDE, height=_SIDE)


def _rows(figure: Fit) -> list[style.Row]:
    names = {True: f"within ±{figure.tolerance:g}", False: f"not within ±{figure.tolerance:g}"}
    return [
        {"target": target, "prediction": prediction, "fit": names[is_within(figure, target, prediction)]}
        for targets, predictions in zip(figure.targets, figure.predictions, strict=True)
        for target, prediction in zip(targets, predictions, strict=True)
    ]


def _band(figure: Fit) -> list[style.Row]:
    targets = [target for row in figure.targets for target in row]
    margin = (max(targets) - min(targets)) * _MARGIN or figure.tolerance
    ends = (min(targets) - margin, max(targets) + margin)
    return [{"target": end, "low": end - figure.tolerance, "high": end + figure.tolerance} for end in ends]


def _cells(surface: Surface) -> list[style.Row]:
    """Return a rectangle around each point of the grid, with its corners."""
    columns, rows = _edges(surface.xs), _edges(surface.ys)
    return [
        {"left": start, "right": end, "lower": lower, "upper": upper, "prediction": prediction}
        for (lower, upper), predictions in zip(rows, surface.predictions, strict=True)
        for (start, end), prediction in zip(columns, predictions, strict=True)
    ]


def _edges(values: list[float]) -> list[tuple[float, float]]:
    half = (values[1] - values[0]) / 2
    return list(pairwise([values[0] - half, *(value + half for value in values)]))


def _input_rows(figure: Fit) -> list[style.Row]:
    return [{"x1": x1, "x2": x2} for x1, x2 in figure.inputs]
