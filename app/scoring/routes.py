"""Like-scores: of one user for named movies, the best of all movies, of many pairs, of somebody unknown."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from app.catalogs.ids import Id
from app.catalogs.path_parameters import CatalogId, UserId
from app.scoring import previews, questions, scores
from app.scoring.explanations import Include
from app.scoring.model_cache import TrainedModels
from app.scoring.previews import Asked, Preview, PreviewInclude
from app.scoring.questions import NextQuestion
from app.scoring.ready import MOST_PAIRS, ReadyRoute
from app.scoring.scores import Embedding, PairScores, UserScores
from app.web.auth.routes import READ, KeyedRoute
from app.web.parameters import Body, FromDatabase, from_app

Models = Annotated[TrainedModels, from_app("models")]

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["scores"], route_class=ReadyRoute)

users_router = APIRouter(prefix="/v1/catalogs/{catalog}/users", tags=["users"], route_class=KeyedRoute)

Response = Annotated[float, Field(ge=0, le=1)]


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
        dict[Id, Response], Field(max_length=10_000, json_schema_extra={"additionalProperties": False})
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
def score_pairs(database: FromDatabase, models: Models, catalog: CatalogId, body: PairsBody) -> PairScores:
    """Score many pairs at once, in their order."""
    with database.reading() as connection:
        return scores.score_pairs(connection, models, catalog, body.pairs)


@router.post("/scores:preview", dependencies=[READ], response_model_exclude_none=True)
def preview_scores(database: FromDatabase, models: Models, catalog: CatalogId, body: PreviewBody) -> Preview:
    """Score movies for somebody unknown by the responses that they would give; nothing is stored."""
    asked = Asked(body.movies, body.limit, body.exclude, body.include)
    with database.reading() as connection:
        return previews.preview_scores(connection, models, catalog, body.responses, asked)


@users_router.get("/{user}/embedding", dependencies=[READ])
def read_embedding(database: FromDatabase, models: Models, catalog: CatalogId, user: UserId) -> Embedding:
    """Show a user's embedding in the serving training, by the names of the dimensions."""
    with database.reading() as connection:
        return scores.read_embedding(connection, models, catalog, user)
