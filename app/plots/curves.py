"""Loss curves, as charts. Does not know what was trained."""

import altair as alt

from app.plots import style
from app.plots.figures import LossCurve
from app.plots.style import BLUE, GREY, ORANGE, Plot

_COLOURS, _DASHES = [BLUE, ORANGE, GREY], [[1, 0], [6, 3], [2, 2]]
_FEW = 40  # steps that are seen one by one


def draw(figure: LossCurve) -> Plot:
    """Return a line a series, each with a colour and a dash of its own; a legend where there are several."""
    names = list(figure.series)
    several = len(names) > 1
    legend = alt.Legend(title=None, orient="top", symbolStrokeWidth=2) if several else None
    scale = alt.Scale(type="log") if figure.is_logarithmic else alt.Scale(zero=False)
    chart = alt.Chart(alt.NamedData("losses")).encode(
        x=alt.X(
            "step:Q",
            title=figure.step,
            scale=alt.Scale(nice=False),
            axis=alt.Axis(tickMinStep=1, tickCount=8),
        ),
        y=alt.Y(
            "loss:Q",
            title="loss (log scale)" if figure.is_logarithmic else "loss",
            scale=scale,
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
    drawn = alt.layer(*layers).properties(
        width=640, height=320, title=style.title(figure.title, figure.subtitle)
    )
    return Plot(drawn, {"losses": _rows(figure)})


def _rows(figure: LossCurve) -> list[style.Row]:
    return [
        {"series": name, "step": step, "loss": loss}
        for name, losses in figure.series.items()
        for step, loss in zip(figure.steps, losses, strict=True)
    ]
