"""…/movies:import and …/responses:import: whole files, by Content-Type, all or nothing."""

import tempfile
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from app.errors import UnsupportedMedia
from app.import_formats import CONTENT_TYPES, Format, Imported
from app.resources import Resources
from app.routes.parameters import CatalogId, FromApp

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["imports"])

DryRun = Annotated[bool, Query(description="check everything, store nothing")]

# The body is no JSON, so FastAPI cannot know its types.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in CONTENT_TYPES},
    }
}


@router.post("/movies:import", openapi_extra=_BODY)
async def import_movies(
    app: FromApp, catalog: CatalogId, request: Request, *, dry_run: DryRun = False
) -> Imported:
    """Store movies: NDJSON as PUT takes them plus `movie`; CSV and Parquet with a column a dimension."""
    return await _import(app, catalog, request, "movies", dry_run=dry_run)


@router.post("/responses:import", openapi_extra=_BODY)
async def import_responses(
    app: FromApp, catalog: CatalogId, request: Request, *, dry_run: DryRun = False
) -> Imported:
    """Store responses: fields or columns user, movie, response and, if there are any, timestamp."""
    return await _import(app, catalog, request, "responses", dry_run=dry_run)


async def _import(
    app: FromApp, catalog: str, request: Request, what: Literal["movies", "responses"], *, dry_run: bool
) -> Imported:
    file_format = _format(request)
    # A file of its own, because Parquet is read from its end; gone when it is closed.
    with tempfile.NamedTemporaryFile(prefix="likely-import-") as file:
        await _receive(request, file.file)
        path = Path(file.name)
        return await run_in_threadpool(_store, app, catalog, path, file_format, what, dry_run=dry_run)


def _store(
    app: Resources,
    catalog: str,
    path: Path,
    file_format: Format,
    what: Literal["movies", "responses"],
    *,
    dry_run: bool,
) -> Imported:
    # Brings polars along: with the first import, so that a service starts without it.
    from app import imports

    store = imports.import_movies if what == "movies" else imports.import_responses
    rows = app.settings.max_import_rows
    return imports.run_import(app.database, store, catalog, path, file_format, rows, dry_run=dry_run)


async def _receive(request: Request, file: IO[bytes]) -> None:
    async for chunk in request.stream():
        await run_in_threadpool(file.write, chunk)
    await run_in_threadpool(file.flush)


def _format(request: Request) -> Format:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in CONTENT_TYPES:
        raise UnsupportedMedia(f"send the file with one of the Content-Types {', '.join(CONTENT_TYPES)}")
    return CONTENT_TYPES[given]
