"""A program of its own: stores files, one after the other, on a connection of its own.

Killed in the middle of one it leaves nothing of it: the transaction was not committed. Does not know how
tasks come in; `app.processes.worker` does.
"""

import os
import sys
from collections.abc import Callable

from app.catalogs.imports.process import ANSWER, ImportLimits, ImportTask, run_import
from app.database.database import Database
from app.errors import Problem
from app.processes.frames import Frame, Kind
from app.processes.refusals import refused
from app.processes.worker import answer_tasks, only_frames


def main(limits: ImportLimits) -> None:
    """Import until the input ends."""
    sink = only_frames()
    os.nice(5)  # where cores are short, other requests come first
    from app.catalogs.imports import store  # noqa: F401 - with polars, before the first caller waits

    database = Database.migrated(limits.database_url, limits.busy_seconds)

    def answer(body: bytes, _progress: Callable[[bytes], None]) -> Frame:
        try:
            done = run_import(database, limits, ImportTask.model_validate_json(body))
        except Problem as problem:
            return refused(problem)
        return Frame(Kind.ANSWER, ANSWER.dump_json(done))

    answer_tasks(sink, answer)


if __name__ == "__main__":
    main(ImportLimits.model_validate_json(sys.argv[1]))
