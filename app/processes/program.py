"""What the processes of a pool run, and how a pool words what goes wrong with it.

Does not know when a process is started or killed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Problem


@dataclass(frozen=True)
class Program:
    """A program that `worker.py` is the main loop of.

    module     what `python -m` runs
    argument   its one argument
    name       of its processes, as the log calls them: "compute"
    task       what it does, in one word: "computation"
    lost       the problem that a caller is told whose task died or ran out of its time, given which: the
               owner knows whether anything of it may be done all the same
    off        what a caller is told where there are no processes
    """

    module: str
    argument: str
    name: str
    task: str
    lost: Callable[[str], Problem]
    off: str
