"""The pool of the processes that draw. Does not know what they draw."""

from app.errors import OverBudget
from app.plots.drawing_tasks import DrawTask
from app.processes.pool import ProcessPool
from app.processes.program import Program

DrawingPool = ProcessPool[DrawTask]


def make_drawing_pool(processes: int, waiting: int, seconds: float) -> DrawingPool:
    """Return a pool of so many processes, for whose attention at most ``waiting`` pictures wait."""
    program = Program(
        module="app.plots.drawing",
        argument="",
        name="drawing",
        task="a picture",
        lost=lambda cause: OverBudget(f"{cause}; ask for less: fewer users and movies"),
        off="drawing is switched off here: LIKELY_DRAWING_PROCESSES is 0; text/plain (.txt) needs none",
    )
    return ProcessPool(program, processes, waiting, seconds)
