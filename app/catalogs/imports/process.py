"""One import: which file into which catalog, stored whole in one transaction. Does not know where it runs."""

import os
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from app.catalogs.catalogs import find_catalog
from app.catalogs.imports.file_format import Format, Imported
from app.database.database import Database
from app.database.idempotency import Answer, Asked, answer_once
from app.database.urls import open_migrated
from app.errors import Problem, Unavailable
from app.processes.pool import ProcessPool, Program
from app.processes.worker import Frame, Kind, answer_tasks, only_frames, refused
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
    """Store a file that is there already; a dry run does all of it and stores nothing."""

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
            summary = importer(connection, task.catalog, task.file, task.file_format, limits.max_rows)
            return Answer(HTTPStatus.OK, _IMPORTED.dump_json(summary))

        answer = answer_once(connection, task.asked, catalog_id, limits.idempotency_seconds, store)
        if task.dry_run:
            connection.rollback()
    return answer


ImportPool = ProcessPool[ImportTask]

_WAITING = 20  # as many as may wait for the write lock in a web process


def make_import_pool(processes: int, seconds: float, limits: ImportLimits) -> ImportPool:
    """Return a pool of so many processes; an import has so many seconds.

    It waits as long for a process as it would for the write lock, which whoever has the process may hold.
    """
    program = Program(
        module="app.catalogs.imports.process",
        argument=limits.model_dump_json(),
        name="import",
        task="an import",
        lost=_may_be_stored,
        off="",  # without a process the web process imports by itself
    )
    return ProcessPool(program, processes, _WAITING, seconds, limits.busy_seconds, grace_seconds=0.0)


def _may_be_stored(cause: str) -> Unavailable:
    """Return the problem of an import whose end is unknown: it may have committed just before."""
    return Unavailable(
        f"{cause}; whether it was stored is unknown: send it again under the same Idempotency-Key, "
        "and in parts if this comes again"
    )


def main(limits: ImportLimits) -> None:
    """Import until the input ends."""
    sink = only_frames()
    os.nice(5)  # where cores are short, other requests come first
    from app.catalogs.imports import store  # noqa: F401 - with polars, before the first caller waits

    database = open_migrated(limits.database_url, limits.busy_seconds)

    def answer(body: bytes, _progress: Callable[[bytes], None]) -> Frame:
        try:
            stored_answer = run_import(database, limits, ImportTask.model_validate_json(body))
        except Problem as problem:
            return refused(problem)
        return Frame(Kind.ANSWER, ANSWER.dump_json(stored_answer))

    answer_tasks(sink, answer)


if __name__ == "__main__":
    main(ImportLimits.model_validate_json(sys.argv[1]))
