"""…/movies:import and …/responses:import: whole files, by Content-Type, all or nothing."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.catalogs.imports.file_format import CONTENT_TYPES, Format, Imported
from app.catalogs.imports.process import ANSWER, ImportLimits, ImportPool, ImportTask, run_import
from app.catalogs.path_parameters import CatalogId
from app.database.idempotency import Asked
from app.errors import StorageFull, Unavailable, UnsupportedMedia
from app.web.auth.routes import WRITE, AuthenticatedRoute
from app.web.idempotency import REPEATED, Digest, Key, respond
from app.web.parameters import FromDatabase, FromSettings, from_app

router = APIRouter(
    prefix="/v1/catalogs/{catalog}", tags=["imports"], dependencies=[WRITE], route_class=AuthenticatedRoute
)

Importing = Annotated[ImportPool, from_app("importing")]

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

DryRun = Annotated[bool, Query(description="check everything, store nothing")]

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
    settings: FromSettings,
    database: FromDatabase,
    importing: Importing,
    catalog: CatalogId,
    request: Request,
    key: Key = None,
    *,
    dry_run: DryRun = False,
) -> Response:
    """Store movies: NDJSON as PUT takes them plus `movie`; CSV and Parquet with a column a dimension."""
    return await _import(settings, database, importing, catalog, request, "movies", key, dry_run=dry_run)


@router.post("/responses:import", openapi_extra=_BODY, **_ANSWER)
async def import_responses(
    settings: FromSettings,
    database: FromDatabase,
    importing: Importing,
    catalog: CatalogId,
    request: Request,
    key: Key = None,
    *,
    dry_run: DryRun = False,
) -> Response:
    """Store responses: fields or columns user, movie, response and, if there are any, timestamp."""
    return await _import(settings, database, importing, catalog, request, "responses", key, dry_run=dry_run)


async def _import(
    settings: FromSettings,
    database: FromDatabase,
    importing: Importing,
    catalog: str,
    request: Request,
    kind: Literal["movies", "responses"],
    key: str | None,
    *,
    dry_run: bool,
) -> Response:
    file_format = _format(request)
    # A file of its own, because Parquet is read from its end; for its owner only, gone when it is closed.
    with _wording_errors(), tempfile.NamedTemporaryFile(prefix="likely-import-") as file:
        key_and_digest = await _receive(request, file.file, key)
        task = ImportTask(
            catalog=catalog,
            what=kind,
            file=Path(file.name),
            file_format=file_format,
            dry_run=dry_run,
            key=None if key_and_digest is None else key_and_digest.key,
            digest=None if key_and_digest is None else key_and_digest.digest.hex(),
        )
        if settings.import_processes:
            return respond(ANSWER.validate_json(await importing.run(task)))
        limits = ImportLimits.of(settings)
        thread = CapacityLimiter(
            1
        )  # of its own: it may take minutes, and the pool's few are for what is quick
        return respond(await to_thread.run_sync(run_import, database, limits, task, limiter=thread))


@contextmanager
def _wording_errors() -> Iterator[None]:
    """Say in one sentence that the file cannot be kept; its end, too, writes what was not written yet."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull(f"no space is left in {tempfile.gettempdir()} for the import") from error
        raise Unavailable(f"the import cannot be kept at present: {error.strerror or error}") from error


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
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in CONTENT_TYPES:
        raise UnsupportedMedia(f"send the file with one of the Content-Types {', '.join(CONTENT_TYPES)}")
    return CONTENT_TYPES[media_type]
