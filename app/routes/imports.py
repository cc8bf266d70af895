"""…/movies:import and …/responses:import: whole files, by Content-Type, all or nothing."""

import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import TypeAdapter

from app.errors import UnsupportedMedia
from app.idempotency import Answer, Asked, answer_once
from app.import_formats import CONTENT_TYPES, Format, Imported
from app.resources import Resources
from app.routes.idempotency import REPEATED, Digest, Key, respond
from app.routes.parameters import CatalogId, FromApp

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["imports"])

DryRun = Annotated[bool, Query(description="check everything, store nothing")]

_IMPORTED = TypeAdapter(Imported)

# The body is no JSON, so FastAPI cannot know its types.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in CONTENT_TYPES},
    }
}


_ANSWER: dict[str, Any] = {"response_model": Imported, "responses": {200: {"headers": REPEATED}}}


@router.post("/movies:import", openapi_extra=_BODY, **_ANSWER)
async def import_movies(
    app: FromApp, catalog: CatalogId, request: Request, key: Key = None, *, dry_run: DryRun = False
) -> Response:
    """Store movies: NDJSON as PUT takes them plus `movie`; CSV and Parquet with a column a dimension."""
    return await _import(app, catalog, request, "movies", key, dry_run=dry_run)


@router.post("/responses:import", openapi_extra=_BODY, **_ANSWER)
async def import_responses(
    app: FromApp, catalog: CatalogId, request: Request, key: Key = None, *, dry_run: DryRun = False
) -> Response:
    """Store responses: fields or columns user, movie, response and, if there are any, timestamp."""
    return await _import(app, catalog, request, "responses", key, dry_run=dry_run)


async def _import(
    app: Resources,
    catalog: str,
    request: Request,
    what: Literal["movies", "responses"],
    key: str | None,
    *,
    dry_run: bool,
) -> Response:
    file_format = _format(request)
    # A file of its own, because Parquet is read from its end; gone when it is closed.
    with tempfile.NamedTemporaryFile(prefix="likely-import-") as file:
        asked = await _receive(request, file.file, key)
        path = Path(file.name)
        return await run_in_threadpool(_store, app, catalog, path, file_format, what, asked, dry_run=dry_run)


def _store(
    app: Resources,
    catalog: str,
    path: Path,
    file_format: Format,
    what: Literal["movies", "responses"],
    asked: Asked | None,
    *,
    dry_run: bool,
) -> Response:
    # Brings polars along: with the first import, so that a service starts without it.
    from app import imports

    importer = imports.import_movies if what == "movies" else imports.import_responses
    rows = app.settings.max_import_rows
    with app.database.writing() as connection:

        def store() -> Answer:
            imported = importer(connection, catalog, path, file_format, rows)
            return Answer(HTTPStatus.OK, _IMPORTED.dump_json(imported))

        answer = answer_once(connection, asked, catalog, app.settings.idempotency_seconds, store)
        if dry_run:
            connection.rollback()
    return respond(answer)


async def _receive(request: Request, file: IO[bytes], key: str | None) -> Asked | None:
    """Write the body to the file, and return what is asked with it under the key."""
    digest = Digest(request)

    def take(chunk: bytes) -> None:
        if key is not None:
            digest.add(chunk)
        file.write(chunk)

    async for chunk in request.stream():
        await run_in_threadpool(take, chunk)
    await run_in_threadpool(file.flush)
    return digest.asked(key)


def _format(request: Request) -> Format:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in CONTENT_TYPES:
        raise UnsupportedMedia(f"send the file with one of the Content-Types {', '.join(CONTENT_TYPES)}")
    return CONTENT_TYPES[given]
