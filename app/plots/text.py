"""Figures whose numbers stand in tables, as text: aligned, names first. Does not know who reads it."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from app.plots.figures import Fit, Heatmap, ReliabilityDiagram, ScoreMatrix

_LONGEST_NAME, _LONGEST_CELL = 24, 21  # columns of the terminal
_BAR = 20
_LIKE = 0.5
_MOST_POINTS = 40  # of a network's fit


def heatmap_text(figure: Heatmap) -> list[str]:
    """Return a line a user, then a line a movie, and a column a dimension."""
    rows = [
        [f"{entity.kind} {entity.name}", *(f"{value:.2f}" for value in entity.values)]
        for entity in figure.entities
    ]
    return table(["", *figure.dimensions], rows)


def scores_text(figure: ScoreMatrix) -> list[str]:
    """Return a line a user and a column a movie; + and - stand behind scores of what the user answered."""
    rows = [
        [
            user,
            *(f"{score:.2f}{_answer(response)}" for score, response in zip(scores, responses, strict=True)),
        ]
        for user, scores, responses in zip(figure.users, figure.scores, figure.responses, strict=True)
    ]
    answered = "+ the user likes it, - does not"
    return [*table(["", *(f"{movie} " for movie in figure.movies)], rows), "", answered]


def reliability_text(figure: ReliabilityDiagram) -> list[str]:
    """Return a line a bin of scores: what they were in the mean, what came of them, and that as a bar."""
    rows = []
    for each in figure.bins:
        means = (each.mean_score, each.mean_response)
        shown = ["" if mean is None else f"{mean:.3f}" for mean in means]
        rows.append(
            [
                f"{each.lower:.2f} to {each.upper:.2f}",
                f"{each.responses:,}",
                *shown,
                _bar(each.mean_score, each.mean_response),
            ]
        )
    drawn = table(["scores", "responses", "mean score", "mean response", ""], rows)
    return [
        *drawn,
        "",
        "█ the mean response, │ the mean score, 0 to 1: well calibrated scores end at the line",
    ]


def fit_text(figure: Fit) -> list[str]:
    """Return a line a point and output: what was wanted, what is predicted, and whether that is close."""
    rows = [
        [
            ", ".join(f"{value:g}" for value in inputs),
            f"{target:.4g}",
            f"{prediction:.4g}",
            f"{prediction - target:+.2g}",
            "yes" if abs(prediction - target) < figure.tolerance else "no",
        ]
        for inputs, targets, predictions in zip(
            figure.inputs, figure.targets, figure.predictions, strict=True
        )
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    more = [f"… and {len(rows) - _MOST_POINTS:,} more"] if len(rows) > _MOST_POINTS else []
    head = ["inputs", "target", "prediction", "error", f"within ±{figure.tolerance:g}"]
    return [*table(head, rows[:_MOST_POINTS]), *more]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines in which the columns are aligned: the first on the left, the others on the right."""
    cut = [
        [fitted(cell, _LONGEST_NAME if place == 0 else _LONGEST_CELL) for place, cell in enumerate(row)]
        for row in (head, *rows)
    ]
    widths = [max(map(cell_len, column)) for column in zip(*cut, strict=True)]
    return [_line(row, widths) for row in cut]


def fitted(text: str, columns: int) -> str:
    """Return a text that takes at most so many columns of a terminal."""
    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1) + "…"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
    first, *others = row
    cells = [first + blanks[0], *(blank + cell for blank, cell in zip(blanks[1:], others, strict=True))]
    return "  ".join(cells).rstrip()


def _answer(response: float | None) -> str:
    if response is None:
        return " "
    return "+" if response >= _LIKE else "-"


def _bar(score: float | None, response: float | None) -> str:
    if score is None or response is None:
        return " " * (_BAR + 1)
    full = round(response * _BAR)
    cells = list("█" * full + " " * (_BAR + 1 - full))
    cells[round(score * _BAR)] = "│"
    return "".join(cells)
