"""What the processes of a pool run, and how a pool words what goes wrong with it.

Does not know when a process is started or killed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """A program that `worker.py` is the main loop of.

    module     what `python -m` runs
    argument   its one argument
    name       of its processes, as the log calls them: "compute"
    task       what it does, in one word: "computation"
    advice     what to ask for when a task takes too long
    off        what a caller is told where there are no processes
    """

    module: str
    argument: str
    name: str
    task: str
    advice: str
    off: str
