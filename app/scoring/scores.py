"""Like-scores: what the user's taste says of the movies, put into words for the API.

Does not know how tastes are kept or learned.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf, log

import torch
from sqlalchemy import Connection, select
from torch import Tensor

from app.catalogs.catalogs import CatalogRow, find_catalog
from app.catalogs.movies import unknown_movie
from app.database import vectors
from app.database.tables import Response
from app.errors import NotFound, Place
from app.scoring.explanations import Explanation, Include, Influence, Interval, Person, check_include, details
from app.scoring.fold_in import (
    Basis,
    CurrentPosterior,
    find_serving,
    others_squared_norm,
    read_answers,
    read_posterior,
    read_posteriors,
    unknown_user,
)
from app.scoring.model_cache import MovieMatrix, TrainedModel, TrainedModels
from models.recommender import scoring


@dataclass(frozen=True)
class Score:
    """How probable it is that the user likes the movie; score = σ(logit). The rest if it was asked for."""

    movie: str
    title: str
    score: float
    logit: float
    interval: Interval | None = None
    explanation: Explanation | None = None
    influences: list[Influence] | None = None


@dataclass(frozen=True)
class UserScores:
    """Scores of one user, the training they come from, and what they rest on."""

    user: str
    training: int
    responses: int
    basis: Basis
    scores: list[Score]


@dataclass(frozen=True)
class PairScores:
    """Scores in the order of the pairs asked for."""

    training: int
    scores: list[float]


@dataclass(frozen=True)
class Embedding:
    """A user's embedding by the names of the dimensions.

    ``offset`` is the user's own, whatever the movie; ``learned`` the weights of the learned dimensions.
    """

    user: str
    training: int
    embedding: dict[str, float]
    offset: float
    learned: list[float]
    responses: int
    embedding_version: int


def score_movies(
    connection: Connection,
    models: TrainedModels,
    catalog: str,
    user: str,
    movies: Sequence[str],
    include: Collection[Include] = (),
) -> UserScores:
    """Return the user's scores for the named movies, in this order; all movies when none is named.

    Raises `NotFound` for catalog, user or movie, `Conflict` when nothing is trained yet, `TooLarge` for more
    movies than memory allows, and what `app.scoring.explanations.check_include` raises.
    """
    found = find_catalog(connection, catalog)
    trained = find_serving(connection, models, found)
    known = read_posterior(connection, found, trained, user)
    rows = rows_of(trained.movies, catalog, movies)
    models.memory.check_scores(
        len(rows), f"name movies, or GET /v1/catalogs/{catalog}/users/{user}/recommendations for the best"
    )
    logits = trained.model.predict(known.posterior, rows).logits
    return _user_scores(connection, found, trained, known, rows, logits, include)


def recommend(
    connection: Connection,
    models: TrainedModels,
    catalog: str,
    user: str,
    *,
    limit: int,
    exclude: Sequence[str],
    min_score: float,
    include: Collection[Include] = (),
) -> UserScores:
    """Return the movies that the user has not answered, most likely liked first.

    Raises `NotFound` for catalog or user, `Conflict` when nothing is trained yet, and what
    `app.scoring.explanations.check_include` raises.
    """
    found = find_catalog(connection, catalog)
    trained = find_serving(connection, models, found)
    known = read_posterior(connection, found, trained, user)
    left_out = [*_answered(connection, trained, known), *named_rows(trained.movies, exclude)]
    best = trained.best(known.posterior, limit, torch.tensor(left_out, dtype=torch.int64), _logit(min_score))
    return _user_scores(connection, found, trained, known, best.rows, best.logits, include)


def score_pairs(
    connection: Connection, models: TrainedModels, catalog: str, pairs: Sequence[tuple[str, str]]
) -> PairScores:
    """Return one score a (user, movie) pair; raises `NotFound` that names each unknown one."""
    found = find_catalog(connection, catalog)
    trained = find_serving(connection, models, found)
    users = list(dict.fromkeys(user for user, _ in pairs))
    check_posteriors(models, trained, len(users))
    known = read_posteriors(connection, found, trained, users)
    _check_pairs(catalog, pairs, known, trained.movies)
    if not pairs:
        return PairScores(trained.id, [])
    posteriors = {id(one.posterior): one.posterior for one in known.values()}  # strangers share theirs
    positions = {key: index for index, key in enumerate(posteriors)}
    predicted = trained.model.predict_pairs(
        list(posteriors.values()),
        torch.tensor([positions[id(known[user].posterior)] for user, _ in pairs]),
        torch.tensor([trained.movies.rows[movie] for _, movie in pairs]),
    )
    return PairScores(trained.id, scoring.scores(predicted.logits).tolist())


def check_posteriors(models: TrainedModels, trained: TrainedModel, users: int) -> None:
    """Raise `TooLarge` when the tastes of so many users do not fit into memory."""
    stranger = trained.model.cold_start()
    size = trained.movies.vectors.shape[1] if stranger is None else len(stranger.embedding)
    models.memory.check_posteriors(users, size, uncertain=trained.model.uncertain)


def read_embedding(connection: Connection, models: TrainedModels, catalog: str, user: str) -> Embedding:
    """Return the user's embedding, on the scale of the movies' vectors.

    Raises `NotFound` when they have no responses, and `Conflict` when nothing is trained yet.
    """
    found = find_catalog(connection, catalog)
    trained = find_serving(connection, models, found)
    known = read_posterior(connection, found, trained, user)
    if known.responses == 0:
        raise unknown_user(catalog, user)
    shown = trained.model.show(known.posterior)
    weights, learned = (vectors.to_numbers(part.float().numpy()) for part in (shown.weights, shown.learned))
    by_name = dict(zip(found.dimensions, weights, strict=True))
    return Embedding(user, trained.id, by_name, shown.user_bias, learned, known.responses, known.version)


def rows_of(movies: MovieMatrix, catalog: str, named: Sequence[str]) -> Tensor:
    """Return the rows int64 [n] of the named movies, of all when none is named; raises `NotFound`."""
    if not named:
        return torch.arange(len(movies.movies))
    for movie in named:
        if movie not in movies.rows:
            raise unknown_movie(catalog, movie)
    return torch.tensor([movies.rows[movie] for movie in named], dtype=torch.int64)


def named_rows(movies: MovieMatrix, named: Sequence[str]) -> list[int]:
    """Return the rows of those of the named movies that there are."""
    return [movies.rows[movie] for movie in named if movie in movies.rows]


def listed(
    trained: TrainedModel,
    dimensions: Sequence[str],
    person: Person,
    rows: Tensor,
    logits: Tensor,
    include: Collection[Include],
) -> list[Score]:
    """Return the scores of the movies at ``rows`` [n] with their ``logits`` [n] in words."""
    movies = trained.movies
    numbers = zip(rows.tolist(), scoring.scores(logits).tolist(), logits.tolist(), strict=True)
    scores = [(movies.movies[row], movies.titles[row], score, logit) for row, score, logit in numbers]
    if not include:
        return [Score(*one) for one in scores]
    included = details(trained, dimensions, person, rows, include)
    return [
        Score(*one, each.interval, each.explanation, each.influences)
        for one, each in zip(scores, included, strict=True)
    ]


def _user_scores(
    connection: Connection,
    catalog: CatalogRow,
    trained: TrainedModel,
    known: CurrentPosterior,
    rows: Tensor,
    logits: Tensor,
    include: Collection[Include],
) -> UserScores:
    check_include(trained, len(rows), include, lambda said: Place(said, parameter="include"))
    person = Person(known.posterior)
    if "influences" in include and known.user_id is not None:
        answers = read_answers(connection, trained, known.user_id)
        person = Person(known.posterior, answers, others_squared_norm(connection, trained, known.user_id))
    scores = listed(trained, catalog.dimensions, person, rows, logits, include)
    return UserScores(known.user, trained.id, known.responses, known.basis, scores)


def _answered(connection: Connection, trained: TrainedModel, known: CurrentPosterior) -> list[int]:
    if known.user_id is None:
        return []
    answered = connection.scalars(select(Response.movie_id).where(Response.user_id == known.user_id))
    return [trained.movies.rows_by_key[key] for key in answered]


def _check_pairs(
    catalog: str,
    pairs: Sequence[tuple[str, str]],
    known: dict[str, CurrentPosterior],
    matrix: MovieMatrix,
) -> None:
    places: list[Place] = []
    for index, (user, movie) in enumerate(pairs):
        if user not in known:
            places.append(Place(unknown_user(catalog, user).detail, pointer=f"/pairs/{index}/0"))
        if movie not in matrix.rows:
            places.append(Place(unknown_movie(catalog, movie).detail, pointer=f"/pairs/{index}/1"))
        if len(places) >= 100:  # noqa: PLR2004 - enough to see what is wrong
            break
    if places:
        raise NotFound("some of the pairs name a user or a movie that is not known", places)


def _logit(score: float) -> float:
    if score <= 0.0:
        return -inf
    return inf if score >= 1.0 else log(score / (1.0 - score))
