"""The database's tables.

Rows are addressed by integer keys inside the database; the callers' string ids stand beside them.
Keys are never used twice (AUTOINCREMENT), so a key held in memory cannot come to mean something else.
Times are seconds since 1970, from the database's clock. Vectors and embeddings are float32, little-endian.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    or_,
    true,
)
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, mapped_column

ID_LENGTH = 128
TITLE_LENGTH = 500

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


# Keys are counted on for every row that an import brings, also one that is there already.
Key = BigInteger().with_variant(Integer(), "sqlite")


def text(length: int) -> String:
    """Return the type of texts that are listed in the order of their code points, whatever the database's."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Base(DeclarativeBase):
    """The metadata that Alembic compares the database with."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012 - SQLAlchemy's own attribute


def _cascade(column: str) -> ForeignKey:
    return ForeignKey(column, ondelete="CASCADE")


class Catalog(Base):
    """Movies that share named dimensions, with their users, responses and trainings."""

    __tablename__ = "catalogs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    catalog: Mapped[str] = mapped_column(text(ID_LENGTH), unique=True)
    title: Mapped[str] = mapped_column(text(TITLE_LENGTH))
    dimensions: Mapped[list[str]]
    movies_version: Mapped[int] = mapped_column(default=0)  # bumped by every change of a movie
    embeddings_behind: Mapped[bool] = mapped_column(default=False)  # some may be stale
    created_at: Mapped[float]


class Movie(Base):
    """A movie and its vector, one float32 a dimension."""

    __tablename__ = "movies"
    __table_args__ = (UniqueConstraint("catalog_id", "movie"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    catalog_id: Mapped[int] = mapped_column(_cascade("catalogs.id"))
    movie: Mapped[str] = mapped_column(text(ID_LENGTH))
    title: Mapped[str] = mapped_column(text(TITLE_LENGTH))
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class User(Base):
    """Somebody who answered. ``version`` is bumped by every change that makes their posterior stale."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("catalog_id", "user"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    catalog_id: Mapped[int] = mapped_column(_cascade("catalogs.id"))
    user: Mapped[str] = mapped_column(text(ID_LENGTH))
    version: Mapped[int] = mapped_column(default=0)


class Response(Base):
    """A user's answer to a movie, in [0, 1]."""

    __tablename__ = "responses"
    __table_args__ = ({"sqlite_with_rowid": False},)

    user_id: Mapped[int] = mapped_column(_cascade("users.id"), primary_key=True)
    movie_id: Mapped[int] = mapped_column(_cascade("movies.id"), primary_key=True, index=True)
    response: Mapped[float]
    timestamp: Mapped[float]


class Training(Base):
    """One run of a trainer, and the queue at the same time: workers claim the rows that nobody holds.

    ``token`` counts the claims. Each write of a worker names the token that it was given, so a worker
    whose lease ended cannot write any more.
    """

    __tablename__ = "trainings"
    __table_args__ = (
        Index(None, "status", "lease_until"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    catalog_id: Mapped[int] = mapped_column(_cascade("catalogs.id"), index=True)
    trainer: Mapped[str] = mapped_column(String(40))
    options: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    serve: Mapped[bool]
    if_better: Mapped[bool] = mapped_column(default=False)  # serve only if the held-out log loss is not worse
    holdout: Mapped[dict[str, Any] | None]
    status: Mapped[str] = mapped_column(String(20))
    steps_done: Mapped[int] = mapped_column(default=0)
    steps_total: Mapped[int]
    loss: Mapped[float | None]
    metrics: Mapped[dict[str, Any] | None]
    provenance: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    token: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)  # claims, less those given back in an orderly way
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[float | None]  # of one that is queued: not to be claimed before


class Serving(Base):
    """The one training of a catalog that scores come from; no row means that none does yet."""

    __tablename__ = "servings"

    catalog_id: Mapped[int] = mapped_column(_cascade("catalogs.id"), primary_key=True)
    training_id: Mapped[int] = mapped_column(_cascade("trainings.id"), index=True)


class ApiKey(Base):
    """An API key; of its text only ``digest``, the SHA-256, is stored. Rows are never deleted."""

    __tablename__ = "api_keys"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    key: Mapped[str] = mapped_column(String(8), unique=True)
    label: Mapped[str] = mapped_column(text(TITLE_LENGTH))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    scopes: Mapped[list[str]]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class TrainingStep(Base):
    """What a training reported after one step."""

    __tablename__ = "training_steps"
    __table_args__ = ({"sqlite_with_rowid": False},)

    training_id: Mapped[int] = mapped_column(_cascade("trainings.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    loss: Mapped[float]
    data_loss: Mapped[float]
    penalty: Mapped[float]


class TrainingState(Base):
    """What a training learned that is neither a user's nor a movie's, as safetensors."""

    __tablename__ = "training_states"

    training_id: Mapped[int] = mapped_column(_cascade("trainings.id"), primary_key=True)
    state: Mapped[bytes] = mapped_column(LargeBinary)


class MovieEmbedding(Base):
    """What one training learned of one movie; trainings that learn nothing of movies have none."""

    __tablename__ = "movie_embeddings"
    __table_args__ = ({"sqlite_with_rowid": False},)

    training_id: Mapped[int] = mapped_column(_cascade("trainings.id"), primary_key=True)
    movie_id: Mapped[int] = mapped_column(_cascade("movies.id"), primary_key=True, index=True)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)


class UserEmbedding(Base):
    """What one training knows of one user, as of ``version`` of that user's responses.

    ``factor`` says how surely: the upper half of a factor of the embedding's covariance, row by row.
    """

    __tablename__ = "user_embeddings"
    # The covering index lets the squared norm of everybody else be summed without reading the embeddings.
    __table_args__ = (Index(None, "training_id", "squared_norm"), {"sqlite_with_rowid": False})

    training_id: Mapped[int] = mapped_column(_cascade("trainings.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(_cascade("users.id"), primary_key=True, index=True)
    version: Mapped[int]
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    factor: Mapped[bytes | None] = mapped_column(LargeBinary)
    squared_norm: Mapped[float]


class IdempotencyKey(Base):
    """What a request was answered that its caller gave a key, to be answered the same when it comes again.

    ``digest`` says which request that was. The answer goes with its catalog, as all that is known of it.
    """

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(text(128), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(_cascade("catalogs.id"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    location: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(index=True)


def having(search: str | None, *columns: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that one of the columns has ``search`` in it; true of all rows without one."""
    if search is None:
        return true()
    return or_(*(column.icontains(search, autoescape=True) for column in columns))
