"""/v1/catalogs/{catalog}/users/{user}/responses: what users answered.

A response that is put plainly has a short way, as `app.scoring.ready` has for scores: FastAPI takes half a
millisecond to look at its parameters one by one, to go through its layers and to write what comes back.
"""

import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from app.catalogs.ids import Id
from app.catalogs.path_parameters import CatalogId, MovieId, UserId
from app.database.tables import ID_LENGTH
from app.scoring import responses
from app.scoring.responses import ResponseRow, StoredResponse
from app.scoring.routes import Models
from app.web.auth.routes import READ, WRITE, Handler, KeyedRoute
from app.web.middleware import BEGAN
from app.web.parameters import After, Body, FromDatabase, Limit, Page, page


class AnswerRoute(KeyedRoute):
    """A route of responses; a plain PUT goes the short way, all else and every mistake to the handler."""

    def get_admitted_handler(self) -> Handler:
        """Return what answers the request of somebody who may ask."""
        ordinary = super().get_admitted_handler()
        if self.name != "put_response":
            return ordinary

        async def answer(request: Request) -> Response:
            if (
                request.headers.get("content-type") == "application/json"
                and not request.scope["query_string"]
            ):
                path, body = request.path_params, await request.body()
                ids = [path[name] for name in ("catalog", "user", "movie")]
                stored = await run_in_threadpool(_put_plainly, request, ids, body)
                if stored is not None:
                    return stored
            return await ordinary(request)

        return answer


router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["responses"], route_class=AnswerRoute)

AfterPair = Annotated[
    str | None,
    Query(
        min_length=3,
        max_length=2 * ID_LENGTH + 1,
        pattern=r"^[^\x00]*$",
        description="`next` of the page before",
        json_schema_extra={"pattern": "^[^/]+/[^/]+$"},  # said in words in app.scoring.responses
    ),
]


class ResponseBody(Body):
    """An answer: 1 likes, 0 dislikes, anything between; the timestamp in seconds since 1970."""

    response: Annotated[float, Field(ge=0, le=1)]
    timestamp: Annotated[float, Field(ge=0, le=1e11)] | None = None


@router.put(
    "/users/{user}/responses/{movie}",
    dependencies=[WRITE],
    status_code=201,
    responses={200: {"model": StoredResponse}},
)
def put_response(
    request: Request,
    catalog: CatalogId,
    user: UserId,
    movie: MovieId,
    body: ResponseBody,
    response: Response,
) -> StoredResponse:
    """Store a response (201) or replace it (200), and relearn the user; the next score reflects it."""
    stored, response.status_code = _put(request, [catalog, user, movie], body)
    return stored


@router.delete("/users/{user}/responses/{movie}", dependencies=[WRITE], status_code=204)
def delete_response(
    database: FromDatabase, models: Models, catalog: CatalogId, user: UserId, movie: MovieId
) -> None:
    """Take a response back, and relearn the user."""
    with database.writing() as connection:
        responses.delete_response(connection, models, catalog, user, movie)


@router.get("/users/{user}/responses", dependencies=[READ])
def list_user_responses(
    database: FromDatabase, catalog: CatalogId, user: UserId, limit: Limit = 100, after: After = None
) -> Page[ResponseRow]:
    """List a user's responses in the order of the movies' ids."""
    with database.reading() as connection:
        found = responses.list_user_responses(connection, catalog, user, limit, after)
        return page(found, limit, lambda item: item.movie)


@router.get("/responses", dependencies=[READ])
def list_responses(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: AfterPair = None
) -> Page[ResponseRow]:
    """List all responses in the order of the users' ids, then the movies'."""
    with database.reading() as connection:
        found = responses.list_responses(connection, catalog, limit, after)
        return page(found, limit, lambda item: f"{item.user}/{item.movie}")


_IDS, _BODY, _STORED = TypeAdapter(list[Id]), TypeAdapter(ResponseBody), TypeAdapter(StoredResponse)


def _put_plainly(request: Request, ids: list[str], body: bytes) -> Response | None:
    """Put a response as the handler does, or return None when something is wrong with the request."""
    try:
        asked = _BODY.validate_json(body)
        _IDS.validate_python(ids)
    except ValidationError:
        return None
    stored, status = _put(request, ids, asked)
    return Response(_STORED.dump_json(stored), status, media_type="application/json")


def _put(request: Request, ids: list[str], body: ResponseBody) -> tuple[StoredResponse, HTTPStatus]:
    app, (catalog, user, movie) = request.app.state, ids
    with app.database.writing() as connection:
        stored, new = responses.put_response(
            connection, app.models, catalog, user, movie, body.response, body.timestamp
        )
    if stored.training is not None:  # from here on whoever reads, in any process, reads its embedding
        app.measurements.freshness.observe(time.perf_counter() - request.scope[BEGAN])
    return stored, HTTPStatus.CREATED if new else HTTPStatus.OK
