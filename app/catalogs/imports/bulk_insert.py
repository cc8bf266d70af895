"""Where the rows of an import go: one by one into SQLite, by COPY into PostgreSQL.

A later row replaces an earlier one of the same key. Knows rows by the database's keys, and no file.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import polars as pl
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert  # its ON CONFLICT is SQLite's too

from app.catalogs.catalogs import CatalogRow
from app.database.sqlite import roomy_cache
from app.database.tables import Movie, Response, User

MovieRow = dict[str, Any]  # movie, title, vector

_MAKE_INCOMING = """
CREATE TEMPORARY TABLE incoming_responses (
    place BIGINT, user_id BIGINT, movie_id BIGINT, response DOUBLE PRECISION, timestamp DOUBLE PRECISION
) ON COMMIT DROP
"""
_MAKE_MOVIES = """
CREATE TEMPORARY TABLE incoming_movies (
    movie VARCHAR, title VARCHAR, vector BYTEA, place SERIAL
) ON COMMIT DROP
"""
_COPY_MOVIES = "COPY incoming_movies (movie, title, vector) FROM STDIN"
_STORE_MOVIES = text("""
INSERT INTO movies (catalog_id, movie, title, vector)
SELECT :catalog, movie, title, vector FROM incoming_movies ORDER BY place
ON CONFLICT (catalog_id, movie) DO UPDATE SET title = excluded.title, vector = excluded.vector
""")
_STORE_USERS = text("""
INSERT INTO users (catalog_id, "user", version)
SELECT :catalog, new."user", 0
FROM unnest(CAST(:users AS VARCHAR[])) WITH ORDINALITY AS new ("user", place) ORDER BY place
""")
_COPY = "COPY incoming_responses FROM STDIN (FORMAT csv)"
_STORE = """
WITH stored AS (
    INSERT INTO responses (user_id, movie_id, response, timestamp)
    SELECT DISTINCT ON (user_id, movie_id) user_id, movie_id, response, timestamp
    FROM incoming_responses ORDER BY user_id, movie_id, place DESC
    ON CONFLICT (user_id, movie_id) DO UPDATE SET response = excluded.response, timestamp = excluded.timestamp
    RETURNING xmax = 0 AS created
)
SELECT count(*) FILTER (WHERE created) FROM stored
"""


def add_users(connection: Connection, catalog_id: int, users: Sequence[str]) -> None:
    """Store new users, in this order."""
    if connection.dialect.name == "postgresql":
        connection.execute(_STORE_USERS, {"catalog": catalog_id, "users": list(users)})
    else:
        connection.execute(insert(User), [{"catalog_id": catalog_id, "user": user} for user in users])


def movie_storing(connection: Connection, catalog_id: int) -> Callable[[Sequence[MovieRow]], None]:
    """Return what stores movies, or replaces them; each stands once in the rows that it is given."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_MAKE_MOVIES)
        driver: Any = connection.connection.driver_connection

        def copy_in(rows: Sequence[MovieRow]) -> None:
            connection.exec_driver_sql("TRUNCATE incoming_movies")
            with driver.cursor().copy(_COPY_MOVIES) as copy:
                for row in rows:
                    copy.write_row((row["movie"], row["title"], row["vector"]))
            connection.execute(_STORE_MOVIES, {"catalog": catalog_id})

        return copy_in
    statement = upsert(Movie).values(catalog_id=catalog_id)
    statement = statement.on_conflict_do_update(
        index_elements=[Movie.catalog_id, Movie.movie],
        set_={"title": statement.excluded.title, "vector": statement.excluded.vector},
    )

    def store(rows: Sequence[MovieRow]) -> None:
        if rows:
            connection.execute(statement, rows)

    return store


class ResponseRows(Protocol):
    """Takes frames with the columns user_id, movie_id, response and timestamp; counts what it stored."""

    def add(self, frame: pl.DataFrame) -> None:
        """Append the rows of a frame."""

    def created(self) -> int:
        """Return how many of the responses were not there before; all are stored then."""


@contextmanager
def response_rows(connection: Connection) -> Iterator[ResponseRows]:
    """Open what takes an import's rows into the connection's transaction."""
    if connection.dialect.name == "sqlite":
        with roomy_cache(connection):
            yield _InSQLite(connection)
    else:
        yield _InPostgreSQL(connection)


class _InSQLite:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before = _count(connection)
        statement = upsert(Response)
        statement = statement.on_conflict_do_update(
            index_elements=[Response.user_id, Response.movie_id],
            set_={"response": statement.excluded.response, "timestamp": statement.excluded.timestamp},
        )
        self._statement = str(statement.compile(dialect=connection.dialect))

    def add(self, frame: pl.DataFrame) -> None:
        # To the driver as they are: SQLAlchemy's own handling of each would take longer than the storing.
        rows = list(zip(*(column.to_list() for column in frame), strict=True))
        if rows:
            self._connection.exec_driver_sql(self._statement, rows)

    def created(self) -> int:
        return _count(self._connection) - self._before


class _InPostgreSQL:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = 0
        connection.exec_driver_sql(_MAKE_INCOMING)

    def add(self, frame: pl.DataFrame) -> None:
        driver: Any = self._connection.connection.driver_connection
        with driver.cursor().copy(_COPY) as copy:
            copy.write(frame.with_row_index("place", self._rows).write_csv(include_header=False))
        self._rows += frame.height

    def created(self) -> int:
        count: int = self._connection.exec_driver_sql(_STORE).scalar_one()
        return count


def _count(connection: Connection) -> int:
    # Of all catalogs: only the difference matters, and no join is needed.
    return connection.scalar(select(func.count()).select_from(Response)) or 0


# SQLite takes 32,766 values in one statement.
IDS_AT_ONCE = 10_000


def present_movies(
    connection: Connection, catalog: CatalogRow, movies: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    """Return the keys and vectors of those movies that the catalog has, by id."""
    present: dict[str, tuple[int, bytes]] = {}
    for start in range(0, len(movies), IDS_AT_ONCE):
        rows = connection.execute(
            select(Movie.movie, Movie.id, Movie.vector).where(
                Movie.catalog_id == catalog.id, Movie.movie.in_(movies[start : start + IDS_AT_ONCE])
            )
        )
        present.update((row.movie, (row.id, row.vector)) for row in rows)
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
