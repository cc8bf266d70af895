"""The routes of scores and responses."""

import time
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from starlette.concurrency import run_in_threadpool

from app.catalogs.ids import Id
from app.catalogs.path_parameters import CatalogId, MovieId, UserId
from app.database.tables import ID_LENGTH
from app.scoring import previews, questions, responses, scores
from app.scoring.explanations import Include
from app.scoring.fast_path import (
    MOST_PAIRS,
    FastPathRoute,
    answer_pairs,
    answer_recommendations,
    answer_scores,
    fast_path,
    is_plain_json,
)
from app.scoring.model_cache import TrainedModels
from app.scoring.previews import Preview, PreviewInclude, PreviewRequest
from app.scoring.questions import NextQuestion
from app.scoring.responses import ResponseRow, StoredResponse
from app.scoring.scores import Embedding, PairScores, UserScores
from app.web.auth.routes import READ, WRITE, AuthenticatedRoute
from app.web.parameters import After, Body, FromDatabase, Limit, Page, from_app, page
from app.web.scope import BEGAN

Models = Annotated[TrainedModels, from_app("models")]

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["scores"], route_class=FastPathRoute)

users_router = APIRouter(
    prefix="/v1/catalogs/{catalog}/users", tags=["users"], route_class=AuthenticatedRoute
)

ResponseValue = Annotated[float, Field(ge=0, le=1)]


def _split(values: object) -> object:
    """Take `include=interval,explanation` like `include=interval&include=explanation`."""
    if not isinstance(values, list):
        return values
    return [part for value in values for part in (value.split(",") if isinstance(value, str) else [value])]


Included = Annotated[
    list[Include],
    BeforeValidator(_split),
    Query(
        max_length=10,
        description="interval: where the score lies with 90 %; explanation: the logit as a sum; "
        "influences: which of the user's own responses moved the score most. Separated by commas or repeated",
    ),
]


class PairsBody(Body):
    """Pairs of a user and a movie."""

    # JSON knows no tuples, so these two are not strict; the ids inside are text either way. To say what is
    # wrong with each of a hundred thousand takes a second.
    pairs: Annotated[
        list[Annotated[tuple[Id, Id], Field(strict=False)]], Field(max_length=MOST_PAIRS, fail_fast=True)
    ]


class PreviewBody(Body):
    """What somebody unknown would answer, and what is to be scored for them: these movies, or the best."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["movies", "limit"],
                "properties": {"movies": {"type": "array"}, "limit": {"type": "number"}},
            }
        }
    )

    responses: Annotated[
        dict[Id, ResponseValue], Field(max_length=10_000, json_schema_extra={"additionalProperties": False})
    ] = {}  # noqa: RUF012 - pydantic copies it
    movies: Annotated[list[Id], Field(max_length=1000)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000, description="how many of the best, 10 if left out")] | None = (
        None
    )
    exclude: Annotated[list[Id], Field(max_length=1000, description="movies to leave out of the best")] = []  # noqa: RUF012 - likewise
    include: Annotated[list[PreviewInclude], Field(max_length=10)] = []  # noqa: RUF012 - likewise

    @model_validator(mode="after")
    def _movies_or_limit(self) -> Self:
        if self.movies is not None and self.limit is not None:
            raise ValueError("give movies to score these, or limit to get the best, not both")
        return self


@router.get("/users/{user}/scores", dependencies=[READ], response_model_exclude_none=True)
@fast_path(answer_scores)
def list_scores(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    user: UserId,
    movie: Annotated[
        list[Id], Query(max_length=1000, description="movies, in the order wanted; all if none")
    ] = [],  # noqa: B006 - FastAPI copies it
    include: Included = [],  # noqa: B006 - FastAPI copies it
) -> UserScores:
    """Score the named movies for a user, in the order asked."""
    with database.reading() as connection:
        return scores.score_movies(connection, models, catalog, user, movie, include)


@router.get("/users/{user}/recommendations", dependencies=[READ], response_model_exclude_none=True)
@fast_path(answer_recommendations)
def list_recommendations(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    user: UserId,
    limit: Annotated[int, Query(ge=1, le=1000, description="most movies returned")] = 10,
    exclude: Annotated[list[Id], Query(max_length=1000, description="movies to leave out")] = [],  # noqa: B006 - FastAPI copies it
    min_score: Annotated[float, Query(ge=0, le=1, description="least score returned")] = 0.0,
    include: Included = [],  # noqa: B006 - FastAPI copies it
) -> UserScores:
    """Recommend movies that the user has not answered, most likely liked first."""
    with database.reading() as connection:
        return scores.recommend(
            connection,
            models,
            catalog,
            user,
            limit=limit,
            exclude=exclude,
            min_score=min_score,
            include=include,
        )


@router.get("/users/{user}/next-question", dependencies=[READ])
def read_next_question(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    user: UserId,
    exclude: Annotated[list[Id], Query(max_length=1000, description="movies not to ask about")] = [],  # noqa: B006 - FastAPI copies it
) -> NextQuestion:
    """Choose the movie whose answer would teach most of a user, known or not."""
    with database.reading() as connection:
        return questions.find_next_question(connection, models, catalog, user, exclude)


@router.post("/scores", dependencies=[READ])
@fast_path(answer_pairs)
def score_pairs(database: FromDatabase, models: Models, catalog: CatalogId, body: PairsBody) -> PairScores:
    """Score many pairs at once, in their order."""
    with database.reading() as connection:
        return scores.score_pairs(connection, models, catalog, body.pairs)


@router.post("/scores:preview", dependencies=[READ], response_model_exclude_none=True)
def preview_scores(database: FromDatabase, models: Models, catalog: CatalogId, body: PreviewBody) -> Preview:
    """Score movies for somebody unknown by the responses that they would give; nothing is stored."""
    request = PreviewRequest(body.movies, body.limit, body.exclude, body.include)
    with database.reading() as connection:
        return previews.preview_scores(connection, models, catalog, body.responses, request)


@users_router.get("/{user}/embedding", dependencies=[READ])
def read_embedding(database: FromDatabase, models: Models, catalog: CatalogId, user: UserId) -> Embedding:
    """Show a user's embedding in the serving training, by the names of the dimensions."""
    with database.reading() as connection:
        return scores.read_embedding(connection, models, catalog, user)


