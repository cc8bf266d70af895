"""Whether what a training left is whole: sizes, finite numbers, its digests where they can be taken again.

Does not know how the database is opened, nor what is done about a fault.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, NonNegativeInt
from sqlalchemy import Connection, Row, Select, func, select

from app.database import vectors
from app.database.tables import Catalog, Movie, MovieEmbedding, Response, TrainingState, User, UserEmbedding
from app.scoring.fold_in import squared_norm
from app.scoring.memory import Memory
from app.training.dataset import digest_numbers, read_snapshot, read_vectors_digest
from app.training.provenance import LearnedDigest, digest_state
from app.training.trainings import Status
from models.recommender.trainer import Sizes
from models.recommender.trainers import make_trainer

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class KeptTraining:
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
    def kept(self) -> Mapping[str, Any]:
        """Which rows the digests were taken of; empty where that was not written down."""
        digests: Mapping[str, Any] = (self.provenance or {}).get("kept") or {}
        return digests

    @property
    def sizes(self) -> Sizes:
        """How large what it learned has to be; nothing where it learned nothing."""
        if self.status != "succeeded":
            return Sizes(0, 0, 0)
        return make_trainer(self.trainer, self.options).sizes(len(self.dimensions))


class CatalogDigests:
    """The digests of catalogs as they are, taken once each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._taken: dict[tuple[str, int], str] = {}

    def vectors(self, catalog_id: int) -> str:
        """Return the digest of the movies' vectors."""
        return self._take("vectors", catalog_id, lambda: read_vectors_digest(self._connection, catalog_id))

    def responses(self, catalog_id: int) -> str:
        """Return the digest of the responses, of which there are some."""

        def take() -> str:
            try:
                return read_snapshot(self._connection, catalog_id, Memory(), _nothing).responses_digest
            except IndexError:  # one is to a movie that is not in the catalog, which is a fault of its own
                return "none"

        return self._take("responses", catalog_id, take)

    def _take(self, name: str, catalog_id: int, take: Callable[[], str]) -> str:
        if (name, catalog_id) not in self._taken:
            self._taken[name, catalog_id] = take()
        return self._taken[name, catalog_id]


def _nothing(_dimensions: int) -> Sizes:
    """Say what is kept of what is only read."""
    return Sizes(0, 0, 0)


def fault_in(training: KeptTraining) -> str | None:
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


class _Kept(BaseModel):
    users: str
    movies: str
    movies_version: int
    state: str


class _Provenance(BaseModel):
    vectors: str
    responses: str
    learned: str
    kept: _Kept


def verify_training(
    connection: Connection, training: KeptTraining, digests: CatalogDigests
) -> tuple[str, Iterable[str]]:
    """Return what is looked at, and the faults, which are found while they are taken."""
    digest_names = _digests_to_take(connection, training)
    suffix = f", digests {', '.join(digest_names)}" if digest_names else ""
    users = _count(connection, UserEmbedding.training_id, training)
    movies = _count(connection, MovieEmbedding.training_id, training)
    summary = f"training {training.id}: {users:,} users' embeddings, {movies:,} movies'{suffix}"
    faults = (
        _check_users(connection, training),
        _check_movies(connection, training),
        _check_state(connection, training),
    )
    comparison = _compare(connection, training, digest_names, digests)
    return summary, chain(_check_halves(training, users + movies), *faults, comparison)


def _count(connection: Connection, column: Any, training: KeptTraining) -> int:  # noqa: ANN401 - a column
    return connection.scalar(select(func.count()).where(column == training.id)) or 0


def _check_halves(training: KeptTraining, learned_count: int) -> Iterator[str]:
    if training.status != "succeeded" and learned_count:
        yield f"training {training.id} is {training.status} and left {learned_count:,} embeddings"


def _users(training: KeptTraining) -> Select[int, str, int, bytes, bytes | None, float, int]:
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


def _movies(training: KeptTraining) -> Select[int, str, bytes, int]:
    return (
        select(Movie.id, Movie.movie, MovieEmbedding.embedding, Movie.catalog_id)
        .join(Movie, Movie.id == MovieEmbedding.movie_id)
        .where(MovieEmbedding.training_id == training.id)
        .order_by(Movie.movie)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )


