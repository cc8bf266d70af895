"""What a row of an import must be: the rules, the words for breaking them, and frames checked by them.

The rules are those of the JSON bodies. Does not know files or formats, and no SQL.
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
LATEST = 1e11  # seconds since 1970: the year 5138

ID_WORDS = f"expected {ID_RULE}"
TITLE_WORDS = f"expected {TITLE_RULE}"
RESPONSE_WORDS = "expected a number from 0 to 1"
TIMESTAMP_WORDS = f"expected seconds since 1970, from 0 to {LATEST:g}, or nothing"
NUMBER_WORDS = f"expected a number from {-vectors.LARGEST:g} to {vectors.LARGEST:g}"

_LONGEST_SHOWN = 60  # characters of a wrong value that a message repeats
_MOST_SHOWN = 3  # wrong fields of one row that a message describes


@dataclass(frozen=True)
class Batch:
    """Some rows of a file in its order: those that keep the rules, and what is wrong with the others.

    ``rows`` has the columns line, user, movie, response, timestamp (null where none was given), or
    line, movie, title, vector (bytes, float32). ``bad`` has a place a row, not more than one above
    MOST_BAD_ROWS.
    """

    rows: pl.DataFrame
    bad: Sequence[Place] = ()


def wrong(field: str, value: object, words: str) -> str:
    """Return what is wrong with a field, what was given and what would be right."""
    if value is None:
        return f"{field} is empty; {words}"
    return f"{field} is {shown(value)}; {words}"


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
    """Return the rows of a (movies, dimensions) matrix as the bytes that the database keeps."""
    return pl.Series("vector", [vectors.to_bytes(row) for row in matrix], dtype=pl.Binary)


def untitled(movies: pl.Series, titles: pl.Series) -> pl.Series:
    """Return the titles, the movie's id standing in for an empty one."""
    return titles.zip_with((titles != "").fill_null(value=False), movies).alias("title")


class Checking:
    """Checks the columns of some rows, one by one, and remembers which rows are wrong.

    ``given`` holds text or numbers, null where there was nothing; ``lines`` says where each row stands.
    A method returns the column's values; where a row is wrong they mean nothing, and `batch` drops the row.
    """

    def __init__(self, lines: pl.Series, frame: pl.DataFrame) -> None:
        self._lines = lines
        self._given = frame
        self._wrong: list[tuple[str, pl.Series, str]] = []

    def ids(self, column: str) -> pl.Series:
        """Check a column of ids."""
        values = self._given[column]
        # Ids repeat: the pattern is matched once an id, and once a row only to find the wrong ones.
        right = pl.repeat(value=True, n=len(values), eager=True)
        if not _are_ids(values.unique()).all():
            right = _are_ids(values)
        self._note(column, right, ID_WORDS)
        return values

    def titles(self, column: str) -> pl.Series:
        """Check a column of titles, which may be empty."""
        values = self._given[column]
        right = (values.str.len_chars() <= TITLE_LENGTH) & values.str.contains(TITLE_PATTERN)
        self._note(column, right.fill_null(value=True), TITLE_WORDS)
        return values

    def numbers(self, column: str, low: float, high: float, words: str) -> pl.Series:
        """Check a column of numbers within bounds; what is no number is wrong, and NaN is none."""
        values = self._given[column].cast(pl.Float64, strict=False)
        right = values.is_between(low, high) & values.is_finite()
        self._note(column, right.fill_null(value=False), words)
        return values

    def timestamps(self, column: str) -> pl.Series:
        """Check a column of times, which may be empty."""
        column_values = self._given[column]
        values = column_values.cast(pl.Float64, strict=False)
        right = values.is_between(0, LATEST) & values.is_finite()
        empty = column_values.is_null()
        if column_values.dtype == pl.String:
            empty |= column_values == ""
        self._note(column, right.fill_null(value=False) | empty.fill_null(value=True), TIMESTAMP_WORDS)
        return values

    def vectors(self, columns: Sequence[str]) -> pl.Series:
        """Check a column a dimension; return the vectors as bytes."""
        if not columns:
            return vector_bytes(np.empty((len(self._lines), 0)))
        matrix = self._given.select(pl.col(columns).cast(pl.Float64, strict=False)).to_numpy()
        right = np.abs(matrix) <= vectors.LARGEST  # False for NaN, which stands for null too
        for index in np.flatnonzero(~right.all(axis=0)).tolist():
            self._note(columns[index], pl.Series(right[:, index]), NUMBER_WORDS)
        return vector_bytes(np.where(right, matrix, 0.0))

    def batch(self, columns: Mapping[str, pl.Series], bad: Iterable[Place] = ()) -> Batch:
        """Return the rows in which nothing was wrong; ``bad`` are places known before."""
        rows = pl.DataFrame({"line": self._lines, **columns})
        if self._wrong:
            right = pl.DataFrame([column for _, column, _ in self._wrong]).select(pl.all_horizontal(pl.all()))
            rows = rows.filter(right.to_series())
        places = sorted([*bad, *self._places()], key=lambda place: place.line or 0)
        return Batch(rows, places[: MOST_BAD_ROWS + 1])

    def _note(self, column: str, right: pl.Series, words: str) -> None:
        if not right.all():
            self._wrong.append((column, right.alias(f"{len(self._wrong)}"), words))

    def _places(self) -> list[Place]:
        messages: dict[int, list[str]] = {}
        for column, right, words in self._wrong:
            for row in (~right).arg_true()[: MOST_BAD_ROWS + 1].to_list():
                messages.setdefault(row, []).append(wrong(column, self._given[column][row], words))
        return [Place(joined(words), line=self._lines[row]) for row, words in messages.items()]


def _are_ids(values: pl.Series) -> pl.Series:
    right = values.str.len_chars().is_between(1, ID_LENGTH) & values.str.contains(ID_PATTERN)
    return right.fill_null(value=False)
