"""The pool of the processes that compute. Does not know what they compute."""

from app.compute.limits import ComputeLimits
from app.compute.process import Task
from app.errors import OverBudget
from app.processes.pool import ProcessPool
from app.processes.program import Program

ComputePool = ProcessPool[Task]


def make_compute_pool(processes: int, waiting: int, limits: ComputeLimits) -> ComputePool:
    """Return a pool of so many processes, for whose attention at most ``waiting`` tasks wait."""
    program = Program(
        module="app.compute.worker",
        argument=limits.model_dump_json(),
        name="compute",
        task="a computation",
        lost=lambda cause: OverBudget(f"{cause}; ask for less: fewer epochs, smaller tensors"),
        off="computing is switched off here: LIKELY_COMPUTE_PROCESSES is 0",
    )
    return ProcessPool(program, processes, waiting, limits.seconds)
