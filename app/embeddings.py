"""The embeddings that scores come from: those of the serving training, always current.

Reads only. An embedding that is behind its user's responses is relearned in memory, so every read reflects
every acknowledged write. Does not know who asks, nor what is done with an embedding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, select
from torch import Tensor

from app.catalogs import CatalogRow
from app.errors import Conflict, NotFound
from app.relearning import PublishedTraining, read_trainer, relearn, to_tensor
from app.tables import Response, User, UserEmbedding


@dataclass(frozen=True)
class CurrentEmbedding:
    """A user and their current embedding, float32 [dimensions], learned from so many responses."""

    user_id: int
    user: str
    version: int
    responses: int
    embedding: Tensor


def find_serving(connection: Connection, catalog: CatalogRow) -> PublishedTraining:
    """Return the catalog's serving training; raises `Conflict` when there is none yet."""
    if catalog.serving is None:
        raise Conflict(
            f"catalog {catalog.catalog!r} has no trained model yet; "
            f"POST /v1/catalogs/{catalog.catalog}/trainings starts a training, "
            "and scores are there when it has succeeded"
        )
    return read_trainer(connection, catalog.serving)


def read_embeddings(
    connection: Connection, catalog: CatalogRow, training: PublishedTraining, users: Sequence[str]
) -> dict[str, CurrentEmbedding]:
    """Return the embeddings of the named users by their ids, without those who have no responses."""
    found: dict[str, CurrentEmbedding] = {}
    for start in range(0, len(users), 1000):  # SQLite bounds the parameters of a statement
        for row in _rows(connection, catalog, training.id, users[start : start + 1000]):
            stored, learned_version, user = row.embedding, row.learned_version, row.user
            if stored is not None and learned_version == row.version:
                embedding: Tensor | None = to_tensor(stored)
            else:
                embedding = relearn(connection, training, row.id).embedding
            if embedding is not None:
                found[user] = CurrentEmbedding(row.id, user, row.version, row.responses, embedding)
    return found


def read_embedding(
    connection: Connection, catalog: CatalogRow, training: PublishedTraining, user: str
) -> CurrentEmbedding:
    """Return one user's embedding; raises `NotFound` when they have no responses."""
    found = read_embeddings(connection, catalog, training, [user])
    if user not in found:
        raise unknown_user(catalog.catalog, user)
    return found[user]


def unknown_user(catalog: str, user: str) -> NotFound:
    """Return the problem of a user of whom nothing is known."""
    return NotFound(
        f"nothing is known of user {user!r} in catalog {catalog!r}; "
        f"PUT /v1/catalogs/{catalog}/users/{user}/responses/{{movie}} with an answer first"
    )


def _rows(
    connection: Connection, catalog: CatalogRow, training: int, users: Sequence[str]
) -> Iterable[Row[int, str, int, int, int | None, bytes | None]]:
    responses = select(func.count()).where(Response.user_id == User.id).correlate(User).scalar_subquery()
    return connection.execute(
        select(
            User.id,
            User.user,
            User.version,
            responses.label("responses"),
            UserEmbedding.version.label("learned_version"),
            UserEmbedding.embedding,
        )
        .outerjoin(
            UserEmbedding, (UserEmbedding.user_id == User.id) & (UserEmbedding.training_id == training)
        )
        .where(User.catalog_id == catalog.id, User.user.in_(users))
    )
