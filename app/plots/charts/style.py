"""Colours and sizes that all charts share: for print, and for people who see colours differently.

Source of the colours: Okabe & Ito, Color universal design, 2008. Does not know what is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

Row = Mapping[str, str | int | float]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B6B6B"
LIGHT, DARK = "#FFFFFF", "#1A1A1A"  # of numbers on dark cells, and on light ones

_LONGEST_LABEL = 220  # pixels; what is longer ends in …
# An SVG is laid out by the fonts here and shown by those of the one who looks, which may be a sixth wider:
# labels grow to the left, titles and legends to the right.
_PADDING = {"left": 40, "right": 64, "top": 12, "bottom": 12}


@dataclass(frozen=True)
class Plot:
    """A chart over named data, and the data: rows of text and numbers by the chart's field names.

    The data stay out of the chart: altair would copy and check every number, which takes longer than to draw
    them.
    """

    chart: alt.TopLevelMixin
    data: Mapping[str, Sequence[Row]]


def title(text: str, subtitle: str) -> alt.TitleParams:
    """Return a chart's title."""
    return alt.TitleParams(text=text, subtitle=subtitle.split("; "), anchor="start", offset=12)


def config() -> alt.Config:
    """Return what holds for all parts of all charts."""
    return alt.Config(
        background="white",
        font="sans-serif",
        padding=_PADDING,
        title=alt.TitleConfig(fontSize=15, subtitleFontSize=12, subtitleColor=GREY, color=DARK, limit=760),
        axis=alt.AxisConfig(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelColor=DARK,
            titleColor=DARK,
            gridColor="#E4E4E4",
            labelLimit=_LONGEST_LABEL,
            titleLimit=600,
        ),
        legend=alt.LegendConfig(labelFontSize=12, titleFontSize=12, labelColor=DARK, titleColor=DARK),
        text=alt.MarkConfig(fontSize=12),
        view=alt.ViewConfig(stroke="#C8C8C8"),
    )
