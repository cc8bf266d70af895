"""Users' responses: storing and deleting one, together with the embedding that it changes.

Storing a response folds its user in, within the same transaction.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Float, bindparam, delete, func, insert, select, tuple_, update

from app.catalogs.catalogs import CatalogRow, find_catalog
from app.catalogs.movies import find_movie
from app.database.database import now
from app.database.prepared_statements import Prepared
from app.database.tables import Movie, Response, User
from app.errors import BadInput, NotFound, Place
from app.scoring.fold_in import fold_in, store
from app.scoring.model_cache import TrainedModels

# Statements of every answer, made once and run by the driver: SQLAlchemy takes 80 µs to make and run one.
_USER = Prepared(
    select(User.id).where(User.catalog_id == bindparam("catalog"), User.user == bindparam("user"))
)
_NEW_USER = insert(User).returning(User.id)
_HERE = (Response.user_id == bindparam("at_user")) & (Response.movie_id == bindparam("at_movie"))
_PRESENT = Prepared(select(Response.response, Response.timestamp).where(_HERE))
_TIME = func.coalesce(bindparam("given", type_=Float()), now())
_NEW_RESPONSE = Prepared(insert(Response).values(timestamp=_TIME), ("user_id", "movie_id", "response"))
_OTHER_RESPONSE = Prepared(
    update(Response).where(_HERE).values(response=bindparam("answer"), timestamp=_TIME)
)
_NEXT_VERSION = Prepared(
    update(User).where(User.id == bindparam("key")).values(version=User.version + 1).returning(User.version)
)
_VERSION = Prepared(select(User.version).where(User.id == bindparam("key")))


@dataclass(frozen=True)
class ResponseRow:
    """A response as the API lists it; the timestamp in seconds since 1970."""

    user: str
    movie: str
    response: float
    timestamp: float


@dataclass(frozen=True)
class StoredResponse:
    """A stored response, and the version of the embedding that reflects it.

    ``training`` is the serving training whose embedding was relearned, if there is one yet.
    """

    user: str
    movie: str
    response: float
    training: int | None
    embedding_version: int


def put_response(
    connection: Connection,
    models: TrainedModels,
    catalog: str,
    user: str,
    movie: str,
    response: float,
    timestamp: float | None,
) -> tuple[StoredResponse, bool]:
    """Store or replace a response and fold the user in; return it, and whether it is new.

    A user is made by their first response. Raises `NotFound` for the catalog or the movie.
    """
    catalog_row = find_catalog(connection, catalog)
    movie_id = find_movie(connection, catalog_row, movie)
    user_id = _find_user(connection, catalog_row, user) or _add_user(connection, catalog_row, user)
    present = _PRESENT.run(connection, {"at_user": user_id, "at_movie": movie_id})
    before, timestamp_before = present[0] if present else (None, None)
    if not present:
        row = {"user_id": user_id, "movie_id": movie_id, "response": response, "given": timestamp}
        _NEW_RESPONSE.run(connection, row)
    elif before != response or timestamp not in {None, timestamp_before}:
        row = {"at_user": user_id, "at_movie": movie_id, "answer": response, "given": timestamp}
        _OTHER_RESPONSE.run(connection, row)
    is_new_answer = before != response
    version = _update_user(connection, models, catalog_row, user_id, changed=is_new_answer)
    return StoredResponse(user, movie, response, catalog_row.serving, version), not present


def delete_response(
    connection: Connection, models: TrainedModels, catalog: str, user: str, movie: str
) -> None:
    """Delete a response and fold the user in; raises `NotFound` when there is nothing to delete."""
    catalog_row = find_catalog(connection, catalog)
    movie_id = find_movie(connection, catalog_row, movie)
    user_id = _find_user(connection, catalog_row, user)
    deletion = connection.execute(
        delete(Response).where(Response.user_id == user_id, Response.movie_id == movie_id)
    )
    if user_id is None or deletion.rowcount == 0:
        raise NotFound(f"user {user!r} has no response to movie {movie!r} in catalog {catalog!r}")
    _update_user(connection, models, catalog_row, user_id, changed=True)


def list_user_responses(
    connection: Connection, catalog: str, user: str, limit: int, after: str | None
) -> list[ResponseRow]:
    """Return up to ``limit`` responses of a user in the order of the movies; raises `NotFound`."""
    catalog_row = find_catalog(connection, catalog)
    if _find_user(connection, catalog_row, user) is None:
        raise NotFound(f"there is no user {user!r} in catalog {catalog!r}; their first response makes one")
    rows = connection.execute(
        select(User.user, Movie.movie, Response.response, Response.timestamp)
        .join(User, User.id == Response.user_id)
        .join(Movie, Movie.id == Response.movie_id)
        .where(User.catalog_id == catalog_row.id, User.user == user, Movie.movie > (after or ""))
        .order_by(Movie.movie)
        .limit(limit)
    )
    return [ResponseRow(*row) for row in rows]


def list_responses(connection: Connection, catalog: str, limit: int, after: str | None) -> list[ResponseRow]:
    """Return up to ``limit`` responses of a catalog in the order of users, then movies.

    ``after`` is ``user/movie`` of the last one seen.
    """
    catalog_row = find_catalog(connection, catalog)
    user, _, movie = (after or "/").partition("/")
    if after is not None and (not (user and movie) or "/" in movie):
        raise BadInput("after= is the `next` of the page before", [Place("user/movie", parameter="after")])
    rows = connection.execute(
        select(User.user, Movie.movie, Response.response, Response.timestamp)
        .join(User, User.id == Response.user_id)
        .join(Movie, Movie.id == Response.movie_id)
        .where(User.catalog_id == catalog_row.id, tuple_(User.user, Movie.movie) > tuple_(user, movie))
        .order_by(User.user, Movie.movie)
        .limit(limit)
    )
    return [ResponseRow(*row) for row in rows]


def _find_user(connection: Connection, catalog: CatalogRow, user: str) -> int | None:
    rows = _USER.run(connection, {"catalog": catalog.id, "user": user})
    return rows[0][0] if rows else None


def _add_user(connection: Connection, catalog: CatalogRow, user: str) -> int:
    return connection.execute(_NEW_USER, {"catalog_id": catalog.id, "user": user}).scalar_one()


def _update_user(
    connection: Connection, models: TrainedModels, catalog: CatalogRow, user_id: int, *, changed: bool
) -> int:
    """Increment the user's version if their responses changed, and fold them in; return the version."""
    version: int = (_NEXT_VERSION if changed else _VERSION).run(connection, {"key": user_id})[0][0]
    if not changed:
        return version
    if catalog.serving is not None:
        serving = models.of(connection, catalog, catalog.serving)
        store(connection, serving.id, [fold_in(connection, serving, user_id)])
    return version
