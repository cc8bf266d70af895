"""Where the names of a scatter's marks stand: beside the mark, and where there is room not on another.

Each name in turn takes the place of eight around its mark that covers least of what is there already. Does
not know what is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from rich.cells import cell_len

Align = Literal["left", "center", "right"]
ALIGNS: tuple[Align, ...] = get_args(Align)

_LETTER, _LINE = 6.2, 13.0  # pixels of a letter and of a line at font size 11; fonts differ
_MARK = 6.0  # half the width of a mark
_OUTSIDE = 4.0  # how much worse it is to leave the picture than to cover something
_ALIGN = MappingProxyType[int, Align]({1: "left", 0: "center", -1: "right"})  # by the side of the mark


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, by its middle and its size."""

    middle: tuple[float, float]
    size: tuple[float, float]

    def overlap(self, box: "Box") -> float:
        """Return the area that both cover."""
        sides = (
            min(size, other_size, (size + other_size) / 2 - abs(at - there))
            for size, other_size, at, there in zip(self.size, box.size, self.middle, box.middle, strict=True)
        )
        across, up = (max(0.0, side) for side in sides)
        return across * up


@dataclass(frozen=True)
class Name:
    """Where a name stands: the room it takes, and the end of it that stays beside the mark.

    How wide a name is drawn depends on the font; its end beside the mark does not.
    """

    box: Box
    align: Align

    @property
    def at(self) -> tuple[float, float]:
        """The place of the end that ``align`` names, at half the height."""
        (x, y), half = self.box.middle, self.box.size[0] / 2
        return {"left": x - half, "center": x, "right": x + half}[self.align], y


def place(
    marks: Sequence[tuple[float, float]], names: Sequence[str], picture: tuple[float, float]
) -> list[Name]:
    """Return a place for each name, in pixels of the ``picture``, whose marks lie at these pixels."""
    occupied = [Box(mark, (2 * _MARK, 2 * _MARK)) for mark in marks]
    inside = Box((picture[0] / 2, picture[1] / 2), picture)
    names_placed = []
    for mark, name in zip(marks, names, strict=True):
        best = min(
            _around(mark, _LETTER * cell_len(name)),
            key=lambda candidate: _cost(candidate.box, occupied, inside),
        )
        occupied.append(best.box)
        names_placed.append(best)
    return names_placed


def _around(mark: tuple[float, float], width: float) -> list[Name]:
    """Return the eight places around a mark, the usual ones first."""
    x, y = mark
    sideways, above = _MARK + 3 + width / 2, _MARK + _LINE / 2
    steps = [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)]
    return [
        Name(Box((x + across * sideways, y + down * above), (width, _LINE)), _ALIGN[across])
        for across, down in steps
    ]


def _cost(box: Box, occupied: Sequence[Box], inside: Box) -> float:
    outside = box.size[0] * box.size[1] - box.overlap(inside)
    return _OUTSIDE * outside + sum(map(box.overlap, occupied))
