"""MovieLens: the folders that GroupLens publishes, as a catalog with movies and responses.

Two layouts are understood, by their files: ml-latest (movies.csv, ratings.csv; also ml-25m and ml-32m) and
ml-100k (u.item, u.data, u.genre). Genres become dimensions of 0 or 1, ratings become likes and dislikes.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import TypeAdapter, ValidationError

from app.catalogs.catalogs import find_catalog, put_catalog
from app.catalogs.ids import ID_RULE, Dimension, Id
from app.catalogs.imports.csv_text import TextRows, read_blocks, read_rows, read_table
from app.catalogs.imports.file_format import Imported
from app.catalogs.imports.store import Intake, Progress, store_movies, store_responses
from app.catalogs.imports.validation import Batch, Checking, Range, shown, untitled, vector_bytes
from app.database.database import Database
from app.errors import BadInput, BadRows, Place

HIGHEST_RATING = 5.0
_RATING = Range(0, HIGHEST_RATING, f"expected a rating from 0 to {HIGHEST_RATING:g}")

# What stands in place of a genre where none is known; no dimension.
_NO_GENRES = {"(no genres listed)", "unknown", ""}

_100K_BEFORE_GENRES = 5  # fields of u.item

_DIMENSION: TypeAdapter[str] = TypeAdapter(Dimension)
_ID: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True)
class MovieLens:
    """A folder's content: genres that are dimensions, movies, and responses, read when asked for."""

    dimensions: list[str]
    movies: Batch
    responses: Iterator[Batch]
    ratings_file: str


@dataclass(frozen=True)
class ImportedFolder:
    """What became of a folder's movies and ratings."""

    movies: Imported
    responses: Imported


def import_movielens(
    database: Database,
    path: Path,
    catalog: str,
    title: str | None = None,
    like_from: float = 4.0,
    *,
    genres: bool = True,
    max_rows: int = 50_000_000,
    progress: Progress | None = None,
) -> ImportedFolder:
    """Store the folder in a catalog, which is made if there is none, in one transaction.

    ``progress`` is called with the ratings read. Raises `BadInput` for the folder, `Conflict` when the
    catalog has movies with other dimensions, `TooLarge` and `Busy`.
    """
    try:
        _ID.validate_python(catalog)
    except ValidationError as error:
        raise BadInput(f"{shown(catalog)} is no id for a catalog: {ID_RULE}") from error
    read = read_movielens(path, like_from=like_from, genres=genres)
    with database.writing() as connection:
        put_catalog(connection, catalog, title, read.dimensions)
        catalog_row = find_catalog(connection, catalog)
        movies = store_movies(connection, catalog_row, Intake([read.movies], max_rows))
        with _rows_as_one_problem(read.ratings_file):
            responses = store_responses(connection, catalog_row, Intake(read.responses, max_rows, progress))
    return ImportedFolder(movies, responses)


def read_movielens(path: Path, *, like_from: float = 4.0, genres: bool = True) -> MovieLens:
    """Read a folder; a rating of ``like_from`` or more is a 1, a lower one a 0.

    Without ``genres`` the movies have no dimensions. Raises `BadInput` where the folder, a file or a line is
    not as expected, for a rating's line when it is reached.
    """
    if not 0 <= like_from <= HIGHEST_RATING:
        raise BadInput(f"like_from is {like_from:g}; expected a rating from 0 to {HIGHEST_RATING:g}")
    if not path.is_dir():
        raise BadInput(f"{path} is no folder; give the folder of an unpacked MovieLens archive")
    if (file := path / "movies.csv").is_file():
        ratings = _require(path / "ratings.csv")
        movies, ratings_table = _latest_movies(file), _latest_ratings(ratings)
    elif (file := path / "u.item").is_file():
        ratings = _require(path / "u.data")
        movies, ratings_table = _100k_movies(file, _require(path / "u.genre")), _100k_ratings(ratings)
    else:
        raise BadInput(f"{path} has neither movies.csv (as ml-latest has) nor u.item (as ml-100k has)")
    names, vectors = _genre_vectors(movies) if genres else ([], np.empty((len(movies.lines), 0)))
    batch = _movies(file.name, movies, vectors)
    responses = (_responses(rows, like_from) for rows in ratings_table)
    return MovieLens(names, batch, responses, ratings.name)


