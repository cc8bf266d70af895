"""Movies and their vectors: storing, reading, deleting, and what such a change means for users.

A user's posterior depends on the vectors of the movies that they responded to. A change or deletion of a
movie therefore bumps the version of those users, whose embeddings are stale until they are folded in again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.catalogs.catalogs import CatalogRow, find_catalog, mark_stale
from app.catalogs.ids import in_path
from app.database import vectors
from app.database.prepared_statements import Prepared
from app.database.tables import Catalog, Movie, Response, User, having
from app.errors import BadInput, Conflict, NotFound, Place

# Made once: every answer asks.
_KEY = Prepared(
    select(Movie.id).where(Movie.catalog_id == bindparam("catalog"), Movie.movie == bindparam("movie"))
)


@dataclass(frozen=True)
class MovieRow:
    """A movie as the API shows it; the vector in the order of the catalog's dimensions."""

    movie: str
    title: str
    vector: list[float]


def put_movie(
    connection: Connection,
    catalog: str,
    movie: str,
    title: str | None,
    vector: Sequence[float] | Mapping[str, float],
) -> bool:
    """Store the movie, or replace it; return whether it is new.

    Raises `NotFound` for the catalog, `BadInput` for a vector of the wrong length and `Conflict` for a
    vector whose dimensions are not the catalog's.
    """
    catalog_row = find_catalog(connection, catalog)
    vector_bytes = vectors.to_bytes(in_order(catalog_row, vector))
    present = connection.execute(
        select(Movie.id, Movie.vector).where(Movie.catalog_id == catalog_row.id, Movie.movie == movie)
    ).one_or_none()
    if present is None:
        connection.execute(
            insert(Movie).values(
                catalog_id=catalog_row.id, movie=movie, title=title or movie, vector=vector_bytes
            )
        )
    else:
        connection.execute(
            update(Movie).where(Movie.id == present.id).values(title=title or movie, vector=vector_bytes)
        )
        if present.vector != vector_bytes:
            bump_responders(connection, catalog_row.id, [present.id])
    bump_movies(connection, catalog_row.id)
    return present is None


def read_movie(connection: Connection, catalog: str, movie: str) -> MovieRow:
    """Return the movie; raises `NotFound`."""
    catalog_row = find_catalog(connection, catalog)
    row = connection.execute(
        select(Movie.movie, Movie.title, Movie.vector).where(
            Movie.catalog_id == catalog_row.id, Movie.movie == movie
        )
    ).one_or_none()
    if row is None:
        raise unknown_movie(catalog, movie)
    return MovieRow(row.movie, row.title, vectors.to_numbers(vectors.from_bytes(row.vector)))


def list_movies(
    connection: Connection, catalog: str, limit: int, after: str | None, search: str | None = None
) -> list[MovieRow]:
    """Return up to ``limit`` movies in the order of their ids, those after ``after``.

    Only those whose id or title has ``search`` in it; A to Z are as good as a to z.
    """
    catalog_row = find_catalog(connection, catalog)
    rows = connection.execute(
        select(Movie.movie, Movie.title, Movie.vector)
        .where(
            Movie.catalog_id == catalog_row.id,
            Movie.movie > (after or ""),
            having(search, Movie.movie, Movie.title),
        )
        .order_by(Movie.movie)
        .limit(limit)
    )
    return [
        MovieRow(row.movie, row.title, vectors.to_numbers(vectors.from_bytes(row.vector))) for row in rows
    ]


def delete_movie(connection: Connection, catalog: str, movie: str) -> None:
    """Delete the movie and the responses to it; the embeddings of its responders become stale.

    Raises `NotFound`.
    """
    catalog_row = find_catalog(connection, catalog)
    movie_id = find_movie(connection, catalog_row, movie)
    bump_responders(connection, catalog_row.id, [movie_id])
    connection.execute(delete(Movie).where(Movie.id == movie_id))
    bump_movies(connection, catalog_row.id)


def find_movie(connection: Connection, catalog: CatalogRow, movie: str) -> int:
    """Return the movie's key; raises `NotFound`."""
    rows = _KEY.run(connection, {"catalog": catalog.id, "movie": movie})
    if not rows:
        raise unknown_movie(catalog.catalog, movie)
    movie_id: int = rows[0][0]
    return movie_id


def unknown_movie(catalog: str, movie: str) -> NotFound:
    """Return the problem that names a movie which the catalog does not have."""
    return NotFound(
        f"there is no movie {movie!r} in catalog {catalog!r}; "
        f"PUT /v1/catalogs/{in_path(catalog)}/movies/{in_path(movie)} stores one"
    )


def in_order(catalog: CatalogRow, vector: Sequence[float] | Mapping[str, float]) -> list[float]:
    """Return the vector's numbers in the order of the catalog's dimensions."""
    names = catalog.dimensions
    if isinstance(vector, Mapping):
        check_dimensions(catalog, list(vector), pointer="/vector")
        return [vector[name] for name in names]
    if len(vector) != len(names):
        columns = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")  # noqa: PLR2004 - enough to read
        raise BadInput(
            f"the vector has {len(vector)} numbers; catalog {catalog.catalog!r} has "
            f"{len(names)} dimensions: {columns or '(none)'}",
            [Place(f"{len(names)} numbers expected, {len(vector)} given", pointer="/vector")],
        )
    return list(vector)


def check_dimensions(
    catalog: CatalogRow, columns: Sequence[str], *, pointer: str | None = None, line: int | None = None
) -> None:
    """Raise `Conflict` when the dimensions given are not the catalog's, in whatever order.

    ``pointer`` or ``line`` says where they were given.
    """
    required, present = set(catalog.dimensions), set(columns)  # there may be thousands
    missing = [name for name in catalog.dimensions if name not in present]
    unknown = [name for name in columns if name not in required]
    if missing or unknown:
        problems = [f"{name!r} is missing" for name in missing] + [
            f"{name!r} is no dimension of the catalog" for name in unknown
        ]
        raise Conflict(
            f"catalog {catalog.catalog!r} has the dimensions {', '.join(catalog.dimensions) or '(none)'}; "
            "give a number for each of these and no others, or PUT another catalog for these movies",
            [Place(words, pointer=pointer, line=line) for words in problems[:100]],
        )


def bump_movies(connection: Connection, catalog_id: int) -> None:
    """Move the version that tells every process to read the catalog's movies anew."""
    connection.execute(
        update(Catalog).where(Catalog.id == catalog_id).values(movies_version=Catalog.movies_version + 1)
    )


def bump_responders(connection: Connection, catalog_id: int, movie_ids: Sequence[int]) -> None:
    """Move the version of all users who answered one of these movies."""
    answerers = select(Response.user_id).where(Response.movie_id.in_(movie_ids))
    connection.execute(update(User).where(User.id.in_(answerers)).values(version=User.version + 1))
    mark_stale(connection, catalog_id)
