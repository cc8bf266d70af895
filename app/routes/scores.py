"""Like-scores: of one user for named movies, the best of all movies, and of many pairs at once."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app import scores
from app.names import Id
from app.routes.parameters import Body, CatalogId, FromApp, UserId
from app.scores import PairScores, UserScores

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["scores"])


class PairsBody(Body):
    """Pairs of a user and a movie."""

    # JSON knows no tuples, so these two are not strict; the ids inside are text either way.
    pairs: Annotated[list[Annotated[tuple[Id, Id], Field(strict=False)]], Field(max_length=100_000)]


@router.get("/users/{user}/scores")
def list_scores(
    app: FromApp,
    catalog: CatalogId,
    user: UserId,
    movie: Annotated[
        list[Id], Query(max_length=1000, description="movies, in the order wanted; all if none")
    ] = [],  # noqa: B006 - FastAPI copies it
) -> UserScores:
    """Score the named movies for a user, in the order asked."""
    with app.database.reading() as connection:
        return scores.score_movies(connection, app.matrices, catalog, user, movie)


@router.get("/users/{user}/recommendations")
def list_recommendations(
    app: FromApp,
    catalog: CatalogId,
    user: UserId,
    limit: Annotated[int, Query(ge=1, le=1000, description="most movies returned")] = 10,
    exclude: Annotated[list[Id], Query(max_length=1000, description="movies to leave out")] = [],  # noqa: B006 - FastAPI copies it
    min_score: Annotated[float, Query(ge=0, le=1, description="least score returned")] = 0.0,
) -> UserScores:
    """Recommend movies that the user has not answered, most likely liked first."""
    with app.database.reading() as connection:
        return scores.recommend(
            connection,
            app.matrices,
            catalog,
            user,
            limit=limit,
            exclude=exclude,
            min_score=min_score,
        )


@router.post("/scores")
def score_pairs(app: FromApp, catalog: CatalogId, body: PairsBody) -> PairScores:
    """Score many pairs at once, in their order."""
    with app.database.reading() as connection:
        return scores.score_pairs(connection, app.matrices, catalog, body.pairs)
