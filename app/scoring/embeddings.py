"""The tastes that scores come from: those of the serving training, always current.

Reads only. An embedding that is behind its user's responses is relearned in memory, so every read reflects
every acknowledged write. Somebody who has answered nothing has the population's taste, where the model knows
one. Does not know who asks, nor what is done with a taste.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Row, func, select

from app.catalogs.catalogs import CatalogRow
from app.catalogs.ids import in_path
from app.database.tables import Response, User, UserEmbedding
from app.errors import Conflict, NotFound
from app.scoring.fold_in import relearn, to_taste
from app.scoring.model_cache import TrainedModel, TrainedModels
from models.recommender.model import Taste

Basis = Literal["learned", "population"]


@dataclass(frozen=True)
class CurrentTaste:
    """A user and their current taste, learned from so many responses; ``user_id`` is None for a stranger."""

    user_id: int | None
    user: str
    version: int
    responses: int
    taste: Taste

    @property
    def basis(self) -> Basis:
        """Whether it is the user's own, or what is known of people as such."""
        return "learned" if self.responses else "population"


def find_serving(connection: Connection, models: TrainedModels, catalog: CatalogRow) -> TrainedModel:
    """Return the model of the catalog's serving training; raises `Conflict` when there is none yet."""
    if catalog.serving is None:
        raise Conflict(
            f"catalog {catalog.catalog!r} has no trained model yet; "
            f"POST /v1/catalogs/{in_path(catalog.catalog)}/trainings starts a training, "
            "and scores are there when it has succeeded"
        )
    return models.of(connection, catalog, catalog.serving)


def read_tastes(
    connection: Connection, catalog: CatalogRow, trained: TrainedModel, users: Sequence[str]
) -> dict[str, CurrentTaste]:
    """Return the tastes of the named users by their ids, without those of whom nothing is known."""
    found: dict[str, CurrentTaste] = {}
    for start in range(0, len(users), 1000):  # SQLite bounds the parameters of a statement
        for row in _rows(connection, catalog, trained.id, users[start : start + 1000]):
            stored, learned_version, user = row.embedding, row.learned_version, row.user
            if stored is not None and learned_version == row.version:
                taste: Taste | None = to_taste(stored, row.factor)
            else:
                taste = relearn(connection, trained, row.id).taste
            if taste is not None:
                found[user] = CurrentTaste(row.id, user, row.version, row.responses, taste)
    stranger = trained.model.newcomer()
    if stranger is not None:
        for user in users:
            found.setdefault(user, CurrentTaste(None, user, 0, 0, stranger))
    return found


def read_taste(connection: Connection, catalog: CatalogRow, trained: TrainedModel, user: str) -> CurrentTaste:
    """Return one user's taste; raises `NotFound` when nothing is known of them."""
    found = read_tastes(connection, catalog, trained, [user])
    if user not in found:
        raise unknown_user(catalog.catalog, user)
    return found[user]


def unknown_user(catalog: str, user: str) -> NotFound:
    """Return the problem of a user of whom nothing is known."""
    return NotFound(
        f"nothing is known of user {user!r} in catalog {catalog!r}; "
        f"PUT /v1/catalogs/{in_path(catalog)}/users/{in_path(user)}/responses/{{movie}} with an answer first"
    )


def _rows(
    connection: Connection, catalog: CatalogRow, training: int, users: Sequence[str]
) -> Iterable[Row[int, str, int, int, int | None, bytes | None, bytes | None]]:
    responses = select(func.count()).where(Response.user_id == User.id).correlate(User).scalar_subquery()
    return connection.execute(
        select(
            User.id,
            User.user,
            User.version,
            responses.label("responses"),
            UserEmbedding.version.label("learned_version"),
            UserEmbedding.embedding,
            UserEmbedding.factor,
        )
        .outerjoin(
            UserEmbedding, (UserEmbedding.user_id == User.id) & (UserEmbedding.training_id == training)
        )
        .where(User.catalog_id == catalog.id, User.user.in_(users))
    )
