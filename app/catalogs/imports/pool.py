"""The pool of the processes that import. Does not know what is in a file."""

from app.catalogs.imports.process import ImportLimits, ImportTask
from app.errors import Unavailable
from app.processes.pool import ProcessPool
from app.processes.program import Program

ImportPool = ProcessPool[ImportTask]

_WAITING = 20  # as many as may wait for the write lock in a web process


def make_import_pool(processes: int, seconds: float, limits: ImportLimits) -> ImportPool:
    """Return a pool of so many processes; an import has so many seconds.

    It waits as long for a process as it would for the write lock, which whoever has the process may hold.
    """
    program = Program(
        module="app.catalogs.imports.worker",
        argument=limits.model_dump_json(),
        name="import",
        task="an import",
        lost=_may_be_stored,
        off="",  # without a process the web process imports by itself
    )
    return ProcessPool(program, processes, _WAITING, seconds, limits.busy_seconds, moment=0.0)


def _may_be_stored(cause: str) -> Unavailable:
    """Return what is said of an import whose end nobody saw: it may have committed just before."""
    return Unavailable(
        f"{cause}; whether it was stored is unknown: send it again under the same Idempotency-Key, "
        "and in parts if this comes again"
    )
