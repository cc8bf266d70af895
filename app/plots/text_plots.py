"""Loss curves and scatters as text of at most 72 columns. Does not know who reads it."""

from math import log10

from app.plots.braille import Canvas
from app.plots.figures import Entity, LossCurve, Scatter
from app.plots.text import fitted, table

_WIDTH, _HEIGHT = 62, 14  # characters inside of the axes
_MARGIN = 10  # characters of the labels on the left
_MARKS = {"user": "●", "movie": "▲"}


def curve_text(figure: LossCurve) -> list[str]:
    """Return the first series as a curve, and the last value of every series."""
    losses = next(iter(figure.series.values()), [])
    if not losses:
        return [f"no {figure.step} yet"]
    of = log10 if figure.is_logarithmic else float
    least, most = _apart(of(min(losses)), of(max(losses)))
    span = most - least
    first, last = figure.steps[0], figure.steps[-1]
    canvas = Canvas(_WIDTH, _HEIGHT)
    canvas.add_line(
        [
            ((step - first) / max(last - first, 1), (of(loss) - least) / span)
            for step, loss in zip(figure.steps, losses, strict=True)
        ]
    )
    lines = canvas.lines()
    heights = {row: most - span * row / (_HEIGHT - 1) for row in (0, _HEIGHT // 2, _HEIGHT - 1)}
    labels = {row: _number(10**value if figure.is_logarithmic else value) for row, value in heights.items()}
    drawn = [f"{labels.get(row, ''):>{_MARGIN - 2}} ┤{line}" for row, line in enumerate(lines)]
    return [*drawn, *_below(str(first), f"{figure.step} {last}"), _last_values(figure)]


def _apart(least: float, most: float) -> tuple[float, float]:
    """Return the ends of an axis: those of the values, with room around them where these are all the same."""
    room = (abs(most) or 1.0) / 2 if least == most else 0.0
    return least - room, most + room


def scatter_text(figure: Scatter) -> list[str]:
    """Return a circle a user and a triangle a movie with their names, and below it where each lies."""
    xs, ys = ([entity.values[axis] for entity in figure.entities] for axis in (0, 1))
    left, right, low, high = (*_ends(xs), *_ends(ys))
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    places = [
        (
            round((entity.values[0] - left) / (right - left) * (_WIDTH - 1)),
            round((high - entity.values[1]) / (high - low) * (_HEIGHT - 1)),
        )
        for entity in figure.entities
    ]
    for entity, (column, row) in zip(figure.entities, places, strict=True):
        grid[row][column] = _MARKS[entity.kind]
    for entity, (column, row) in zip(figure.entities, places, strict=True):
        _write_name(grid[row], column, entity.name)
    labels = {0: _number(high), _HEIGHT - 1: _number(low)}
    drawn = [
        f"{labels.get(row, ''):>{_MARGIN - 2}} ┤{''.join(line).rstrip()}" for row, line in enumerate(grid)
    ]
    return [
        f"{figure.y} ↑   ● user   ▲ movie",
        *drawn,
        *_below(_number(left), f"{figure.x} → {_number(right)}"),
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
    least, most = min(values, default=0.0), max(values, default=0.0)
    return (least, most) if most > least else (least - 1.0, most + 1.0)


def _below(left: str, right: str) -> list[str]:
    """Return the axis below a plot, and what stands at its ends."""
    indent = " " * (_MARGIN - 1)
    return [f"{indent}└{'─' * _WIDTH}", f"{indent} {left}{right:>{max(_WIDTH - len(left), 1)}}"]


def _last_values(figure: LossCurve) -> str:
    said = [f"{name} {values[-1]:.4g}" for name, values in figure.series.items()]
    scale = "log scale; " if figure.is_logarithmic else ""
    return f"{scale}at {figure.step} {figure.steps[-1]}: {', '.join(said)}"


def _number(value: float) -> str:
    return f"{value:.3g}"
