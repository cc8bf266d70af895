"""The reliability diagram: what came of scores, by bins of the score.

Source: Murphy & Winkler, Reliability of subjective probability forecasts, 1977. Does not know who scored.
"""

import altair as alt

from app.plots.charts import style
from app.plots.charts.style import BLUE, DARK, GREY, Plot
from app.plots.figures import ReliabilityDiagram


def draw(figure: ReliabilityDiagram) -> Plot:
    """Return a circle a bin, with its number of responses, beside the diagonal of perfect calibration."""
    axes = (
        alt.X("score:Q", title="mean score in the bin", scale=alt.Scale(domain=[0, 1])),
        alt.Y("response:Q", title="mean response in the bin", scale=alt.Scale(domain=[0, 1])),
    )
    diagonal = alt.Chart(alt.NamedData("perfect")).mark_line(color=GREY, strokeDash=[6, 4]).encode(*axes)
    bins = alt.Chart(alt.NamedData("bins")).encode(*axes)
    line = bins.mark_line(color=BLUE, strokeWidth=1.5)
    marks = bins.mark_point(color=BLUE, filled=True, opacity=0.85).encode(
        size=alt.Size("responses:Q", scale=alt.Scale(range=[30, 300]), legend=None)
    )
    counts = bins.mark_text(color=DARK, fontSize=11, dy=-17).encode(text=alt.Text("responses:Q", format=",d"))
    chart = alt.layer(diagonal, line, marks, counts).properties(
        width=420, height=420, title=style.title(figure.title, figure.subtitle)
    )
    perfect: list[style.Row] = [{"score": end, "response": end} for end in (0, 1)]
    return Plot(chart, {"bins": _rows(figure), "perfect": perfect})


def _rows(figure: ReliabilityDiagram) -> list[style.Row]:
    return [
        {"score": bin_.mean_score, "response": bin_.mean_response, "responses": bin_.responses}
        for bin_ in figure.bins
        if bin_.mean_score is not None and bin_.mean_response is not None
    ]
