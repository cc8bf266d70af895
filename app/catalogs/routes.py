"""/v1/catalogs: catalogs, their movies with vectors, and their users."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Discriminator, Field, Tag

from app.catalogs import catalogs, movies, users
from app.catalogs.catalogs import CatalogSummary
from app.catalogs.ids import Dimension, Title
from app.catalogs.movies import MovieRow
from app.catalogs.path_parameters import CatalogId, MovieId, UserId
from app.catalogs.users import UserRow
from app.database.vectors import LARGEST
from app.web.auth.routes import ADMIN, READ, WRITE, AuthenticatedRoute
from app.web.parameters import After, Body, FromDatabase, Limit, Page, Search, page

router = APIRouter(prefix="/v1/catalogs", tags=["catalogs"], route_class=AuthenticatedRoute)


class CatalogBody(Body):
    """A catalog: what its movies' numbers mean, in order."""

    title: Title | None = None
    dimensions: Annotated[list[Dimension], Field(max_length=4096, json_schema_extra={"uniqueItems": True})]


@router.put("/{catalog}", dependencies=[WRITE], status_code=201, responses={200: {"model": CatalogSummary}})
def put_catalog(
    database: FromDatabase, catalog: CatalogId, body: CatalogBody, response: Response
) -> CatalogSummary:
    """Make a catalog (201) or replace its title and dimensions (200)."""
    with database.writing() as connection:
        new = catalogs.put_catalog(connection, catalog, body.title, body.dimensions)
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        return catalogs.read_catalog(connection, catalog)


@router.get("", dependencies=[READ])
def list_catalogs(
    database: FromDatabase, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[CatalogSummary]:
    """List the catalogs in the order of their ids."""
    with database.reading() as connection:
        rows = catalogs.list_catalogs(connection, limit, after, search)
        return page(rows, limit, lambda item: item.catalog)


@router.get("/{catalog}", dependencies=[READ])
def read_catalog(database: FromDatabase, catalog: CatalogId) -> CatalogSummary:
    """Show a catalog; movies, users and responses are counts."""
    with database.reading() as connection:
        return catalogs.read_catalog(connection, catalog)


@router.delete("/{catalog}", dependencies=[ADMIN], status_code=204)
def delete_catalog(database: FromDatabase, catalog: CatalogId) -> None:
    """Delete a catalog and everything in it; a training that runs on it stops."""
    with database.writing() as connection:
        catalogs.delete_catalog(connection, catalog)


movies_router = APIRouter(
    prefix="/v1/catalogs/{catalog}/movies", tags=["movies"], route_class=AuthenticatedRoute
)

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


Vector = Annotated[
    Annotated[list[Number], Field(max_length=4096), Tag("numbers")]
    | Annotated[
        dict[Dimension, Number],
        Field(max_length=4096, json_schema_extra={"additionalProperties": False}),
        Tag("by name"),
    ],
    # Only one of the two is tried, so that a mistake is reported once.
    Discriminator(lambda vector: "by name" if isinstance(vector, dict) else "numbers"),
]


class MovieBody(Body):
    """A movie; its vector in the order of the catalog's dimensions, or by their names."""

    title: Title | None = None
    vector: Vector


@movies_router.put("/{movie}", dependencies=[WRITE], status_code=201, responses={200: {"model": MovieRow}})
def put_movie(
    database: FromDatabase, catalog: CatalogId, movie: MovieId, body: MovieBody, response: Response
) -> MovieRow:
    """Store a movie (201) or replace it (200)."""
    with database.writing() as connection:
        new = movies.put_movie(connection, catalog, movie, body.title, body.vector)
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        return movies.read_movie(connection, catalog, movie)


@movies_router.get("", dependencies=[READ])
def list_movies(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[MovieRow]:
    """List the movies in the order of their ids."""
    with database.reading() as connection:
        rows = movies.list_movies(connection, catalog, limit, after, search)
        return page(rows, limit, lambda item: item.movie)


@movies_router.get("/{movie}", dependencies=[READ])
def read_movie(database: FromDatabase, catalog: CatalogId, movie: MovieId) -> MovieRow:
    """Show a movie."""
    with database.reading() as connection:
        return movies.read_movie(connection, catalog, movie)


@movies_router.delete("/{movie}", dependencies=[WRITE], status_code=204)
def delete_movie(database: FromDatabase, catalog: CatalogId, movie: MovieId) -> None:
    """Delete a movie and the responses to it; who answered it is relearned."""
    with database.writing() as connection:
        movies.delete_movie(connection, catalog, movie)


users_router = APIRouter(
    prefix="/v1/catalogs/{catalog}/users", tags=["users"], route_class=AuthenticatedRoute
)


@users_router.get("", dependencies=[READ])
def list_users(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[UserRow]:
    """List the users in the order of their ids, with the number of their responses."""
    with database.reading() as connection:
        rows = users.list_users(connection, catalog, limit, after, search)
        return page(rows, limit, lambda item: item.user)


@users_router.delete("/{user}", dependencies=[WRITE], status_code=204)
def delete_user(database: FromDatabase, catalog: CatalogId, user: UserId) -> None:
    """Forget a user: responses and, in every training, embeddings."""
    with database.writing() as connection:
        users.delete_user(connection, catalog, user)