responses_router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["responses"], route_class=FastPathRoute)

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


_IDS, _BODY, _STORED = TypeAdapter(list[Id]), TypeAdapter(ResponseBody), TypeAdapter(StoredResponse)


async def answer_put(request: Request) -> Response | None:
    """Put a response as `put_response` does, or return None when something is wrong with the request."""
    if not is_plain_json(request):
        return None
    path = request.path_params
    ids = [path["catalog"], path["user"], path["movie"]]
    return await run_in_threadpool(_put_plainly, request, ids, await request.body())


def _put_plainly(request: Request, ids: list[str], content: bytes) -> Response | None:
    try:
        body = _BODY.validate_json(content)
        _IDS.validate_python(ids)
    except ValidationError:
        return None
    answer, status = _put(request, ids, body)
    return Response(_STORED.dump_json(answer), status, media_type="application/json")


def _put(request: Request, ids: list[str], body: ResponseBody) -> tuple[StoredResponse, HTTPStatus]:
    app, (catalog, user, movie) = request.app.state, ids
    with app.database.writing() as connection:
        answer, new = responses.put_response(
            connection, app.models, catalog, user, movie, body.response, body.timestamp
        )
    if answer.training is not None:  # from here on whoever reads, in any process, reads its embedding
        app.metrics.freshness.observe(time.perf_counter() - request.scope[BEGAN])
    return answer, HTTPStatus.CREATED if new else HTTPStatus.OK


@responses_router.put(
    "/users/{user}/responses/{movie}",
    dependencies=[WRITE],
    status_code=201,
    responses={200: {"model": StoredResponse}},
)
@fast_path(answer_put)
def put_response(
    request: Request,
    catalog: CatalogId,
    user: UserId,
    movie: MovieId,
    body: ResponseBody,
    response: Response,
) -> StoredResponse:
    """Store a response (201) or replace it (200), and relearn the user; the next score reflects it."""
    answer, response.status_code = _put(request, [catalog, user, movie], body)
    return answer


@responses_router.delete("/users/{user}/responses/{movie}", dependencies=[WRITE], status_code=204)
def delete_response(
    database: FromDatabase, models: Models, catalog: CatalogId, user: UserId, movie: MovieId
) -> None:
    """Take a response back, and relearn the user."""
    with database.writing() as connection:
        responses.delete_response(connection, models, catalog, user, movie)


@responses_router.get("/users/{user}/responses", dependencies=[READ])
def list_user_responses(
    database: FromDatabase, catalog: CatalogId, user: UserId, limit: Limit = 100, after: After = None
) -> Page[ResponseRow]:
    """List a user's responses in the order of the movies' ids."""
    with database.reading() as connection:
        rows = responses.list_user_responses(connection, catalog, user, limit, after)
        return page(rows, limit, lambda item: item.movie)


@responses_router.get("/responses", dependencies=[READ])
def list_responses(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: AfterPair = None
) -> Page[ResponseRow]:
    """List all responses in the order of the users' ids, then the movies'."""
    with database.reading() as connection:
        rows = responses.list_responses(connection, catalog, limit, after)
        return page(rows, limit, lambda item: f"{item.user}/{item.movie}")
