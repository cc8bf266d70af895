"""The database's integer keys of the movies and users that a file names by id, found for many rows at once.

Does not know what is stored under the keys, and reads no file.
"""

from collections.abc import Sequence

import polars as pl
from sqlalchemy import Connection, select

from app.catalogs.catalogs import CatalogRow
from app.catalogs.imports.bulk_insert import add_users
from app.database.tables import Movie, User

# SQLite takes 32,766 values in one statement.
IDS_AT_ONCE = 10_000


def present_movies(
    connection: Connection, catalog: CatalogRow, movies: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    """Return the keys and vectors of those movies that the catalog has, by id."""
    present: dict[str, tuple[int, bytes]] = {}
    for start in range(0, len(movies), IDS_AT_ONCE):
        found = connection.execute(
            select(Movie.movie, Movie.id, Movie.vector).where(
                Movie.catalog_id == catalog.id, Movie.movie.in_(movies[start : start + IDS_AT_ONCE])
            )
        )
        present.update((row.movie, (row.id, row.vector)) for row in found)
    return present


def movie_keys(connection: Connection, catalog: CatalogRow) -> pl.DataFrame:
    """Return the columns movie and movie_id of all movies of the catalog."""
    rows = connection.execute(select(Movie.movie, Movie.id).where(Movie.catalog_id == catalog.id))
    return pl.DataFrame(
        list(map(tuple, rows)), schema={"movie": pl.String, "movie_id": pl.Int64}, orient="row"
    )


class UserKeys:
    """The keys of a catalog's users, read once, and extended as users come into being."""

    def __init__(self, connection: Connection, catalog: CatalogRow) -> None:
        self._connection = connection
        self._catalog = catalog
        self._last = 0
        self._keys = pl.DataFrame(schema={"user": pl.String, "user_id": pl.Int64})
        self._read()

    def join(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with a column user_id; who is new is stored first."""
        new = frame.select("user").unique(maintain_order=True).join(self._keys, on="user", how="anti")
        if new.height:
            add_users(self._connection, self._catalog.id, new["user"].to_list())
            self._read()
        return frame.join(self._keys, on="user", how="left", maintain_order="left")

    def _read(self) -> None:
        # Keys grow and are never used twice, so those above the last one are the new ones.
        rows = self._connection.execute(
            select(User.user, User.id)
            .where(User.catalog_id == self._catalog.id, User.id > self._last)
            .order_by(User.id)
        )
        read = pl.DataFrame(list(map(tuple, rows)), schema=self._keys.schema, orient="row")
        self._keys = pl.concat([self._keys, read], rechunk=True)
        self._last = self._keys["user_id"][-1] if self._keys.height else 0
