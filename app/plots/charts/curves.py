"""Loss curves, as charts. Does not know what was trained."""

from collections.abc import Sequence

import altair as alt

from app.plots.charts import style
from app.plots.charts.style import BLUE, GREY, ORANGE, Plot
from app.plots.figures import LossCurve

_COLOURS, _DASHES = [BLUE, ORANGE, GREY], [[1, 0], [6, 3], [2, 2]]
_FEW = 40  # steps that are seen one by one


def draw(figure: LossCurve) -> Plot:
    """Return a line a series, each with a colour and a dash of its own; a legend where there are several."""
    names = list(figure.series)
    several = len(names) > 1
    losses = [loss for series in figure.series.values() for loss in series]
    legend = alt.Legend(title=None, orient="top", symbolStrokeWidth=2) if several else None
    chart = alt.Chart(alt.NamedData("losses")).encode(
        x=alt.X(
            "step:Q",
            title=figure.step,
            scale=_scale(figure.steps, alt.Scale(nice=False)),
            axis=alt.Axis(tickMinStep=1, tickCount=8),
        ),
        y=alt.Y(
            "loss:Q",
            title="loss (log scale)" if figure.is_logarithmic else "loss",
            scale=_scale(losses, alt.Scale(type="log") if figure.is_logarithmic else alt.Scale(zero=False)),
            axis=alt.Axis(tickCount=6),
        ),
        color=alt.Color(
            "series:N", legend=legend, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)])
        ),
    )
    dash = alt.StrokeDash(
        "series:N", legend=legend, scale=alt.Scale(domain=names, range=_DASHES[: len(names)])
    )
    layers = [chart.mark_line(strokeWidth=2, clip=True).encode(strokeDash=dash)]
    if len(figure.steps) <= _FEW:
        layers.append(chart.mark_point(filled=True, size=30))
    layered = alt.layer(*layers).properties(
        width=640, height=320, title=style.title(figure.title, figure.subtitle)
    )
    return Plot(layered, {"losses": _rows(figure)})


def _scale(values: Sequence[float], scale: alt.Scale) -> alt.Scale:
    """Return the scale, or one with room around the values where these are all the same."""
    if len(set(values)) != 1:
        return scale
    room = (abs(values[0]) or 1.0) / 2
    return alt.Scale(domain=[values[0] - room, values[0] + room], nice=False, zero=False)


def _rows(figure: LossCurve) -> list[style.Row]:
    return [
        {"series": name, "step": step, "loss": loss}
        for name, losses in figure.series.items()
        for step, loss in zip(figure.steps, losses, strict=True)
    ]
