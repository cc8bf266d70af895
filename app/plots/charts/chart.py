"""The chart of any figure, as a Vega-Lite specification with its data. Does not know who asks for it."""

from typing import Any

from app.plots.charts import curves, fits, reliability, scatters, style, tables
from app.plots.charts.style import Plot
from app.plots.figures import Figure, Fit, Heatmap, LossCurve, ReliabilityDiagram, Scatter, ScoreMatrix


def specify(figure: Figure, *, validate: bool = True) -> dict[str, Any]:
    """Return the specification; ``validate`` checks it by the schema of Vega-Lite, which takes a while."""
    plot = draw(figure)
    chart = plot.chart.properties(config=style.config())
    specification: dict[str, Any] = chart.to_dict(validate=validate)
    return specification | {"datasets": {name: list(rows) for name, rows in plot.data.items()}}


def draw(figure: Figure) -> Plot:
    """Return the chart of a figure and its data."""
    match figure:
        case LossCurve():
            return curves.draw(figure)
        case Heatmap():
            return tables.draw_heatmap(figure)
        case ScoreMatrix():
            return tables.draw_scores(figure)
        case Scatter():
            return scatters.draw(figure)
        case ReliabilityDiagram():
            return reliability.draw(figure)
        case Fit():
            return fits.draw(figure)
