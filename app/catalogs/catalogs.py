"""Catalogs: making, reading, deleting them, and finding the one that a request names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from app.catalogs.ids import in_path
from app.database.database import now
from app.database.notifications import notify
from app.database.prepared_statements import Prepared
from app.database.tables import Catalog, Movie, Response, Serving, Training, User, having
from app.errors import BadInput, Conflict, NotFound, Place

# Columns of movie imports that are no dimension.
RESERVED_DIMENSIONS = ("movie", "title")


@dataclass(frozen=True)
class CatalogRow:
    """What a request needs of the catalog that it names."""

    id: int
    catalog: str
    dimensions: list[str]
    movies_version: int
    serving: int | None


_CATALOG_ROW = select(
    Catalog.id, Catalog.catalog, Catalog.dimensions, Catalog.movies_version, Serving.training_id
).outerjoin(Serving, Serving.catalog_id == Catalog.id)
_NAMED = Prepared(_CATALOG_ROW.where(Catalog.catalog == bindparam("catalog")))  # almost every request asks


@dataclass(frozen=True)
class CatalogSummary:
    """A catalog as the API shows it; movies, users and responses are counts."""

    catalog: str
    title: str
    dimensions: list[str]
    movies: int
    users: int
    responses: int
    serving: int | None


def find_catalog(connection: Connection, catalog: str) -> CatalogRow:
    """Return the named catalog; raises `NotFound`."""
    rows = _NAMED.run(connection, {"catalog": catalog})
    if not rows:
        raise NotFound(f"there is no catalog {catalog!r}; PUT /v1/catalogs/{in_path(catalog)} makes one")
    key, name, dimensions, movies_version, serving = rows[0]
    if isinstance(dimensions, str):  # PostgreSQL's driver reads JSON itself
        dimensions = json.loads(dimensions)
    return CatalogRow(key, name, dimensions, movies_version, serving)


def find_catalog_by_key(connection: Connection, catalog_id: int) -> CatalogRow | None:
    """Return the catalog with this key of the database, None when it was deleted."""
    row = connection.execute(_CATALOG_ROW.where(Catalog.id == catalog_id)).one_or_none()
    return None if row is None else CatalogRow(*row)


def read_catalog(connection: Connection, catalog: str) -> CatalogSummary:
    """Return the named catalog with its counts; raises `NotFound`."""
    return _summaries(connection, [find_catalog(connection, catalog).catalog])[0]


def list_catalogs(
    connection: Connection, limit: int, after: str | None, search: str | None = None
) -> list[CatalogSummary]:
    """Return up to ``limit`` catalogs in the order of their ids, those after ``after``.

    Only those whose id or title has ``search`` in it; A to Z are as good as a to z.
    """
    names = connection.scalars(
        select(Catalog.catalog)
        .where(Catalog.catalog > (after or ""), having(search, Catalog.catalog, Catalog.title))
        .order_by(Catalog.catalog)
        .limit(limit)
    )
    return _summaries(connection, list(names))


def put_catalog(connection: Connection, catalog: str, title: str | None, dimensions: Sequence[str]) -> bool:
    """Make the catalog or replace its title and dimensions; return whether it was made.

    Raises `BadInput` for repeated or reserved dimensions, and `Conflict` when the dimensions would change
    under movies or trainings that were made with the present ones.
    """
    _check_dimensions(dimensions)
    present = connection.execute(
        select(Catalog.id, Catalog.dimensions).where(Catalog.catalog == catalog)
    ).one_or_none()
    if present is None:
        connection.execute(
            insert(Catalog).values(
                catalog=catalog, title=title or catalog, dimensions=list(dimensions), created_at=now()
            )
        )
        return True
    if present.dimensions != list(dimensions):
        _check_unused(connection, present.id, catalog, present.dimensions)
    connection.execute(
        update(Catalog)
        .where(Catalog.id == present.id)
        .values(title=title or catalog, dimensions=list(dimensions))
    )
    return False


def delete_catalog(connection: Connection, catalog: str) -> None:
    """Delete the catalog with everything in it; a training that runs on it stops. Raises `NotFound`."""
    connection.execute(delete(Catalog).where(Catalog.id == find_catalog(connection, catalog).id))


def mark_stale(connection: Connection, catalog_id: int) -> None:
    """Mark that embeddings of this catalog are stale; idle workers fold them in."""
    connection.execute(update(Catalog).where(Catalog.id == catalog_id).values(embeddings_behind=True))
    notify(connection)


def _check_dimensions(dimensions: Sequence[str]) -> None:
    first = {name: index for index, name in reversed(list(enumerate(dimensions)))}
    places = [
        Place(f"{name!r} stands in the list already", pointer=f"/dimensions/{index}")
        for index, name in enumerate(dimensions)
        if first[name] < index
    ] + [
        Place(f"{name!r} is the name of another column in imports", pointer=f"/dimensions/{index}")
        for index, name in enumerate(dimensions)
        if name in RESERVED_DIMENSIONS
    ]
    if places:
        raise BadInput("each dimension needs a name of its own", places)


def _check_unused(connection: Connection, catalog_id: int, catalog: str, dimensions: Sequence[str]) -> None:
    for entity, word in ((Movie, "movies"), (Training, "trainings")):
        if connection.scalar(select(entity.id).where(entity.catalog_id == catalog_id).limit(1)) is not None:
            raise Conflict(
                f"catalog {catalog!r} has {word} with the dimensions {', '.join(dimensions) or '(none)'}; "
                f"to change them, DELETE /v1/catalogs/{in_path(catalog)} first or use another catalog",
                [Place("other dimensions than the catalog has", pointer="/dimensions")],
            )


def _summaries(connection: Connection, catalogs: Sequence[str]) -> list[CatalogSummary]:
    responses = (
        select(func.count())
        .select_from(Response)
        .join(User, User.id == Response.user_id)
        .where(User.catalog_id == Catalog.id)
        .correlate(Catalog)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            Catalog.catalog,
            Catalog.title,
            Catalog.dimensions,
            select(func.count()).where(Movie.catalog_id == Catalog.id).scalar_subquery(),
            select(func.count()).where(User.catalog_id == Catalog.id).scalar_subquery(),
            responses,
            Serving.training_id,
        )
        .outerjoin(Serving, Serving.catalog_id == Catalog.id)
        .where(Catalog.catalog.in_(catalogs))
        .order_by(Catalog.catalog)
    )
    return [CatalogSummary(*row) for row in rows]