def _check_users(connection: Connection, training: KeptTraining) -> Iterator[str]:
    if training.status != "succeeded":
        return
    for row in connection.execute(_users(training)):
        place = f"user {row.user!r} in training {training.id}"
        for name, wrong in _faults_of(row, training):
            yield f"the {name} of {place} {wrong}"


def _faults_of(
    row: Row[int, str, int, bytes, bytes | None, float, int], training: KeptTraining
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


def _check_movies(connection: Connection, training: KeptTraining) -> Iterator[str]:
    for row in connection.execute(_movies(training)):
        place = f"the embedding of movie {row.movie!r} in training {training.id}"
        wrong = vectors.fault_in(row.embedding, training.sizes.item)
        if wrong:
            yield f"{place} {wrong}"
        if row.catalog_id != training.catalog_id:
            yield f"{place} is in another catalog's training"


def _check_state(connection: Connection, training: KeptTraining) -> Iterator[str]:
    state = _read_state(connection, training)
    if state is None:
        if training.kept:
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


def _read_state(connection: Connection, training: KeptTraining) -> bytes | None:
    state: bytes | None = connection.scalar(
        select(TrainingState.state).where(TrainingState.training_id == training.id)
    )
    return state


def _digests_to_take(connection: Connection, training: KeptTraining) -> list[str]:
    """Return the names of the digests that must come out as they were: what they are of is still there."""
    stored_digests = training.kept
    if not stored_digests or training.status != "succeeded":
        return []
    digest_names = ["state"]
    if _same_rows(connection, training):
        digest_names.append("learned")
    version = connection.scalar(select(Catalog.movies_version).where(Catalog.id == training.catalog_id))
    if version == stored_digests["movies_version"]:
        digest_names.append("vectors")
        if stored_digests.get("responses_by_user") and _same_answers(connection, training):
            digest_names.append("responses")
    return digest_names


def _same_rows(connection: Connection, training: KeptTraining) -> bool:
    users = connection.execute(_keys_and_versions(training)).all()
    if _digest_users(users) != training.kept["users"]:
        return False
    if training.sizes.item == 0:
        return True
    movies = [row.id for row in connection.execute(_movies(training))]
    return digest_numbers(movies) == str(training.kept["movies"])


def _keys_and_versions(training: KeptTraining) -> Select[int, int]:
    return (
        select(User.id, UserEmbedding.version)
        .join(User, User.id == UserEmbedding.user_id)
        .where(UserEmbedding.training_id == training.id)
        .order_by(User.user)
    )


def _same_answers(connection: Connection, training: KeptTraining) -> bool:
    has_answers = select(Response.user_id).where(Response.user_id == User.id).exists()
    users = connection.execute(
        select(User.id, User.version)
        .where(User.catalog_id == training.catalog_id, has_answers)
        .order_by(User.user)
    ).all()
    return _digest_users(users) == str(training.kept["users"])


def _digest_users(rows: Sequence[Row[int, int]]) -> str:
    keys, versions = zip(*rows, strict=True) if rows else ((), ())
    return digest_numbers([*keys, *versions])


def _compare(
    connection: Connection, training: KeptTraining, digest_names: list[str], digests: CatalogDigests
) -> Iterator[str]:
    was = {**(training.provenance or {}), **training.kept}
    state = _read_state(connection, training)
    take: dict[str, Callable[[], str]] = {
        "state": lambda: digest_state(state or b""),
        "learned": lambda: _take_learned(connection, training, state or b""),
        "vectors": lambda: digests.vectors(training.catalog_id),
        "responses": lambda: digests.responses(training.catalog_id),
    }
    for name in digest_names:
        if take[name]() != was[name]:
            yield f"training {training.id}: the digest of {name} is not what it was"
            if name == "state":  # the others are not asked of what cannot be read
                return


def _take_learned(connection: Connection, training: KeptTraining, state: bytes) -> str:
    digest, sizes = LearnedDigest(), training.sizes
    metrics = training.metrics or {}
    users, movies = int(metrics.get("users", 0)), int(metrics.get("movies", 0))
    rows = _users(training)
    digest.add("embeddings", (users, sizes.embedding), (row.embedding for row in connection.execute(rows)))
    if sizes.factor:
        digest.add("factors", (users, sizes.factor), (row.factor or b"" for row in connection.execute(rows)))
    items = (row.embedding for row in connection.execute(_movies(training)))
    digest.add("items", (movies, sizes.item), items)
    digest.add_shared(safetensors.torch.load(state))
    return digest.hexdigest()
