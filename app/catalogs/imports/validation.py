"""What a row of an import must be: a table of rules, messages for breaking them, and frames checked by them.

The rules are those of the JSON bodies; every format reads them here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from app.catalogs.ids import ID_PATTERN, ID_RULE, TITLE_PATTERN, TITLE_RULE
from app.database import vectors
from app.database.tables import ID_LENGTH, TITLE_LENGTH
from app.errors import Place

MOST_BAD_ROWS = 100

_LONGEST_SHOWN = 60  # characters of a wrong value that a message repeats
_MOST_SHOWN = 3  # wrong fields of one row that a message describes


@dataclass(frozen=True)
class Range:
    """The numbers that a field may hold, both ends included, and the message for any other value."""

    low: float
    high: float
    expected: str


RESPONSE = Range(0, 1, "expected a number from 0 to 1")
TIMESTAMP = Range(0, 1e11, "expected seconds since 1970, from 0 to 1e+11, or nothing")  # to the year 5138
NUMBER = Range(
    -vectors.LARGEST, vectors.LARGEST, f"expected a number from {-vectors.LARGEST:g} to {vectors.LARGEST:g}"
)

EXPECTED: Mapping[str, str] = {
    "user": f"expected {ID_RULE}",
    "movie": f"expected {ID_RULE}",
    "title": f"expected {TITLE_RULE}",
    "response": RESPONSE.expected,
    "timestamp": TIMESTAMP.expected,
    "vector": "expected a list of numbers, or an object with a number for each dimension",
}
"""What each field of a row should be, as messages say it."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file in its order: those that satisfy the rules, and what is wrong with the others.

    ``rows`` has the columns line, user, movie, response, timestamp (null where none was given), or
    line, movie, title, vector (bytes, float32). ``bad`` has a place a row, not more than one above
    MOST_BAD_ROWS.
    """

    rows: pl.DataFrame
    bad: Sequence[Place] = ()


def wrong(field: str, value: object, expected: str) -> str:
    """Return what is wrong with a field, what was given and what would be right."""
    if value is None:
        return f"{field} is empty; {expected}"
    return f"{field} is {shown(value)}; {expected}"


def shown(value: object) -> str:
    """Return the value as a message repeats it: on one line, and short."""
    short = value[: _LONGEST_SHOWN + 1] if isinstance(value, str) else value
    text = repr(short)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def joined(messages: Sequence[str]) -> str:
    """Return all that is wrong with one row as one sentence."""
    more = len(messages) - _MOST_SHOWN
    return "; ".join(messages[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def vector_bytes(matrix: npt.NDArray[np.floating]) -> pl.Series:
    """Return the rows of a (movies, dimensions) matrix as the bytes that the database stores."""
    return pl.Series("vector", [vectors.to_bytes(row) for row in matrix], dtype=pl.Binary)


def untitled(movies: pl.Series, titles: pl.Series) -> pl.Series:
    """Return the titles, the movie's id standing in for an empty one."""
    return titles.zip_with((titles != "").fill_null(value=False), movies).alias("title")


class Checking:
    """Checks the columns of some rows, one by one, and collects the rows that are wrong.

    ``frame`` holds text or numbers, null for nothing; ``lines`` has the line number of each row.
    A method returns the column's values; where a row is wrong they mean nothing, and `batch` drops the row.
    """

    def __init__(self, lines: pl.Series, frame: pl.DataFrame) -> None:
        self._lines = lines
        self._values = frame
        self._wrong: list[tuple[str, pl.Series, str]] = []

    def ids(self, column: str) -> pl.Series:
        """Check a column of ids."""
        values = self._values[column]
        # Ids repeat: the pattern is matched once an id, and once a row only to find the wrong ones.
        right = pl.repeat(value=True, n=len(values), eager=True)
        if not _are_ids(values.unique()).all():
            right = _are_ids(values)
        self._note(column, right, EXPECTED["movie"])
        return values

    def titles(self, column: str) -> pl.Series:
        """Check a column of titles, which may be empty."""
        values = self._values[column]
        right = (values.str.len_chars() <= TITLE_LENGTH) & values.str.contains(TITLE_PATTERN)
        self._note(column, right.fill_null(value=True), EXPECTED["title"])
        return values

    def numbers(self, column: str, bounds: Range) -> pl.Series:
        """Check a column of numbers within bounds; what is no number is wrong, and NaN is none."""
        values = self._values[column].cast(pl.Float64, strict=False)
        right = values.is_between(bounds.low, bounds.high) & values.is_finite()
        self._note(column, right.fill_null(value=False), bounds.expected)
        return values

    def timestamps(self, column: str) -> pl.Series:
        """Check a column of times, which may be empty."""
        column_values = self._values[column]
        values = column_values.cast(pl.Float64, strict=False)
        right = values.is_between(TIMESTAMP.low, TIMESTAMP.high) & values.is_finite()
        empty = column_values.is_null()
        if column_values.dtype == pl.String:
            empty |= column_values == ""
        right = right.fill_null(value=False) | empty.fill_null(value=True)
        self._note(column, right, TIMESTAMP.expected)
        return values

    def vectors(self, columns: Sequence[str]) -> pl.Series:
        """Check a column a dimension; return the vectors as bytes."""
        if not columns:
            return vector_bytes(np.empty((len(self._lines), 0)))
        matrix = self._values.select(pl.col(columns).cast(pl.Float64, strict=False)).to_numpy()
        right = np.abs(matrix) <= NUMBER.high  # False for NaN, which stands for null too
        for index in np.flatnonzero(~right.all(axis=0)).tolist():
            self._note(columns[index], pl.Series(right[:, index]), NUMBER.expected)
        return vector_bytes(np.where(right, matrix, 0.0))

    def batch(self, columns: Mapping[str, pl.Series], bad: Iterable[Place] = ()) -> Batch:
        """Return the rows in which nothing was wrong; ``bad`` are places known before."""
        rows = pl.DataFrame({"line": self._lines, **columns})
        if self._wrong:
            right = pl.DataFrame([column for _, column, _ in self._wrong]).select(pl.all_horizontal(pl.all()))
            rows = rows.filter(right.to_series())
        places = sorted([*bad, *self._places()], key=lambda place: place.line or 0)
        return Batch(rows, places[: MOST_BAD_ROWS + 1])

    def _note(self, column: str, right: pl.Series, expected: str) -> None:
        if not right.all():
            self._wrong.append((column, right.alias(f"{len(self._wrong)}"), expected))

    def _places(self) -> list[Place]:
        messages: dict[int, list[str]] = {}
        for column, right, expected in self._wrong:
            for row in (~right).arg_true()[: MOST_BAD_ROWS + 1].to_list():
                messages.setdefault(row, []).append(wrong(column, self._values[column][row], expected))
        return [Place(joined(mistakes), line=self._lines[row]) for row, mistakes in messages.items()]


def _are_ids(values: pl.Series) -> pl.Series:
    right = values.str.len_chars().is_between(1, ID_LENGTH) & values.str.contains(ID_PATTERN)
    return right.fill_null(value=False)
