"""Fold-in: a user's posterior is fitted to their responses, the items held fixed, and stored.

A stored posterior is current when it was fitted at the user's present version, and stale otherwise. Writing a
response folds the user in, in the same transaction. Changes that touch many users (an import, a movie's new
vector, a rollback) only increment versions: a stale posterior is folded in by whoever reads it, and stored by
workers that have nothing else to do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's too

from app.catalogs.catalogs import CatalogRow
from app.database import vectors
from app.database.prepared_statements import Prepared
from app.database.tables import Response, User, UserEmbedding
from app.scoring.model_cache import TrainedModel, TrainedModels
from models.recommender.model import UserPosterior, UserPosteriors, packed, unpacked

_ROWS_AT_ONCE = 1000

# Statements of every fold-in, compiled once and run by the driver: to compile one takes longer than to run it
_OF = and_(UserEmbedding.training_id == bindparam("training"), UserEmbedding.user_id == bindparam("user"))
_STORED = Prepared(
    select(User.version, UserEmbedding.embedding, UserEmbedding.factor)
    .outerjoin(UserEmbedding, and_(_OF, UserEmbedding.user_id == User.id))
    .where(User.id == bindparam("user"))
)
_VERSION = Prepared(select(User.version).where(User.id == bindparam("user")))
_ANSWERS = Prepared(select(Response.movie_id, Response.response).where(Response.user_id == bindparam("user")))
_NO_EMBEDDING = Prepared(delete(UserEmbedding).where(_OF))
_SQUARED_NORMS = select(func.coalesce(func.sum(UserEmbedding.squared_norm), 0.0))
_ALL_SQUARED_NORMS = Prepared(_SQUARED_NORMS.where(UserEmbedding.training_id == bindparam("training")))
_OWN_SQUARED_NORM = Prepared(_SQUARED_NORMS.where(_OF))
_INSERT = insert(UserEmbedding)
_FITTED = ("version", "embedding", "factor", "squared_norm")
_STORE = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["training_id", "user_id"], set_={name: _INSERT.excluded[name] for name in _FITTED}
    ),
    ("training_id", "user_id", *_FITTED),
)


@dataclass(frozen=True)
class Answers:
    """All of a user's answers: rows int64 [n] of the movies, ascending, and answers float32 [n] to them."""

    rows: torch.Tensor
    answers: torch.Tensor

    @classmethod
    def of(cls, by_row: Mapping[int, float]) -> "Answers":
        """Return answers, by the row of their movie, in the order of the rows."""
        pairs = sorted(by_row.items())
        return cls(
            torch.from_numpy(np.array([row for row, _ in pairs], dtype=np.int64)),
            torch.from_numpy(np.array([answer for _, answer in pairs], dtype=np.float32)),
        )


NO_ANSWERS = Answers(torch.empty(0, dtype=torch.int64), torch.empty(0))


@dataclass(frozen=True)
class FoldedIn:
    """A user's posterior as of a version of the user; None without responses."""

    user: int
    version: int
    posterior: UserPosterior | None


def fold_in(connection: Connection, serving: TrainedModel, user: int) -> FoldedIn:
    """Fit the posterior of the user with this key to all their responses; stores nothing."""
    version, embedding, factor = _STORED.run(connection, {"training": serving.id, "user": user})[0]
    start = None if embedding is None else to_posterior(embedding, factor)
    others_norm = others_squared_norm(connection, serving, user)
    return FoldedIn(user, version, _fit(connection, serving, user, start, others_norm))


def fold_in_alongside(
    connection: Connection,
    serving: TrainedModel,
    user: int,
    start: UserPosterior | None,
    others_squared_norm: float,
) -> FoldedIn:
    """Fold in one user among others whose squared norms sum up to ``others_squared_norm``."""
    version = _VERSION.run(connection, {"user": user})[0][0]
    return FoldedIn(user, version, _fit(connection, serving, user, start, others_squared_norm))


def _fit(
    connection: Connection,
    serving: TrainedModel,
    user: int,
    start: UserPosterior | None,
    others_squared_norm: float,
) -> UserPosterior | None:
    answers = read_answers(connection, serving, user)
    if len(answers.rows) == 0:
        return None
    return serving.model.fold_in(answers.rows, answers.answers, start, others_squared_norm)


