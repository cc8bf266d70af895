"""The pool of the processes that import. Does not know what is in a file."""

from app.importing.tasks import ImportLimits, ImportTask
from app.processes.pool import ProcessPool
from app.processes.program import Program

ImportPool = ProcessPool[ImportTask]

_WAITING = 20  # as many as may wait for the write lock in a web process


def make_import_pool(processes: int, seconds: float, limits: ImportLimits) -> ImportPool:
    """Return a pool of so many processes; an import has so many seconds."""
    program = Program(
        module="app.importing.worker",
        argument=limits.model_dump_json(),
        name="import",
        task="import",
        advice="import the file in parts",
        off="",  # without a process the web process imports by itself
    )
    return ProcessPool(program, processes, _WAITING, seconds)
