"""A program for a pool of processes that doubles a number, after so many seconds; it starts in a moment.

Knows no torch, which takes seconds to be imported.
"""

import time
from collections.abc import Callable

from pydantic import BaseModel

from app.processes.worker import Frame, Kind, answer_tasks, only_frames


class Doubling(BaseModel):
    """What to double, and how long that is to take."""

    number: int
    seconds: float = 0.0


def answer(body: bytes, _progress: Callable[[bytes], None]) -> Frame:
    """Return the answer to a task; less than no time is what it does not foresee."""
    task = Doubling.model_validate_json(body)
    if task.seconds < 0:
        raise ValueError("a fault of the program's own")
    until = time.monotonic() + task.seconds
    while time.monotonic() < until:  # it computes, as those do that this program stands for
        pass
    return Frame(Kind.ANSWER, str(2 * task.number).encode())


if __name__ == "__main__":
    answer_tasks(only_frames(), answer)
