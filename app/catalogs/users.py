"""Users: who responded, and forgetting them."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from app.catalogs.catalogs import find_catalog
from app.database.tables import Response, User, having
from app.errors import NotFound


@dataclass(frozen=True)
class UserRow:
    """A user as the API lists them, with the number of their responses."""

    user: str
    responses: int


def list_users(
    connection: Connection, catalog: str, limit: int, after: str | None, search: str | None = None
) -> list[UserRow]:
    """Return up to ``limit`` users in the order of their ids, those after ``after``.

    Only those whose id has ``search`` in it; A to Z are as good as a to z.
    """
    catalog_row = find_catalog(connection, catalog)
    responses = select(func.count()).where(Response.user_id == User.id).correlate(User).scalar_subquery()
    rows = connection.execute(
        select(User.user, responses)
        .where(User.catalog_id == catalog_row.id, User.user > (after or ""), having(search, User.user))
        .order_by(User.user)
        .limit(limit)
    )
    return [UserRow(*row) for row in rows]


def delete_user(connection: Connection, catalog: str, user: str) -> None:
    """Delete the user with their responses and, from every training, their embeddings.

    A training that is running publishes nothing of them. Raises `NotFound`.
    """
    catalog_row = find_catalog(connection, catalog)
    deletion = connection.execute(delete(User).where(User.catalog_id == catalog_row.id, User.user == user))
    if deletion.rowcount == 0:
        raise NotFound(f"there is no user {user!r} in catalog {catalog!r}")
