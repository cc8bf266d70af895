"""/v1/catalogs/{catalog}/users: who answered, and forgetting them."""

from fastapi import APIRouter

from app.catalogs import users
from app.catalogs.path_parameters import CatalogId, UserId
from app.catalogs.users import UserRow
from app.web.auth.routes import READ, WRITE, KeyedRoute
from app.web.parameters import After, FromDatabase, Limit, Page, Search, page

router = APIRouter(prefix="/v1/catalogs/{catalog}/users", tags=["users"], route_class=KeyedRoute)


@router.get("", dependencies=[READ])
def list_users(
    database: FromDatabase, catalog: CatalogId, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[UserRow]:
    """List the users in the order of their ids, with the number of their responses."""
    with database.reading() as connection:
        found = users.list_users(connection, catalog, limit, after, search)
        return page(found, limit, lambda item: item.user)


@router.delete("/{user}", dependencies=[WRITE], status_code=204)
def delete_user(database: FromDatabase, catalog: CatalogId, user: UserId) -> None:
    """Forget a user: responses and, in every training, embeddings."""
    with database.writing() as connection:
        users.delete_user(connection, catalog, user)
