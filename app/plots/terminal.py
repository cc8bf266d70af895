"""Any figure as text for a terminal, of at most 72 columns where its tables have few. Knows no colour."""

from app.plots.figures import Figure, Fit, Heatmap, LossCurve, ReliabilityDiagram, Scatter, ScoreMatrix
from app.plots.text import fit_text, heatmap_text, reliability_text, scores_text
from app.plots.text_plots import curve_text, scatter_text


def as_text(figure: Figure) -> str:
    """Return the figure below its title."""
    return "\n".join([figure.title, figure.subtitle, "", *_lines(figure), ""])


def _lines(figure: Figure) -> list[str]:
    match figure:
        case LossCurve():
            return curve_text(figure)
        case Scatter():
            return scatter_text(figure)
        case Heatmap():
            return heatmap_text(figure)
        case ScoreMatrix():
            return scores_text(figure)
        case ReliabilityDiagram():
            return reliability_text(figure)
        case Fit():
            return fit_text(figure)
