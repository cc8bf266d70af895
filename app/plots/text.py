"""Figures whose numbers stand in tables, as text: aligned, names first. Does not know who reads it."""

from collections.abc import Sequence
from itertools import pairwise
from math import log10

from rich.cells import cell_len, set_cell_size

from app.plots.figures import (
    Entity,
    Figure,
    Fit,
    Heatmap,
    LossCurve,
    ReliabilityDiagram,
    Scatter,
    ScoreMatrix,
)

# Unicode, block 2800: the bit of each dot of a character, a row at a time from above.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY = 0x2800
_ACROSS, _DOWN = 2, 4


class Canvas:
    """A rectangle of ``columns`` × ``rows`` characters; (0, 0) is the dot at its lower left, (1, 1) the last.

    What lies outside of it is not drawn.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._cells = [[0] * columns for _ in range(rows)]
        self._right, self._top = _ACROSS * columns - 1, _DOWN * rows - 1

    def add_line(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw a line through points whose x grows; a column of dots holds all that the line passes there."""
        dots = [(round(x * self._right), round(y * self._top)) for x, y in points]
        for x, y in dots[:1]:
            self._add(x, y)
        for (x, y), (next_x, next_y) in pairwise(dots):
            steps = max(abs(next_x - x), abs(next_y - y), 1)
            for step in range(1, steps + 1):
                self._add(x + round((next_x - x) * step / steps), y + round((next_y - y) * step / steps))

    def lines(self) -> list[str]:
        """Return the rows of characters from above, without what is empty at their ends."""
        return ["".join(chr(_EMPTY + cell) for cell in row).rstrip(chr(_EMPTY)) for row in self._cells]

    def _add(self, x: int, y: int) -> None:
        if 0 <= x <= self._right and 0 <= y <= self._top:
            below_top = self._top - y
            self._cells[below_top // _DOWN][x // _ACROSS] |= _BITS[below_top % _DOWN][x % _ACROSS]


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
    key = "+ the user likes it, - does not"
    return [*table(["", *(f"{movie} " for movie in figure.movies)], rows), "", key]


def reliability_text(figure: ReliabilityDiagram) -> list[str]:
    """Return a line a bin of scores: what they were in the mean, what came of them, and that as a bar."""
    rows = []
    for bin_ in figure.bins:
        means = (bin_.mean_score, bin_.mean_response)
        mean_texts = ["" if mean is None else f"{mean:.3f}" for mean in means]
        rows.append(
            [
                f"{bin_.lower:.2f} to {bin_.upper:.2f}",
                f"{bin_.responses:,}",
                *mean_texts,
                _bar(bin_.mean_score, bin_.mean_response),
            ]
        )
    lines = table(["scores", "responses", "mean score", "mean response", ""], rows)
    return [
        *lines,
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
    first, *numbers = row
    cells = [first + blanks[0], *(blank + cell for blank, cell in zip(blanks[1:], numbers, strict=True))]
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


_WIDTH, _HEIGHT = 62, 14  # characters inside of the axes
_MARGIN = 10  # characters of the labels on the left
_MARKS = {"user": "●", "movie": "▲"}


def curve_text(figure: LossCurve) -> list[str]:
    """Return the first series as a curve, and the last value of every series."""
    losses = next(iter(figure.series.values()), [])
    if not losses:
        return [f"no {figure.step} yet"]
    of = log10 if figure.is_logarithmic else float
    lowest, highest = _apart(of(min(losses)), of(max(losses)))
    span = highest - lowest
    first, last = figure.steps[0], figure.steps[-1]
    canvas = Canvas(_WIDTH, _HEIGHT)
    canvas.add_line(
        [
            ((step - first) / max(last - first, 1), (of(loss) - lowest) / span)
            for step, loss in zip(figure.steps, losses, strict=True)
        ]
    )
    lines = canvas.lines()
    heights = {row: highest - span * row / (_HEIGHT - 1) for row in (0, _HEIGHT // 2, _HEIGHT - 1)}
    labels = {row: _number(10**value if figure.is_logarithmic else value) for row, value in heights.items()}
    rows = [f"{labels.get(row, ''):>{_MARGIN - 2}} ┤{line}" for row, line in enumerate(lines)]
    return [*rows, *_below(str(first), f"{figure.step} {last}"), _last_values(figure)]


def _apart(lowest: float, highest: float) -> tuple[float, float]:
    """Return the ends of an axis: those of the values, with room around them where these are all the same."""
    room = (abs(highest) or 1.0) / 2 if lowest == highest else 0.0
    return lowest - room, highest + room


def scatter_text(figure: Scatter) -> list[str]:
    """Return a circle a user and a triangle a movie with their names, and below it where each lies."""
    xs, ys = ([entity.values[axis] for entity in figure.entities] for axis in (0, 1))
    x_low, x_high, low, high = (*_ends(xs), *_ends(ys))
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    places = [
        (
            round((entity.values[0] - x_low) / (x_high - x_low) * (_WIDTH - 1)),
            round((high - entity.values[1]) / (high - low) * (_HEIGHT - 1)),
        )
        for entity in figure.entities
    ]
    for entity, (column, row) in zip(figure.entities, places, strict=True):
        grid[row][column] = _MARKS[entity.kind]
    for entity, (column, row) in zip(figure.entities, places, strict=True):
        _write_name(grid[row], column, entity.name)
    labels = {0: _number(high), _HEIGHT - 1: _number(low)}
    rows = [
        f"{labels.get(row, ''):>{_MARGIN - 2}} ┤{''.join(line).rstrip()}" for row, line in enumerate(grid)
    ]
    return [
        f"{figure.y} ↑   ● user   ▲ movie",
        *rows,
        *_below(_number(x_low), f"{figure.x} → {_number(x_high)}"),
        "",
        *table(["", figure.x, figure.y], [_row(entity) for entity in figure.entities]),
    ]


def _write_name(line: list[str], column: int, name: str) -> None:
    """Write a name to the right of its mark or, where no room is, to the left; or leave it to the table."""
    name = fitted(name, 14)
    if not name.isascii():  # a character may be two columns wide, or none
        return
    for start, end in ((column + 1, column + 3 + len(name)), (column - 2 - len(name), column)):
        if start >= -1 and end <= len(line) + 1 and not "".join(line[max(start, 0) : end]).strip():
            line[start + 1 : start + 1 + len(name)] = name
            return


def _row(entity: Entity) -> list[str]:
    return [f"{_MARKS[entity.kind]} {entity.name}", *(f"{value:.2f}" for value in entity.values)]


def _ends(values: list[float]) -> tuple[float, float]:
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    return (lowest, highest) if highest > lowest else (lowest - 1.0, highest + 1.0)


def _below(start: str, end: str) -> list[str]:
    """Return the axis below a plot, and what stands at its ends."""
    indent = " " * (_MARGIN - 1)
    return [f"{indent}└{'─' * _WIDTH}", f"{indent} {start}{end:>{max(_WIDTH - len(start), 1)}}"]


def _last_values(figure: LossCurve) -> str:
    parts = [f"{name} {values[-1]:.4g}" for name, values in figure.series.items()]
    scale = "log scale; " if figure.is_logarithmic else ""
    return f"{scale}at {figure.step} {figure.steps[-1]}: {', '.join(parts)}"


def _number(value: float) -> str:
    return f"{value:.3g}"


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
