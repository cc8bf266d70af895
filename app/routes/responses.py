"""/v1/catalogs/{catalog}/users/{user}/responses: what users answered."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from app import responses
from app.responses import ResponseRow, StoredResponse
from app.routes.parameters import After, Body, CatalogId, FromApp, Limit, MovieId, Page, UserId, page
from app.tables import ID_LENGTH

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["responses"])

AfterPair = Annotated[
    str | None,
    Query(
        min_length=3,
        max_length=2 * ID_LENGTH + 1,
        description="`next` of the page before",
        json_schema_extra={"pattern": "^[^/]+/[^/]+$"},  # said in words in app.responses
    ),
]


class ResponseBody(Body):
    """An answer: 1 likes, 0 dislikes, anything between; the timestamp in seconds since 1970."""

    response: Annotated[float, Field(ge=0, le=1)]
    timestamp: Annotated[float, Field(ge=0, le=1e11)] | None = None


@router.put("/users/{user}/responses/{movie}", status_code=201, responses={200: {"model": StoredResponse}})
def put_response(
    app: FromApp, catalog: CatalogId, user: UserId, movie: MovieId, body: ResponseBody, response: Response
) -> StoredResponse:
    """Store a response (201) or replace it (200), and relearn the user; the next score reflects it."""
    with app.database.writing() as connection:
        stored, new = responses.put_response(
            connection, app.models, catalog, user, movie, body.response, body.timestamp
        )
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        return stored


@router.delete("/users/{user}/responses/{movie}", status_code=204)
def delete_response(app: FromApp, catalog: CatalogId, user: UserId, movie: MovieId) -> None:
    """Take a response back, and relearn the user."""
    with app.database.writing() as connection:
        responses.delete_response(connection, app.models, catalog, user, movie)


@router.get("/users/{user}/responses")
def list_user_responses(
    app: FromApp, catalog: CatalogId, user: UserId, limit: Limit = 100, after: After = None
) -> Page[ResponseRow]:
    """List a user's responses in the order of the movies' ids."""
    with app.database.reading() as connection:
        found = responses.list_user_responses(connection, catalog, user, limit, after)
        return page(found, limit, lambda item: item.movie)


@router.get("/responses")
def list_responses(
    app: FromApp, catalog: CatalogId, limit: Limit = 100, after: AfterPair = None
) -> Page[ResponseRow]:
    """List all responses in the order of the users' ids, then the movies'."""
    with app.database.reading() as connection:
        found = responses.list_responses(connection, catalog, limit, after)
        return page(found, limit, lambda item: f"{item.user}/{item.movie}")
