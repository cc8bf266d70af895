"""Scores on the regular path: of a user for movies, the best of all movies, of many pairs.

Every request is answered here, or by the fast path with the same reader and the same format.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf, log

import torch
from sqlalchemy import Connection, select
from torch import Tensor

from app.catalogs.catalogs import CatalogRow, find_catalog
from app.catalogs.movies import unknown_movie
from app.database import vectors
from app.database.tables import Response
from app.errors import NotFound, Place
from app.scoring.explanations import Explanation, Include, Influence, Interval, check_include, details
from app.scoring.fold_in import others_squared_norm, read_answers
from app.scoring.model_cache import MovieMatrix, TrainedModel, TrainedModels
from app.scoring.posteriors import (
    Basis,
    Person,
    find_serving,
    read_posterior,
    read_posteriors,
    unknown_user,
)
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
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    person = read_posterior(connection, catalog_row, serving, user)
    rows = rows_of(serving.movies, catalog, movies)
    models.memory.check_scores(
        len(rows), f"name movies, or GET /v1/catalogs/{catalog}/users/{user}/recommendations for the best"
    )
    logits = serving.model.predict(person.posterior, rows).logits
    return _score_rows(connection, catalog_row, serving, person, rows, logits, include)


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
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    person = read_posterior(connection, catalog_row, serving, user)
    left_out = [*_answered(connection, serving, person), *named_rows(serving.movies, exclude)]
    best = serving.best(person.posterior, limit, torch.tensor(left_out, dtype=torch.int64), _logit(min_score))
    return _score_rows(connection, catalog_row, serving, person, best.rows, best.logits, include)


def score_pairs(
    connection: Connection, models: TrainedModels, catalog: str, pairs: Sequence[tuple[str, str]]
) -> PairScores:
    """Return one score a (user, movie) pair; raises `NotFound` that names each unknown one."""
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    users = list(dict.fromkeys(user for user, _ in pairs))
    check_posteriors(models, serving, len(users))
    people = read_posteriors(connection, catalog_row, serving, users)
    _check_pairs(catalog, pairs, people, serving.movies)
    if not pairs:
        return PairScores(serving.id, [])
    posteriors = {
        id(person.posterior): person.posterior for person in people.values()
    }  # cold-start users share theirs
    positions = {key: index for index, key in enumerate(posteriors)}
    prediction = serving.model.predict_pairs(
        list(posteriors.values()),
        torch.tensor([positions[id(people[user].posterior)] for user, _ in pairs]),
        torch.tensor([serving.movies.rows[movie] for _, movie in pairs]),
    )
    return PairScores(serving.id, scoring.scores(prediction.logits).tolist())


def check_posteriors(models: TrainedModels, serving: TrainedModel, users: int) -> None:
    """Raise `TooLarge` when the posteriors of so many users do not fit into memory."""
    prior = serving.model.cold_start()
    size = serving.movies.vectors.shape[1] if prior is None else len(prior.embedding)
    models.memory.check_posteriors(users, size, uncertain=serving.model.uncertain)


def read_embedding(connection: Connection, models: TrainedModels, catalog: str, user: str) -> Embedding:
    """Return the user's embedding, on the scale of the movies' vectors.

    Raises `NotFound` when they have no responses, and `Conflict` when nothing is trained yet.
    """
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    person = read_posterior(connection, catalog_row, serving, user)
    if person.responses == 0:
        raise unknown_user(catalog, user)
    numbers = serving.model.show(person.posterior)
    weights, learned_numbers = (
        vectors.to_numbers(part.float().numpy()) for part in (numbers.weights, numbers.learned)
    )
    by_name = dict(zip(catalog_row.dimensions, weights, strict=True))
    return Embedding(
        user,
        serving.id,
        by_name,
        numbers.user_bias,
        learned_numbers,
        person.responses,
        person.version,
    )


def rows_of(movies: MovieMatrix, catalog: str, ids: Sequence[str]) -> Tensor:
    """Return the rows int64 [n] of the named movies, of all when none is named; raises `NotFound`."""
    if not ids:
        return torch.arange(len(movies.movies))
    for movie in ids:
        if movie not in movies.rows:
            raise unknown_movie(catalog, movie)
    return torch.tensor([movies.rows[movie] for movie in ids], dtype=torch.int64)


def named_rows(movies: MovieMatrix, ids: Sequence[str]) -> list[int]:
    """Return the rows of those of the named movies that there are."""
    return [movies.rows[movie] for movie in ids if movie in movies.rows]


def format_scores(serving: TrainedModel, rows: Sequence[int], logits: Tensor) -> list[Score]:
    """Return the scores of the movies at ``rows`` [n], of their ``logits`` [n], with ids and titles."""
    movies, titles = serving.movies.movies, serving.movies.titles
    numbers = zip(rows, scoring.scores(logits).tolist(), logits.tolist(), strict=True)
    return [Score(movies[row], titles[row], score, logit) for row, score, logit in numbers]


def format_details(
    serving: TrainedModel,
    dimensions: Sequence[str],
    person: Person,
    rows: Tensor,
    logits: Tensor,
    include: Collection[Include],
) -> list[Score]:
    """Return what `format_scores` returns, each score with what is to be included."""
    scores = format_scores(serving, rows.tolist(), logits)
    if not include:
        return scores
    parts = details(serving, dimensions, person, rows, include)
    return [
        replace(score, interval=part.interval, explanation=part.explanation, influences=part.influences)
        for score, part in zip(scores, parts, strict=True)
    ]


def user_scores(serving: TrainedModel, person: Person, scores: list[Score]) -> UserScores:
    """Return a user's scores with what they rest on."""
    return UserScores(person.user, serving.id, person.responses, person.basis, scores)


def _score_rows(
    connection: Connection,
    catalog: CatalogRow,
    serving: TrainedModel,
    person: Person,
    rows: Tensor,
    logits: Tensor,
    include: Collection[Include],
) -> UserScores:
    check_include(serving, len(rows), include, lambda message: Place(message, parameter="include"))
    if "influences" in include and person.user_id is not None:
        person = replace(
            person,
            answers=read_answers(connection, serving, person.user_id),
            others_squared_norm=others_squared_norm(connection, serving, person.user_id),
        )
    scores = format_details(serving, catalog.dimensions, person, rows, logits, include)
    return user_scores(serving, person, scores)


def _answered(connection: Connection, serving: TrainedModel, person: Person) -> list[int]:
    if person.user_id is None:
        return []
    answers = connection.scalars(select(Response.movie_id).where(Response.user_id == person.user_id))
    return [serving.movies.rows_by_key[key] for key in answers]


def _check_pairs(
    catalog: str,
    pairs: Sequence[tuple[str, str]],
    people: dict[str, Person],
    matrix: MovieMatrix,
) -> None:
    places: list[Place] = []
    for index, (user, movie) in enumerate(pairs):
        if user not in people:
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
