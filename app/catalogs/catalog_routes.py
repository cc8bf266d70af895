"""/v1/catalogs: the catalogs."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from app.catalogs import catalogs
from app.catalogs.catalogs import CatalogSummary
from app.catalogs.ids import Dimension, Title
from app.catalogs.path_parameters import CatalogId
from app.web.auth.routes import ADMIN, READ, WRITE, KeyedRoute
from app.web.parameters import After, Body, FromDatabase, Limit, Page, Search, page

router = APIRouter(prefix="/v1/catalogs", tags=["catalogs"], route_class=KeyedRoute)


class CatalogBody(Body):
    """A catalog: what its movies' numbers mean, in order."""

    title: Title | None = None
    dimensions: Annotated[list[Dimension], Field(max_length=4096, json_schema_extra={"uniqueItems": True})]


@router.put("/{catalog}", dependencies=[WRITE], status_code=201, responses={200: {"model": CatalogSummary}})
def put_catalog(
    database: FromDatabase, catalog: CatalogId, body: CatalogBody, response: Response
) -> CatalogSummary:
    """Make a catalog (201) or replace its title and dimensions (200)."""
    with database.writing() as connection:
        new = catalogs.put_catalog(connection, catalog, body.title, body.dimensions)
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        return catalogs.read_catalog(connection, catalog)


@router.get("", dependencies=[READ])
def list_catalogs(
    database: FromDatabase, limit: Limit = 100, after: After = None, search: Search = None
) -> Page[CatalogSummary]:
    """List the catalogs in the order of their ids."""
    with database.reading() as connection:
        found = catalogs.list_catalogs(connection, limit, after, search)
        return page(found, limit, lambda item: item.catalog)


@router.get("/{catalog}", dependencies=[READ])
def read_catalog(database: FromDatabase, catalog: CatalogId) -> CatalogSummary:
    """Show a catalog; movies, users and responses are counts."""
    with database.reading() as connection:
        return catalogs.read_catalog(connection, catalog)


@router.delete("/{catalog}", dependencies=[ADMIN], status_code=204)
def delete_catalog(database: FromDatabase, catalog: CatalogId) -> None:
    """Delete a catalog and everything in it; a training that runs on it stops."""
    with database.writing() as connection:
        catalogs.delete_catalog(connection, catalog)
