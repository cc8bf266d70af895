"""/v1/catalogs/{catalog}/users: who answered, their embeddings, and forgetting them."""

from fastapi import APIRouter

from app.catalogs import users
from app.catalogs.users import UserRow
from app.scoring import scores
from app.scoring.scores import Embedding
from app.web.auth.routes import READ, WRITE, KeyedRoute
from app.web.parameters import After, CatalogId, FromApp, Limit, Page, Search, UserId, page

router = APIRouter(prefix="/v1/catalogs/{catalog}/users", tags=["users"], route_class=KeyedRoute)


@router.get("", dependencies=[READ])
def list_users(
    app: FromApp, catalog: CatalogId, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[UserRow]:
    """List the users in the order of their ids, with the number of their responses."""
    with app.database.reading() as connection:
        found = users.list_users(connection, catalog, limit, after, search)
        return page(found, limit, lambda item: item.user)


@router.delete("/{user}", dependencies=[WRITE], status_code=204)
def delete_user(app: FromApp, catalog: CatalogId, user: UserId) -> None:
    """Forget a user: responses and, in every training, embeddings."""
    with app.database.writing() as connection:
        users.delete_user(connection, catalog, user)


@router.get("/{user}/embedding", dependencies=[READ])
def read_embedding(app: FromApp, catalog: CatalogId, user: UserId) -> Embedding:
    """Show a user's embedding in the serving training, by the names of the dimensions."""
    with app.database.reading() as connection:
        return scores.read_embedding(connection, app.models, catalog, user)
