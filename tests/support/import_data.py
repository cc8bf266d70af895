"""Files to import, written by other hands than those that read them, and what was read and stored of them."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st
from sqlalchemy import select

from app.catalogs.catalogs import CatalogRow
from app.catalogs.imports.file_format import Format
from app.catalogs.imports.formats import read_movies, read_responses
from app.database import vectors
from app.database.database import Database
from app.database.tables import Movie, Response, User
from app.errors import Place

Row = Mapping[str, Any]

CATALOG = CatalogRow(1, "films", ["war", "love"], 0, None)

IDS = st.from_regex(r"\A[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffd/.\s]{1,8}\Z")
# User, response, timestamp.
RESPONSES = st.lists(st.tuples(IDS, st.floats(0, 1), st.none() | st.floats(0, 1e11)), min_size=1, max_size=30)


def write_rows(folder: Path, file_format: Format, rows: Sequence[Row], columns: Sequence[str] = ()) -> Path:
    """Write rows with the columns given, or those of the first row; a vector is spread where it must be."""
    file = folder / f"rows.{file_format}"
    if file_format is Format.NDJSON:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file
    spread = [_spread(row) for row in rows]
    names = list(columns or spread[0])
    if file_format is Format.CSV:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(spread)
    else:
        values = {name: [row.get(name) for row in spread] for name in names}
        pl.DataFrame(values, strict=False).write_parquet(file)
    return file


def write_text(folder: Path, text: str | bytes, suffix: str = "csv") -> Path:
    """Write the text as it is."""
    file = folder / f"text.{suffix}"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def first_row(file_format: Format) -> int:
    """Return the place of a file's first row: a CSV file has its header before it."""
    return 2 if file_format is Format.CSV else 1


def read_all_responses(
    file: Path, file_format: Format
) -> tuple[list[tuple[int, str, str, float, float | None]], list[Place]]:
    """Read all rows (line, user, movie, response, timestamp) and all bad places of a file."""
    batches = list(read_responses(file, file_format))
    rows = [row for batch in batches for row in batch.rows.rows()]
    return rows, [place for batch in batches for place in batch.bad]


def read_all_movies(
    file: Path, file_format: Format
) -> tuple[list[tuple[int, str, str, list[float]]], list[Place]]:
    """Read all rows (line, movie, title, vector) of a file of CATALOG's movies, and all bad places."""
    batches = list(read_movies(file, file_format, CATALOG))
    rows = [
        (line, movie, title, vectors.to_numbers(vectors.from_bytes(vector)))
        for batch in batches
        for line, movie, title, vector in batch.rows.rows()
    ]
    return rows, [place for batch in batches for place in batch.bad]


def stored_responses(database: Database) -> set[tuple[str, str, float, float]]:
    """Return all responses in the database: user, movie, response, timestamp."""
    query = (
        select(User.user, Movie.movie, Response.response, Response.timestamp)
        .join(User, User.id == Response.user_id)
        .join(Movie, Movie.id == Response.movie_id)
    )
    with database.reading() as connection:
        return {(user, movie, value, time) for user, movie, value, time in connection.execute(query)}


def _spread(row: Row) -> dict[str, Any]:
    vector = row.get("vector", {})
    return {name: value for name, value in row.items() if name != "vector"} | dict(vector)
