"""/v1/catalogs: catalogs and which training serves each."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from app.catalogs import catalogs
from app.catalogs.catalogs import CatalogSummary
from app.catalogs.ids import Dimension, Title
from app.training import trainings
from app.web.auth.routes import ADMIN, READ, TRAIN, WRITE, KeyedRoute
from app.web.parameters import After, Body, CatalogId, FromApp, Limit, Page, Search, page

router = APIRouter(prefix="/v1/catalogs", tags=["catalogs"], route_class=KeyedRoute)


class CatalogBody(Body):
    """A catalog: what its movies' numbers mean, in order."""

    title: Title | None = None
    dimensions: Annotated[list[Dimension], Field(max_length=4096, json_schema_extra={"uniqueItems": True})]


class ServingBody(Body):
    """The training that scores are to come from."""

    training: Annotated[int, Field(ge=1, le=2**53 - 1)]


@router.put("/{catalog}", dependencies=[WRITE], status_code=201, responses={200: {"model": CatalogSummary}})
def put_catalog(app: FromApp, catalog: CatalogId, body: CatalogBody, response: Response) -> CatalogSummary:
    """Make a catalog (201) or replace its title and dimensions (200)."""
    with app.database.writing() as connection:
        made = catalogs.put_catalog(connection, catalog, body.title, body.dimensions)
    response.status_code = HTTPStatus.CREATED if made else HTTPStatus.OK
    return read_catalog(app, catalog)


@router.get("", dependencies=[READ])
def list_catalogs(
    app: FromApp, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[CatalogSummary]:
    """List the catalogs in the order of their ids."""
    with app.database.reading() as connection:
        found = catalogs.list_catalogs(connection, limit, after, search)
        return page(found, limit, lambda item: item.catalog)


@router.get("/{catalog}", dependencies=[READ])
def read_catalog(app: FromApp, catalog: CatalogId) -> CatalogSummary:
    """Show a catalog; movies, users and responses are counts."""
    with app.database.reading() as connection:
        return catalogs.read_catalog(connection, catalog)


@router.delete("/{catalog}", dependencies=[ADMIN], status_code=204)
def delete_catalog(app: FromApp, catalog: CatalogId) -> None:
    """Delete a catalog and everything in it; a training that runs on it stops."""
    with app.database.writing() as connection:
        catalogs.delete_catalog(connection, catalog)


@router.put("/{catalog}/serving", dependencies=[TRAIN])
def promote_training(app: FromApp, catalog: CatalogId, body: ServingBody) -> CatalogSummary:
    """Let scores come from another training, newer or older, from the next request on."""
    with app.database.writing() as connection:
        trainings.promote_training(connection, catalog, body.training)
    return read_catalog(app, catalog)
