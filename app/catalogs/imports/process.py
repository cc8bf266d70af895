"""One import: which file into which catalog, stored whole in one transaction. Does not know where it runs."""

from http import HTTPStatus
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from app.catalogs.catalogs import find_catalog
from app.catalogs.imports.import_formats import Format, Imported
from app.database.database import Database
from app.database.idempotency import Answer, Asked, answer_once
from app.settings import Settings

ANSWER = TypeAdapter(Answer)
"""How an answer travels between processes."""

_IMPORTED = TypeAdapter(Imported)


class ImportLimits(BaseModel):
    """What the settings say of imports, as it goes to the process."""

    database_url: str
    busy_seconds: float
    max_rows: int
    idempotency_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "ImportLimits":
        """Return what these settings say."""
        return cls(
            database_url=settings.database_url,
            busy_seconds=settings.busy_seconds,
            max_rows=settings.max_import_rows,
            idempotency_seconds=settings.idempotency_seconds,
        )


class ImportTask(BaseModel):
    """Store a file that is there already; a dry run does all of it and keeps nothing."""

    catalog: str
    what: Literal["movies", "responses"]
    file: Path
    file_format: Format
    dry_run: bool
    key: str | None = None
    digest: str | None = None  # of all that was asked, in hexadecimal, where there is a key

    @property
    def asked(self) -> Asked | None:
        """The key and the digest, if there is a key."""
        if self.key is None or self.digest is None:
            return None
        return Asked(self.key, bytes.fromhex(self.digest))


def run_import(database: Database, limits: ImportLimits, task: ImportTask) -> Answer:
    """Store a file in a transaction of its own, once under its key.

    Raises `Busy`, `Unavailable`, `Conflict` for a key that stands for something else, and what
    `app.catalogs.imports.store.import_movies` or `import_responses` raises.
    """
    # Brings polars along: with the first import, so that a service starts without it.
    from app.catalogs.imports.store import import_movies, import_responses

    importer = import_movies if task.what == "movies" else import_responses
    with database.writing() as connection:
        catalog_id = find_catalog(connection, task.catalog).id

        def store() -> Answer:
            imported = importer(connection, task.catalog, task.file, task.file_format, limits.max_rows)
            return Answer(HTTPStatus.OK, _IMPORTED.dump_json(imported))

        answer = answer_once(connection, task.asked, catalog_id, limits.idempotency_seconds, store)
        if task.dry_run:
            connection.rollback()
    return answer