def read_answers(connection: Connection, serving: TrainedModel, user: int) -> Answers:
    """Return all answers of the user with this key."""
    rows_by_key = serving.movies.rows_by_key
    rows = _ANSWERS.run(connection, {"user": user})
    return Answers.of({rows_by_key[movie_id]: response for movie_id, response in rows})


def others_squared_norm(connection: Connection, serving: TrainedModel, user: int | None) -> float:
    """Return the sum of ‖e‖² over all other users' embeddings, 0 where the model does not need it."""
    if not serving.model.coupled:
        return 0.0
    total: float = _ALL_SQUARED_NORMS.run(connection, {"training": serving.id})[0][0]
    user_norm: float = 0.0
    if user is not None:
        user_norm = _OWN_SQUARED_NORM.run(connection, {"training": serving.id, "user": user})[0][0]
    return max(0.0, total - user_norm)


def fold_in_stale(
    connection: Connection, models: TrainedModels, catalog: CatalogRow, limit: int
) -> tuple[int, list[FoldedIn]] | None:
    """Fold in up to ``limit`` users of the catalog whose serving posterior is stale; stores nothing.

    Returns the serving training's id with them, or None when none is stale.
    """
    if catalog.serving is None:
        return None
    stale = _find_stale(connection, catalog.id, catalog.serving, limit)
    if not stale:
        return None
    model = models.of(connection, catalog, catalog.serving)
    return catalog.serving, [fold_in(connection, model, user) for user in stale]


def _find_stale(connection: Connection, catalog_id: int, serving: int, limit: int) -> Sequence[int]:
    has_answers = select(Response.user_id).where(Response.user_id == User.id).exists()
    return connection.scalars(
        select(User.id)
        .outerjoin(UserEmbedding, (UserEmbedding.user_id == User.id) & (UserEmbedding.training_id == serving))
        .where(
            User.catalog_id == catalog_id,
            or_(and_(UserEmbedding.version.is_(None), has_answers), UserEmbedding.version != User.version),
        )
        .limit(limit)
    ).all()


def store_if_current(connection: Connection, training: int, folded_in: Sequence[FoldedIn]) -> None:
    """Store posteriors, except of users who responded again or were deleted meanwhile."""
    for fold in folded_in:
        if _VERSION.run(connection, {"user": fold.user}) == [(fold.version,)]:
            store(connection, training, [fold])


def store(connection: Connection, training: int, folded_in: Iterable[FoldedIn]) -> None:
    """Store posteriors in the caller's transaction, and delete those of users without responses."""
    remaining = iter(folded_in)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        rows = [_row(training, fold, fold.posterior) for fold in batch if fold.posterior is not None]
        for fold in batch:
            if fold.posterior is None:
                _NO_EMBEDDING.run(connection, {"training": training, "user": fold.user})
        if rows:
            _STORE.run_each(connection, rows)


def squared_norm(embedding: torch.Tensor) -> float:
    """Return ‖e‖² in float64."""
    return float(embedding.double().square().sum())


def to_posterior(embedding: bytes, factor: bytes | None) -> UserPosterior:
    """Return a posterior as `store` stored it."""
    numbers = torch.from_numpy(vectors.from_bytes(embedding).copy())
    if factor is None:
        return UserPosterior(numbers)
    half = torch.from_numpy(vectors.from_bytes(factor).copy())
    return UserPosterior(numbers, unpacked(half, len(numbers)))


def to_posteriors(embeddings: Sequence[bytes], factors: Sequence[bytes | None]) -> UserPosteriors | None:
    """Return stored posteriors [users]; None when there are none, or not all have the same form."""
    if len(set(map(len, embeddings))) != 1:
        return None
    numbers = torch.from_numpy(vectors.stack(embeddings, len(embeddings[0]) // 4))
    present = [factor for factor in factors if factor is not None]
    if not present:
        return UserPosteriors(numbers)
    if len(present) < len(factors) or len(set(map(len, present))) != 1:
        return None
    return UserPosteriors(numbers, torch.from_numpy(vectors.stack(present, len(present[0]) // 4)))


def _row(training: int, fold: FoldedIn, posterior: UserPosterior) -> dict[str, object]:
    return {
        "training_id": training,
        "user_id": fold.user,
        "version": fold.version,
        "embedding": vectors.to_bytes(posterior.embedding.numpy()),
        "factor": None if posterior.factor is None else vectors.to_bytes(packed(posterior.factor).numpy()),
        "squared_norm": squared_norm(posterior.embedding),
    }