def _movies(file: str, read: TextRows, vectors: npt.NDArray[np.float64]) -> Batch:
    checking = Checking(read.lines, read.columns)
    movies = checking.ids("movieId")
    titles = untitled(movies, checking.titles("title"))
    batch = checking.batch({"movie": movies, "title": titles, "vector": vector_bytes(vectors)}, read.bad)
    if batch.bad:
        raise _bad_line(file, batch.bad)
    return batch


def _responses(read: TextRows, like_from: float) -> Batch:
    checking = Checking(read.lines, read.columns)
    likes = checking.numbers("rating", _RATING) >= like_from
    return checking.batch(
        {
            "user": checking.ids("userId"),
            "movie": checking.ids("movieId"),
            "response": likes.cast(pl.Float64),
            "timestamp": checking.timestamps("timestamp"),
        },
        read.bad,
    )


def _genre_vectors(movies: TextRows) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return the genres by name, and a (movies, genres) matrix that has a 1 where a movie is of a genre."""
    of_movies = [set(genre_text.split("|")) - _NO_GENRES for genre_text in movies.columns["genres"]]
    names = sorted(set().union(*of_movies))
    for name in names:
        try:
            _DIMENSION.validate_python(name)
        except ValidationError as error:
            raise BadInput(f"the genre {shown(name)} cannot name a dimension") from error
    column = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(of_movies), len(names)))
    for row, genre_text in zip(matrix, of_movies, strict=True):
        row[[column[name] for name in genre_text]] = 1
    return names, matrix


def _latest_movies(file: Path) -> TextRows:
    rows = list(_table(file, ["movieId", "title", "genres"]))
    return TextRows(
        pl.concat([part.lines for part in rows]),
        pl.concat([part.columns for part in rows]),
        [place for part in rows for place in part.bad],
    )


def _latest_ratings(file: Path) -> Iterator[TextRows]:
    return _table(file, ["userId", "movieId", "rating", "timestamp"])


def _table(file: Path, expected: Sequence[str]) -> Iterator[TextRows]:
    with file.open("rb") as stream, _rows_as_one_problem(file.name):
        names, rows = read_table(stream)
        if names != list(expected):
            raise BadInput(
                f"{file.name} has the columns {', '.join(map(shown, names)) or '(none)'}; "
                f"expected {', '.join(expected)}"
            )
        yield from rows


def _100k_ratings(file: Path) -> Iterator[TextRows]:
    with file.open("rb") as stream, _rows_as_one_problem(file.name):
        yield from read_rows(read_blocks(stream), ["userId", "movieId", "rating", "timestamp"], "\t")


def _100k_movies(file: Path, genre_file: Path) -> TextRows:
    """Read u.item: id, title, two dates and an address, then a 0 or 1 for each line of u.genre."""
    genres = [line.rsplit("|", 1)[0] for line in genre_file.read_text("latin-1").split("\n") if line.strip()]
    rows: list[tuple[int, str, str, str]] = []
    for line, text in enumerate(file.read_text("latin-1").split("\n"), 1):
        if not text.strip():
            continue
        fields = text.rstrip("\r").split("|")
        flags = fields[_100K_BEFORE_GENRES:]
        if len(flags) != len(genres) or not set(flags) <= {"0", "1"}:
            expected = (
                f"expected {_100K_BEFORE_GENRES} fields, then a 0 or 1 for each of {len(genres)} genres"
            )
            raise _bad_line(file.name, [Place(expected, line=line)])
        genre_names = [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"]
        rows.append((line, fields[0], fields[1], "|".join(genre_names)))
    schema = {"line": pl.Int64, "movieId": pl.String, "title": pl.String, "genres": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return TextRows(frame["line"], frame.drop("line"), [])


def _require(file: Path) -> Path:
    if not file.is_file():
        raise BadInput(f"{file.parent} lacks the file {file.name}")
    return file


@contextmanager
def _rows_as_one_problem(file: str) -> Generator[None]:
    """Turn bad rows into one sentence that names the file and the first of them."""
    try:
        yield
    except BadRows as problem:
        raise _bad_line(file, problem.places) from problem


def _bad_line(file: str, places: Sequence[Place]) -> BadInput:
    return BadInput(f"{file}, line {places[0].line}: {places[0].detail}", places)
