"""Bringing users' embeddings up to date with their responses, and keeping them.

An embedding is current when it was learned at the user's present version. Writing a response relearns at
once, in the same transaction. Changes that touch many users (an import, a movie's new vector, a rollback)
only move versions: whoever reads an embedding that is behind relearns it on the spot, and workers that have
nothing else to do store it. Does not know HTTP, nor how a trainer learns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert
from torch import Tensor

from app import vectors
from app.tables import Movie, Response, Serving, Training, User, UserEmbedding
from models.trainer import Trainer
from models.trainers import make_trainer


@dataclass(frozen=True)
class PublishedTraining:
    """A training whose embeddings are kept, ready to relearn."""

    id: int
    trainer: Trainer


@dataclass(frozen=True)
class Relearned:
    """A user's embedding float32 [dimensions] as of a version of the user; None without responses."""

    user: int
    version: int
    embedding: Tensor | None


def read_trainer(connection: Connection, training: int) -> PublishedTraining:
    """Return the trainer of a training that exists, with the options it ran with."""
    row = connection.execute(select(Training.trainer, Training.options).where(Training.id == training)).one()
    return PublishedTraining(training, make_trainer(row.trainer, row.options))


def relearn(connection: Connection, training: PublishedTraining, user: int) -> Relearned:
    """Learn the embedding of the user with this key from all their responses; stores nothing."""
    own = connection.execute(
        select(UserEmbedding.embedding, UserEmbedding.squared_norm).where(
            UserEmbedding.training_id == training.id, UserEmbedding.user_id == user
        )
    ).one_or_none()
    everybody = connection.scalar(
        select(func.coalesce(func.sum(UserEmbedding.squared_norm), 0.0)).where(
            UserEmbedding.training_id == training.id
        )
    )
    others = max(0.0, (everybody or 0.0) - (own.squared_norm if own else 0.0))
    return relearn_beside(
        connection, training.trainer, user, to_tensor(own.embedding) if own else None, others
    )


def relearn_beside(
    connection: Connection, trainer: Trainer, user: int, start: Tensor | None, others_squared_norm: float
) -> Relearned:
    """Learn one user's embedding beside others whose squared norms sum up to the given number."""
    version = connection.execute(select(User.version).where(User.id == user)).scalar_one()
    rows = connection.execute(
        select(Movie.vector, Response.response)
        .join(Movie, Movie.id == Response.movie_id)
        .where(Response.user_id == user)
        .order_by(Movie.movie)  # whatever order the answers came in
    ).all()
    if not rows:
        return Relearned(user, version, None)
    matrix = torch.from_numpy(vectors.stack((row.vector for row in rows), len(rows[0].vector) // 4))
    answers = torch.tensor([row.response for row in rows], dtype=torch.float32)
    return Relearned(user, version, trainer.relearn(matrix, answers, start, others_squared_norm))


def relearn_behind(connection: Connection, catalog_id: int, limit: int) -> tuple[int, list[Relearned]] | None:
    """Relearn up to ``limit`` users of the catalog whose serving embedding is behind; stores nothing.

    Returns the serving training's id with them, or None when nothing is behind.
    """
    serving = connection.scalar(select(Serving.training_id).where(Serving.catalog_id == catalog_id))
    if serving is None:
        return None
    answered = select(Response.user_id).where(Response.user_id == User.id).exists()
    behind = connection.scalars(
        select(User.id)
        .outerjoin(UserEmbedding, (UserEmbedding.user_id == User.id) & (UserEmbedding.training_id == serving))
        .where(
            User.catalog_id == catalog_id,
            or_(and_(UserEmbedding.version.is_(None), answered), UserEmbedding.version != User.version),
        )
        .limit(limit)
    ).all()
    training = read_trainer(connection, serving)
    return (serving, [relearn(connection, training, user) for user in behind]) if behind else None


def keep_if_current(connection: Connection, training: int, relearned: Sequence[Relearned]) -> None:
    """Keep relearned embeddings, but those of users who answered again or were deleted meanwhile."""
    for one in relearned:
        if connection.scalar(select(User.version).where(User.id == one.user)) == one.version:
            keep(connection, training, [one])


def keep(connection: Connection, training: int, relearned: Sequence[Relearned]) -> None:
    """Store embeddings in the caller's transaction; a user without responses keeps none."""
    rows = [
        {
            "training_id": training,
            "user_id": one.user,
            "version": one.version,
            "embedding": vectors.to_bytes(one.embedding.numpy()),
            "squared_norm": squared_norm(one.embedding),
        }
        for one in relearned
        if one.embedding is not None
    ]
    for one in relearned:
        if one.embedding is None:
            connection.execute(delete(UserEmbedding).where(_of(training, one.user)))
    if rows:
        statement = insert(UserEmbedding)
        replaced = {name: statement.excluded[name] for name in ("version", "embedding", "squared_norm")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["training_id", "user_id"], set_=replaced), rows
        )


def squared_norm(embedding: Tensor) -> float:
    """Return ‖e‖² in float64."""
    return float(embedding.double().square().sum())


def to_tensor(stored: bytes) -> Tensor:
    """Return a stored embedding as float32 [dimensions]."""
    return torch.from_numpy(vectors.from_bytes(stored).copy())


def _of(training: int, user: int) -> ColumnElement[bool]:
    return and_(UserEmbedding.training_id == training, UserEmbedding.user_id == user)
