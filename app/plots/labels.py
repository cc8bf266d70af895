"""Where the names of a scatter's marks stand: beside the mark, and where there is room not on another.

Each name in turn takes the place of eight around its mark that covers least of what is there already. Does
not know what is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_LETTER, _LINE = 6.2, 13.0  # pixels of a letter and of a line at font size 11
_MARK = 6.0  # half the width of a mark
_OUTSIDE = 4.0  # how much worse it is to leave the picture than to cover something


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, by its middle and its size."""

    middle: tuple[float, float]
    size: tuple[float, float]

    def overlap(self, other: "Box") -> float:
        """Return the area that both cover."""
        sides = (
            min(own, others, (own + others) / 2 - abs(at - there))
            for own, others, at, there in zip(self.size, other.size, self.middle, other.middle, strict=True)
        )
        across, up = (max(0.0, side) for side in sides)
        return across * up


def place(
    marks: Sequence[tuple[float, float]], names: Sequence[str], picture: tuple[float, float]
) -> list[Box]:
    """Return a box for each name, in pixels of the ``picture``, whose marks lie at these pixels."""
    taken = [Box(mark, (2 * _MARK, 2 * _MARK)) for mark in marks]
    inside = Box((picture[0] / 2, picture[1] / 2), picture)
    placed = []
    for mark, name in zip(marks, names, strict=True):
        best = min(_around(mark, _LETTER * len(name)), key=lambda box: _cost(box, taken, inside))
        taken.append(best)
        placed.append(best)
    return placed


def _around(mark: tuple[float, float], width: float) -> list[Box]:
    """Return the eight places around a mark, the usual ones first."""
    x, y = mark
    beside, above = _MARK + 3 + width / 2, _MARK + _LINE / 2
    steps = [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)]
    return [Box((x + across * beside, y + down * above), (width, _LINE)) for across, down in steps]


def _cost(box: Box, taken: Sequence[Box], inside: Box) -> float:
    outside = box.size[0] * box.size[1] - box.overlap(inside)
    return _OUTSIDE * outside + sum(map(box.overlap, taken))
