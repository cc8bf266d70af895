"""Points and lines in braille characters, each of them two dots wide and four high. Knows no axis."""

from collections.abc import Sequence
from itertools import pairwise

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
