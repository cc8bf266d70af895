"""Like-scores: the user's embedding times the movies' vectors, put into words for the API.

Does not know how embeddings are kept or learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import torch
from sqlalchemy import Connection, select
from torch import Tensor

from app import embeddings, vectors
from app.catalogs import find_catalog
from app.embeddings import CurrentEmbedding, find_serving, read_embeddings, unknown_user
from app.errors import NotFound, Place
from app.matrices import MovieMatrices, MovieMatrix
from app.movies import unknown_movie
from app.tables import Response
from models import scoring


@dataclass(frozen=True)
class Score:
    """How probable it is that the user likes the movie; score = σ(logit)."""

    movie: str
    title: str
    score: float
    logit: float


@dataclass(frozen=True)
class UserScores:
    """Scores of one user, the training they come from, and what they rest on."""

    user: str
    training: int
    responses: int
    basis: Literal["learned"]
    scores: list[Score]


@dataclass(frozen=True)
class PairScores:
    """Scores in the order of the pairs asked for."""

    training: int
    scores: list[float]


@dataclass(frozen=True)
class Embedding:
    """A user's embedding by the names of the dimensions."""

    user: str
    training: int
    embedding: dict[str, float]
    responses: int
    embedding_version: int


def score_movies(
    connection: Connection, matrices: MovieMatrices, catalog: str, user: str, movies: Sequence[str]
) -> UserScores:
    """Return the user's scores for the named movies, in this order; all movies when none is named.

    Raises `NotFound` for catalog, user or movie, `Conflict` when nothing is trained yet.
    """
    found = find_catalog(connection, catalog)
    training = find_serving(connection, found)
    known = embeddings.read_embedding(connection, found, training, user)
    matrix = matrices.of(connection, found)
    for movie in movies:
        if movie not in matrix.rows:
            raise unknown_movie(catalog, movie)
    rows = torch.tensor([matrix.rows[movie] for movie in movies], dtype=torch.int64)
    if not movies:
        rows = torch.arange(len(matrix.movies))
    logits = scoring.logits(known.embedding, matrix.vectors[rows])
    return _user_scores(known, training.id, matrix, rows, logits)


def recommend(
    connection: Connection,
    matrices: MovieMatrices,
    catalog: str,
    user: str,
    *,
    limit: int,
    exclude: Sequence[str],
    min_score: float,
) -> UserScores:
    """Return the movies that the user has not answered, most likely liked first.

    Raises `NotFound` for catalog or user, `Conflict` when nothing is trained yet.
    """
    found = find_catalog(connection, catalog)
    training = find_serving(connection, found)
    known = embeddings.read_embedding(connection, found, training, user)
    matrix = matrices.of(connection, found)
    answered = connection.scalars(select(Response.movie_id).where(Response.user_id == known.user_id))
    left_out = [matrix.rows_by_key[key] for key in answered]
    left_out += [matrix.rows[movie] for movie in exclude if movie in matrix.rows]
    best = scoring.best(
        known.embedding,
        matrix.vectors,
        matrix.largest_norm,
        limit,
        torch.tensor(left_out, dtype=torch.int64),
        _logit(min_score),
    )
    return _user_scores(known, training.id, matrix, best.rows, best.logits)


def score_pairs(
    connection: Connection, matrices: MovieMatrices, catalog: str, pairs: Sequence[tuple[str, str]]
) -> PairScores:
    """Return one score a (user, movie) pair; raises `NotFound` that names each unknown one."""
    found = find_catalog(connection, catalog)
    training = find_serving(connection, found)
    matrix = matrices.of(connection, found)
    known = read_embeddings(connection, found, training, list(dict.fromkeys(user for user, _ in pairs)))
    _check_pairs(catalog, pairs, known, matrix)
    if not pairs:
        return PairScores(training.id, [])
    positions = {user: index for index, user in enumerate(known)}
    stacked = torch.stack([row.embedding for row in known.values()])
    logits = scoring.logits(
        stacked[[positions[user] for user, _ in pairs]],
        matrix.vectors[[matrix.rows[movie] for _, movie in pairs]],
    )
    return PairScores(training.id, scoring.scores(logits).tolist())


def read_embedding(connection: Connection, catalog: str, user: str) -> Embedding:
    """Return the user's embedding; raises `NotFound`, and `Conflict` when nothing is trained yet."""
    found = find_catalog(connection, catalog)
    training = find_serving(connection, found)
    known = embeddings.read_embedding(connection, found, training, user)
    numbers = vectors.to_numbers(known.embedding.numpy())
    by_name = dict(zip(found.dimensions, numbers, strict=True))
    return Embedding(user, training.id, by_name, known.responses, known.version)


def _user_scores(
    known: CurrentEmbedding, training: int, matrix: MovieMatrix, rows: Tensor, logits: Tensor
) -> UserScores:
    listed = [
        Score(matrix.movies[row], matrix.titles[row], score, logit)
        for row, score, logit in zip(
            rows.tolist(), scoring.scores(logits).tolist(), logits.tolist(), strict=True
        )
    ]
    return UserScores(known.user, training, known.responses, "learned", listed)


def _check_pairs(
    catalog: str,
    pairs: Sequence[tuple[str, str]],
    known: dict[str, CurrentEmbedding],
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
