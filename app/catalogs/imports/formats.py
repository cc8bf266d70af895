"""Import files: their formats, the columns they must have, and their rows in checked batches."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from app.catalogs.catalogs import CatalogRow
from app.catalogs.imports.csv_text import read_blocks, read_table
from app.catalogs.imports.file_format import Format
from app.catalogs.imports.ndjson import read_movie_lines, read_response_lines
from app.catalogs.imports.parquet import open_parquet
from app.catalogs.imports.validation import RESPONSE, Batch, Checking, shown, untitled
from app.catalogs.movies import check_dimensions
from app.errors import BadRows, Place

_RESPONSE_COLUMNS = ("user", "movie", "response", "timestamp")


def read_responses(file: Path, file_format: Format) -> Generator[Batch]:
    """Read responses in batches, in the file's order.

    Raises `BadRows` for wrong columns (line 1) and where the file cannot be read beyond a line, `BadInput`
    where it is not of that format at all.
    """
    match file_format:
        case Format.NDJSON:
            with file.open("rb") as stream:
                yield from read_response_lines(read_blocks(stream))
        case Format.CSV:
            with file.open("rb") as stream:
                names, tables = read_table(stream)
                _check_response_columns(names)
                for rows in tables:
                    yield _responses(rows.lines, rows.columns, rows.bad)
        case Format.PARQUET:
            with open_parquet(file) as parquet:
                _check_response_columns(list(parquet.columns))
                _check_types(parquet.columns, texts=("user", "movie"))
                for lines, frame in _numbered(parquet.frames):
                    yield _responses(lines, frame)


def read_movies(file: Path, file_format: Format, catalog: CatalogRow) -> Generator[Batch]:
    """Read movies of the catalog in batches, in the file's order.

    Raises as `read_responses`, and `Conflict` for columns that are not the catalog's dimensions.
    """
    match file_format:
        case Format.NDJSON:
            with file.open("rb") as stream:
                yield from read_movie_lines(read_blocks(stream), catalog)
        case Format.CSV:
            with file.open("rb") as stream:
                names, tables = read_table(stream)
                _check_movie_columns(names, catalog)
                for rows in tables:
                    yield _movies(catalog, rows.lines, rows.columns, rows.bad)
        case Format.PARQUET:
            with open_parquet(file) as parquet:
                _check_movie_columns(list(parquet.columns), catalog)
                _check_types(parquet.columns, texts=("movie", "title"))
                for lines, frame in _numbered(parquet.frames):
                    yield _movies(catalog, lines, frame)


def _responses(lines: pl.Series, frame: pl.DataFrame, bad: Iterable[Place] = ()) -> Batch:
    checking = Checking(lines, frame)
    columns = {
        "user": checking.ids("user"),
        "movie": checking.ids("movie"),
        "response": checking.numbers("response", RESPONSE),
    }
    nulls = pl.repeat(None, len(lines), dtype=pl.Float64, eager=True)
    columns["timestamp"] = checking.timestamps("timestamp") if "timestamp" in frame.columns else nulls
    return checking.batch(columns, bad)


def _movies(catalog: CatalogRow, lines: pl.Series, frame: pl.DataFrame, bad: Iterable[Place] = ()) -> Batch:
    checking = Checking(lines, frame)
    movies = checking.ids("movie")
    titles = untitled(movies, checking.titles("title")) if "title" in frame.columns else movies
    vectors = checking.vectors(catalog.dimensions)
    return checking.batch({"movie": movies, "title": titles, "vector": vectors}, bad)


def _numbered(frames: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
    rows = 0
    for frame in frames:
        yield pl.int_range(rows + 1, rows + 1 + frame.height, eager=True), frame
        rows += frame.height


def _check_response_columns(names: Sequence[str]) -> None:
    problems = _repeated(names)
    problems += [f"the column {name!r} is missing" for name in _RESPONSE_COLUMNS[:3] if name not in names]
    problems += [
        f"{shown(name)} is no column of responses" for name in names if name not in _RESPONSE_COLUMNS
    ]
    _refuse(problems, "user, movie, response and, if there are any, timestamp")


def _check_movie_columns(names: Sequence[str], catalog: CatalogRow) -> None:
    problems = _repeated(names)
    if "movie" not in names:
        problems.append("the column 'movie' is missing")
    _refuse(problems, f"movie, title (if there are any) and {', '.join(catalog.dimensions) or 'no others'}")
    check_dimensions(catalog, [name for name in names if name not in {"movie", "title"}], line=1)


def _check_types(columns: Mapping[str, str], texts: Sequence[str]) -> None:
    problems = [
        f"the column {name!r} holds {kind}; expected {kind_needed}"
        for name, kind in columns.items()
        if kind not in {"nothing", kind_needed := "text" if name in texts else "number"}
    ]
    _refuse(problems, "text for ids and titles, numbers for everything else")


def _repeated(names: Sequence[str]) -> list[str]:
    return [f"the column {shown(name)} stands there {n} times" for name, n in Counter(names).items() if n > 1]


def _refuse(problems: Sequence[str], expected: str) -> None:
    if problems:
        raise BadRows(
            f"the columns are not those of such a file; expected {expected}",
            [Place(words, line=1) for words in problems[:100]],
        )
