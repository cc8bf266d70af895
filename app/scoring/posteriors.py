"""The reader of user posteriors under both score paths: a user's stored posterior, if it is current.

One statement, compiled once and run by the driver, reads all that a score depends on as it is now: the
catalog's movies_version, the serving training, the user's version and the stored posterior. The fast path
runs it on connections of its own and declines stale posteriors; the regular path runs it in its transaction,
folds stale posteriors in on the spot, and takes the prior for cold-start users.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, String, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.catalogs.catalogs import CatalogRow
from app.catalogs.ids import in_path
from app.database.prepared_statements import Prepared
from app.database.tables import Catalog, Key, Response, Serving, User, UserEmbedding
from app.errors import Conflict, NotFound
from app.scoring.fold_in import NO_ANSWERS, Answers, fold_in, to_posterior
from app.scoring.model_cache import TrainedModel, TrainedModels
from models.recommender.model import UserPosterior


class _JsonTexts(FunctionElement[str]):
    """The texts in a JSON array as rows, in the column ``value``."""

    name = "json_texts"
    inherit_cache = True


@compiles(_JsonTexts, "sqlite")
def _sqlite_texts(element: _JsonTexts, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(_JsonTexts, "postgresql")
def _postgresql_texts(element: _JsonTexts, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - likewise
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **kw)} AS JSON))"


_NAMES = _JsonTexts(bindparam("users", type_=String())).table_valued("value")
_TRAINING = func.coalesce(bindparam("training", type_=Key), Serving.training_id)
_POSTERIORS = (
    select(
        Catalog.movies_version,
        _TRAINING,
        User.id,
        User.user,
        User.version,
        UserEmbedding.embedding,
        UserEmbedding.factor,
    )
    .select_from(Catalog)
    .outerjoin(Serving, Serving.catalog_id == Catalog.id)
    .join(User, User.catalog_id == Catalog.id)
    .outerjoin(
        UserEmbedding,
        (UserEmbedding.user_id == User.id)
        & (UserEmbedding.training_id == _TRAINING)
        & (UserEmbedding.version == User.version),
    )
    .where(Catalog.catalog == bindparam("catalog"))
)
_POSTERIORS_OF_USERS = _POSTERIORS.where(User.user.in_(select(_NAMES.c.value)))
_COUNT = select(func.count()).where(Response.user_id == User.id).correlate(User).scalar_subquery()

# Each binds ``catalog`` and ``training``, None for the serving one, and finds rows that are a `PosteriorRow`.
POSTERIOR_OF_USER = Prepared(_POSTERIORS.where(User.user == bindparam("user")))
POSTERIORS_OF_USERS = Prepared(_POSTERIORS_OF_USERS)  # ``users`` is a JSON array
_POSTERIORS_AND_COUNTS = Prepared(_POSTERIORS_OF_USERS.add_columns(_COUNT))


class PosteriorRow(NamedTuple):
    """What a user's scores depend on; ``embedding`` is None where none is stored, or only a stale one."""

    movies_version: int
    training: int | None
    user_id: int
    user: str
    version: int
    embedding: bytes | None
    factor: bytes | None

    def posterior(self) -> UserPosterior | None:
        """Return the current posterior, None where none is stored."""
        return None if self.embedding is None else to_posterior(self.embedding, self.factor)


Basis = Literal["learned", "population"]


@dataclass(frozen=True)
class Person:
    """Whoever is scored, by their current posterior: a stored user, or somebody of whom nothing is stored.

    ``responses`` counts what it was learned from: 0 of a cold-start user, whose posterior is the prior.
    ``answers`` are these responses, and ``others_squared_norm`` is as in `Model.fold_in`: both are there only
    where influences need them.
    """

    posterior: UserPosterior
    responses: int = 0
    user: str = ""
    user_id: int | None = None
    version: int = 0
    answers: Answers = NO_ANSWERS
    others_squared_norm: float = 0.0

    @property
    def basis(self) -> Basis:
        """Whether the posterior was learned from the user's own responses, or is the population's."""
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


def read_posteriors(
    connection: Connection, catalog: CatalogRow, training: TrainedModel, users: Sequence[str]
) -> dict[str, Person]:
    """Return the named users by their ids, with current posteriors; stale ones are folded in, not stored.

    Users without responses are cold-start users, or left out where the model has no prior for them.
    """
    people: dict[str, Person] = {}
    parameters = {"catalog": catalog.catalog, "training": training.id, "users": json.dumps(list(users))}
    for *columns, responses in _POSTERIORS_AND_COUNTS.run(connection, parameters):
        row = PosteriorRow._make(columns)
        posterior = row.posterior()
        if posterior is None:
            posterior = fold_in(connection, training, row.user_id).posterior
        if posterior is not None:
            people[row.user] = Person(posterior, responses, row.user, row.user_id, row.version)
    prior = training.model.cold_start()
    if prior is not None:
        for user in users:
            people.setdefault(user, Person(prior, user=user))
    return people


def read_posterior(connection: Connection, catalog: CatalogRow, training: TrainedModel, user: str) -> Person:
    """Return one user with their current posterior; raises `NotFound` when nothing is known of them."""
    people = read_posteriors(connection, catalog, training, [user])
    if user not in people:
        raise unknown_user(catalog.catalog, user)
    return people[user]


def unknown_user(catalog: str, user: str) -> NotFound:
    """Return the problem of a user of whom nothing is known."""
    return NotFound(
        f"nothing is known of user {user!r} in catalog {catalog!r}; "
        f"PUT /v1/catalogs/{in_path(catalog)}/users/{in_path(user)}/responses/{{movie}} with an answer first"
    )
