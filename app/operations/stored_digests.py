"""A training's digests, taken again of what is stored: each where what it was taken of is still there.

`state` always; `learned` unless a user was folded in or deleted since, or a movie was deleted; `vectors`
unless a movie changed; `responses` unless a movie or a response changed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import safetensors.torch
from sqlalchemy import Connection, Row, select

from app.database.tables import Catalog, Response, User, UserEmbedding
from app.operations.stored_trainings import StoredTraining, movie_rows, read_state, user_rows
from app.scoring.memory import Memory
from app.training.dataset import digest_numbers, read_snapshot, read_vectors_digest
from app.training.provenance import LearnedDigest, digest_state
from models.recommender.trainer import Sizes


class CatalogDigests:
    """The digests of catalogs as they are, taken once each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._digests: dict[tuple[str, int], str] = {}

    def vectors(self, catalog_id: int) -> str:
        """Return the digest of the movies' vectors."""
        return self._take("vectors", catalog_id, lambda: read_vectors_digest(self._connection, catalog_id))

    def responses(self, catalog_id: int) -> str:
        """Return the digest of the responses; there must be some."""

        def take() -> str:
            try:
                return read_snapshot(
                    self._connection, catalog_id, Memory(), lambda _: Sizes(0, 0, 0)
                ).responses_digest
            except IndexError:  # one is to a movie that is not in the catalog, which is a fault of its own
                return "none"

        return self._take("responses", catalog_id, take)

    def _take(self, name: str, catalog_id: int, take: Callable[[], str]) -> str:
        if (name, catalog_id) not in self._digests:
            self._digests[name, catalog_id] = take()
        return self._digests[name, catalog_id]


def _same_rows(connection: Connection, training: StoredTraining) -> bool:
    users = connection.execute(
        select(User.id, UserEmbedding.version)
        .join(User, User.id == UserEmbedding.user_id)
        .where(UserEmbedding.training_id == training.id)
        .order_by(User.user)
    ).all()
    if _digest_users(users) != training.digests["users"]:
        return False
    if training.sizes.item == 0:
        return True
    movies = [row.id for row in connection.execute(movie_rows(training))]
    return digest_numbers(movies) == str(training.digests["movies"])


def _same_movies(connection: Connection, training: StoredTraining) -> bool:
    version = connection.scalar(select(Catalog.movies_version).where(Catalog.id == training.catalog_id))
    return bool(version == training.digests["movies_version"])


def _same_responses(connection: Connection, training: StoredTraining) -> bool:
    if not training.digests.get("responses_by_user") or not _same_movies(connection, training):
        return False
    has_responses = select(Response.user_id).where(Response.user_id == User.id).exists()
    users = connection.execute(
        select(User.id, User.version)
        .where(User.catalog_id == training.catalog_id, has_responses)
        .order_by(User.user)
    ).all()
    return _digest_users(users) == str(training.digests["users"])


def _digest_users(rows: Sequence[Row[int, int]]) -> str:
    keys, versions = zip(*rows, strict=True) if rows else ((), ())
    return digest_numbers([*keys, *versions])


def _take_learned(connection: Connection, training: StoredTraining, _: CatalogDigests) -> str:
    digest, sizes = LearnedDigest(), training.sizes
    metrics = training.metrics or {}
    users, movies = int(metrics.get("users", 0)), int(metrics.get("movies", 0))
    rows = user_rows(training)
    digest.add("embeddings", (users, sizes.embedding), (row.embedding for row in connection.execute(rows)))
    if sizes.factor:
        digest.add("factors", (users, sizes.factor), (row.factor or b"" for row in connection.execute(rows)))
    items = (row.embedding for row in connection.execute(movie_rows(training)))
    digest.add("items", (movies, sizes.item), items)
    digest.add_shared(safetensors.torch.load(read_state(connection, training) or b""))
    return digest.hexdigest()


class _Digest(NamedTuple):
    """A digest by its name in the provenance: whether it can be taken again, and taking it."""

    name: str
    can_be_taken: Callable[[Connection, StoredTraining], bool]
    take: Callable[[Connection, StoredTraining, CatalogDigests], str]


_DIGESTS = (
    _Digest(
        "state", lambda *_: True, lambda connection, row, _: digest_state(read_state(connection, row) or b"")
    ),
    _Digest("learned", _same_rows, _take_learned),
    _Digest("vectors", _same_movies, lambda _, row, catalogs: catalogs.vectors(row.catalog_id)),
    _Digest("responses", _same_responses, lambda _, row, catalogs: catalogs.responses(row.catalog_id)),
)


def check_digests(
    connection: Connection, training: StoredTraining, catalogs: CatalogDigests
) -> tuple[list[str], Iterator[str]]:
    """Return the names of the digests that are taken again, and the faults, found while iterated."""
    if not training.digests:
        return [], iter(())
    digests = [digest for digest in _DIGESTS if digest.can_be_taken(connection, training)]

    def compare() -> Iterator[str]:
        for digest in digests:
            if digest.take(connection, training, catalogs) != training.digests[digest.name]:
                yield f"training {training.id}: the digest of {digest.name} is not what it was"
                if digest.name == "state":  # what cannot be read says nothing of the others
                    return

    return [digest.name for digest in digests], compare()
