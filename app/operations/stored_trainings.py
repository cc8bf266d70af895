"""Whether what a training stored is intact: its row, the sizes of its parameters, finite numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, NonNegativeInt
from sqlalchemy import Connection, Row, Select, func, select

from app.database import vectors
from app.database.tables import Movie, MovieEmbedding, TrainingState, User, UserEmbedding
from app.scoring.fold_in import squared_norm
from app.training.trainings import Status
from models.recommender.trainer import Sizes
from models.recommender.trainers import make_trainer

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class StoredTraining:
    """A training's row, with its catalog's key and dimensions."""

    id: int
    trainer: str
    options: dict[str, Any]
    status: str
    metrics: Mapping[str, Any] | None
    provenance: Mapping[str, Any] | None
    catalog_id: int
    dimensions: list[str]

    @property
    def digests(self) -> Mapping[str, Any]:
        """The digests in its provenance, with those of the rows they were taken of; {} if it has none."""
        provenance = self.provenance or {}
        rows = provenance.get("kept") if self.status == "succeeded" else None
        return {**provenance, **rows} if rows else {}

    @property
    def sizes(self) -> Sizes:
        """The sizes that its parameters must have; 0 unless it has succeeded."""
        if self.status != "succeeded":
            return Sizes(0, 0, 0)
        return make_trainer(self.trainer, self.options).sizes(len(self.dimensions))


def fault_in(training: StoredTraining) -> str | None:
    """Return what is wrong with what a training's row says of how to read the rest, None if nothing is."""
    try:
        _ = training.sizes
    except ValueError:
        return f"the trainer {training.trainer!r} does not take its options"
    if training.status not in get_args(Status):
        return f"{training.status!r} is no status"
    if training.status != "succeeded" or not (training.provenance or {}).get("kept"):
        return None
    try:
        _Counts.model_validate(training.metrics)
    except ValueError:
        return "its metrics do not say of how many users and movies it learned"
    try:
        _Provenance.model_validate(training.provenance)
    except ValueError:
        return "its provenance is not whole"
    return None


class _Counts(BaseModel):
    users: NonNegativeInt
    movies: NonNegativeInt


class _RowDigests(BaseModel):
    users: str
    movies: str
    movies_version: int
    state: str


class _Provenance(BaseModel):
    vectors: str
    responses: str
    learned: str
    kept: _RowDigests


def check_training(connection: Connection, training: StoredTraining) -> tuple[str, Iterator[str]]:
    """Return what is checked of a training's embeddings and state, and the faults, found while iterated."""
    users, movies = (
        connection.scalar(select(func.count()).where(column == training.id)) or 0
        for column in (UserEmbedding.training_id, MovieEmbedding.training_id)
    )
    summary = f"training {training.id}: {users:,} users' embeddings, {movies:,} movies'"
    checks = (_check_users, _check_movies, _check_state)
    faults = chain.from_iterable(check(connection, training) for check in checks)
    if training.status != "succeeded" and users + movies:
        fault = f"training {training.id} is {training.status} and left {users + movies:,} embeddings"
        return summary, chain([fault], faults)
    return summary, faults


def user_rows(training: StoredTraining) -> Select[int, str, int, bytes, bytes | None, float, int]:
    """Select its users' posteriors, in the order of the users' ids."""
    return (
        select(
            User.id,
            User.user,
            UserEmbedding.version,
            UserEmbedding.embedding,
            UserEmbedding.factor,
            UserEmbedding.squared_norm,
            User.catalog_id,
        )
        .join(User, User.id == UserEmbedding.user_id)
        .where(UserEmbedding.training_id == training.id)
        .order_by(User.user)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )


def movie_rows(training: StoredTraining) -> Select[int, str, bytes, int]:
    """Select what it learned of movies, in the order of their ids."""
    return (
        select(Movie.id, Movie.movie, MovieEmbedding.embedding, Movie.catalog_id)
        .join(Movie, Movie.id == MovieEmbedding.movie_id)
        .where(MovieEmbedding.training_id == training.id)
        .order_by(Movie.movie)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )


def _check_users(connection: Connection, training: StoredTraining) -> Iterator[str]:
    if training.status != "succeeded":
        return
    for row in connection.execute(user_rows(training)):
        place = f"user {row.user!r} in training {training.id}"
        for name, wrong in _faults_of(row, training):
            yield f"the {name} of {place} {wrong}"


def _faults_of(
    row: Row[int, str, int, bytes, bytes | None, float, int], training: StoredTraining
) -> Iterator[tuple[str, str]]:
    wrong = vectors.fault_in(row.embedding, training.sizes.embedding)
    if wrong:
        yield "embedding", wrong
    elif not _close(
        squared_norm(torch.from_numpy(vectors.from_bytes(row.embedding).copy())), row.squared_norm
    ):
        yield "squared norm", "is not that of the embedding"
    if row.factor is not None or training.sizes.factor:
        wrong = vectors.fault_in(row.factor, training.sizes.factor)
        if wrong:
            yield "factor", wrong
    if row.catalog_id != training.catalog_id:
        yield "embedding", "is in another catalog's training"


def _close(first: float, second: object) -> bool:
    return isinstance(second, float) and abs(first - second) <= 1e-9 * max(1.0, first)


def _check_movies(connection: Connection, training: StoredTraining) -> Iterator[str]:
    for row in connection.execute(movie_rows(training)):
        place = f"the embedding of movie {row.movie!r} in training {training.id}"
        wrong = vectors.fault_in(row.embedding, training.sizes.item)
        if wrong:
            yield f"{place} {wrong}"
        if row.catalog_id != training.catalog_id:
            yield f"{place} is in another catalog's training"


def _check_state(connection: Connection, training: StoredTraining) -> Iterator[str]:
    state = read_state(connection, training)
    if state is None:
        if training.digests:
            yield f"training {training.id} has lost what it learned of users as such"
        return
    try:
        tensors = safetensors.torch.load(state)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        yield f"the state of training {training.id} cannot be read: {error}"
        return
    for name, numbers in tensors.items():
        if not bool(torch.isfinite(numbers).all()):
            yield f"{name} in the state of training {training.id} has numbers that are not finite"


def read_state(connection: Connection, training: StoredTraining) -> bytes | None:
    """Return its shared parameters as they are stored."""
    state: bytes | None = connection.scalar(
        select(TrainingState.state).where(TrainingState.training_id == training.id)
    )
    return state
