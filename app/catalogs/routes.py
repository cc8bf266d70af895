"""/v1/catalogs/{catalog}/movies: movies and their vectors."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Discriminator, Field, Tag

from app.catalogs import movies
from app.catalogs.ids import Dimension, Title
from app.catalogs.movies import MovieRow
from app.catalogs.path_parameters import CatalogId, MovieId
from app.database.vectors import LARGEST
from app.web.auth.routes import READ, WRITE, KeyedRoute
from app.web.parameters import After, Body, FromDatabase, Limit, Page, Search, page

router = APIRouter(prefix="/v1/catalogs/{catalog}/movies", tags=["movies"], route_class=KeyedRoute)

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


Vector = Annotated[
    Annotated[list[Number], Field(max_length=4096), Tag("numbers")]
    | Annotated[
        dict[Dimension, Number],
        Field(max_length=4096, json_schema_extra={"additionalProperties": False}),
        Tag("by name"),
    ],
    # Only one of the two is tried, so that a mistake is said once.
    Discriminator(lambda vector: "by name" if isinstance(vector, dict) else "numbers"),
]


class MovieBody(Body):
    """A movie; its vector in the order of the catalog's dimensions, or by their names."""

    title: Title | None = None
    vector: Vector


@router.put("/{movie}", dependencies=[WRITE], status_code=201, responses={200: {"model": MovieRow}})
def put_movie(
    database: FromDatabase, catalog: CatalogId, movie: MovieId, body: MovieBody, response: Response
) -> MovieRow:
    """Store a movie (201) or replace it (200)."""
    with database.writing() as connection:
        new = movies.put_movie(connection, catalog, movie, body.title, body.vector)
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        return movies.read_movie(connection, catalog, movie)


@router.get("", dependencies=[READ])
def list_movies(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[MovieRow]:
    """List the movies in the order of their ids."""
    with database.reading() as connection:
        found = movies.list_movies(connection, catalog, limit, after, search)
        return page(found, limit, lambda item: item.movie)


@router.get("/{movie}", dependencies=[READ])
def read_movie(database: FromDatabase, catalog: CatalogId, movie: MovieId) -> MovieRow:
    """Show a movie."""
    with database.reading() as connection:
        return movies.read_movie(connection, catalog, movie)


@router.delete("/{movie}", dependencies=[WRITE], status_code=204)
def delete_movie(database: FromDatabase, catalog: CatalogId, movie: MovieId) -> None:
    """Delete a movie and the responses to it; who answered it is relearned."""
    with database.writing() as connection:
        movies.delete_movie(connection, catalog, movie)
