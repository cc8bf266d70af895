"""Imports: storing the rows of whole files, all of them or none.

A later row replaces an earlier one of the same movie, or of the same user and movie. The files are read by
`formats`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl
from sqlalchemy import Connection, select, update

from app.catalogs.catalogs import CatalogRow, find_catalog, mark_stale
from app.catalogs.imports.bulk_insert import (
    IDS_AT_ONCE,
    UserKeys,
    movie_keys,
    movie_storing,
    present_movies,
    response_rows,
)
from app.catalogs.imports.file_format import Format, Imported
from app.catalogs.imports.formats import read_movies, read_responses
from app.catalogs.imports.validation import MOST_BAD_ROWS, Batch, shown
from app.catalogs.movies import bump_movies, bump_responders
from app.database.database import now
from app.database.tables import User
from app.errors import BadRows, Place, TooLarge

Progress = Callable[[int], None]


class Importer(Protocol):
    """`import_movies` or `import_responses`."""

    def __call__(
        self,
        connection: Connection,
        catalog: str,
        file: Path,
        file_format: Format,
        max_rows: int,
        progress: Progress | None = None,
    ) -> Imported:
        """Store the rows of a file."""


def import_movies(
    connection: Connection,
    catalog: str,
    file: Path,
    file_format: Format,
    max_rows: int,
    progress: Progress | None = None,
) -> Imported:
    """Store the movies of a file.

    Raises `NotFound` for the catalog, `Conflict` for other dimensions than its own, `TooLarge`, and `BadRows`
    or `BadInput` for the file: roll back then.
    """
    catalog_row = find_catalog(connection, catalog)
    with closing(read_movies(file, file_format, catalog_row)) as batches:
        intake = Intake(batches, max_rows, progress, file_format.place)
        return store_movies(connection, catalog_row, intake)


def import_responses(
    connection: Connection,
    catalog: str,
    file: Path,
    file_format: Format,
    max_rows: int,
    progress: Progress | None = None,
) -> Imported:
    """Store the responses of a file; users come into being as needed, movies must exist.

    Raises `NotFound` for the catalog, `TooLarge`, and `BadRows` or `BadInput` for the file: roll back then.
    """
    catalog_row = find_catalog(connection, catalog)
    with closing(read_responses(file, file_format)) as batches:
        intake = Intake(batches, max_rows, progress, file_format.place)
        return store_responses(connection, catalog_row, intake)


@dataclass
class Intake:
    """A file's batches on their way into the database: counted, and refused in the end if a row was bad."""

    batches: Iterable[Batch]
    max_rows: int
    progress: Progress | None = None
    place: str = "line"
    rows: int = field(default=0, init=False)
    bad: list[Place] = field(default_factory=list, init=False)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Give the batches' rows, then raise `BadRows` if any was bad. Raises `TooLarge` on the way."""
        for batch in self.batches:
            self.rows += batch.rows.height
            if self.rows > self.max_rows:
                raise TooLarge(f"the file has more than {self.max_rows} rows; import it in parts")
            self.refuse(batch.bad)
            yield batch.rows
            if len(self.bad) > MOST_BAD_ROWS:
                break
            if self.progress is not None:
                self.progress(self.rows)
        if self.bad:
            more = " and more" if len(self.bad) > MOST_BAD_ROWS else ""
            places = sorted(self.bad, key=lambda place: place.line or 0)[:MOST_BAD_ROWS]
            rows = "1 row is" if len(self.bad) == 1 else f"{len(places)} rows{more} are"
            raise BadRows(f"{rows} bad, and nothing was stored; a row's place is its {self.place}", places)

    def refuse(self, places: Iterable[Place]) -> None:
        """Add bad rows that were found."""
        self.bad += places


def store_movies(connection: Connection, catalog: CatalogRow, intake: Intake) -> Imported:
    """Store frames of movies; see `import_movies`."""
    store = movie_storing(connection, catalog.id)
    new_rows = 0
    changed_ids: list[int] = []
    for frame in intake.frames():
        last = frame.unique("movie", keep="last", maintain_order=True)
        rows = last.select("movie", "title", "vector").to_dicts()
        present = present_movies(connection, catalog, last["movie"].to_list())
        new_rows += len(rows) - len(present)
        for row in rows:
            key, vector = present.get(row["movie"], (0, row["vector"]))
            if vector != row["vector"]:
                changed_ids.append(key)
        store(rows)
    for start in range(0, len(changed_ids), IDS_AT_ONCE):
        bump_responders(connection, catalog.id, changed_ids[start : start + IDS_AT_ONCE])
    if intake.rows:
        bump_movies(connection, catalog.id)
    return Imported(intake.rows, new_rows, intake.rows - new_rows)


def store_responses(connection: Connection, catalog: CatalogRow, intake: Intake) -> Imported:
    """Store frames of responses; see `import_responses`."""
    movies = movie_keys(connection, catalog)
    users = UserKeys(connection, catalog)
    user_keys: set[int] = set()
    clock = connection.scalar(select(now()))
    with response_rows(connection) as rows:
        for frame in intake.frames():
            joined_frame = frame.join(movies, on="movie", how="left", maintain_order="left")
            intake.refuse(_unknown_movies(joined_frame, catalog))
            if intake.bad:
                continue  # the rest is read only to name what else is bad
            joined_frame = users.join(joined_frame).sort("user_id", "movie_id", maintain_order=True)
            rows.add(
                joined_frame.select("user_id", "movie_id", "response", pl.col("timestamp").fill_null(clock))
            )
            user_keys.update(joined_frame["user_id"].unique().to_list())
        new_rows = rows.created()
    _bump_users(connection, catalog, user_keys)
    return Imported(intake.rows, new_rows, intake.rows - new_rows)


def _unknown_movies(joined_frame: pl.DataFrame, catalog: CatalogRow) -> list[Place]:
    unknown = joined_frame.filter(pl.col("movie_id").is_null()).head(MOST_BAD_ROWS + 1)
    return [
        Place(f"there is no movie {shown(movie)} in catalog {catalog.catalog!r}", line=line)
        for line, movie in unknown.select("line", "movie").iter_rows()
    ]


def _bump_users(connection: Connection, catalog: CatalogRow, user_keys: set[int]) -> None:
    keys = sorted(user_keys)
    for start in range(0, len(keys), IDS_AT_ONCE):
        connection.execute(
            update(User)
            .where(User.id.in_(keys[start : start + IDS_AT_ONCE]))
            .values(version=User.version + 1)
        )
    if keys:
        mark_stale(connection, catalog.id)
