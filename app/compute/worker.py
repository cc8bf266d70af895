"""A program of its own: computes one task after the other for `pool.py`, and may be killed at any moment.

Tasks come in on standard input, answers go out on standard output. Ends when its input does, even in the
middle of a task. Whatever nobody foresaw ends it too, with the reason on standard error. Does not know HTTP,
nor who asks.
"""

import contextlib
import os
import resource
import sys
import threading
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from app.compute.frames import Frame, Kind, read_frame, write_frame
from app.compute.limits import ComputeLimits


def main(limits: ComputeLimits) -> None:
    """Compute until the input ends, in one thread and in so much memory beside what torch itself takes."""
    import torch

    from app.compute.tasks import answer, warm_up

    torch.set_num_threads(1)
    sink = _only_frames()
    warm_up()
    os.nice(
        10
    )  # where cores are short, other requests come first; but not while everybody waits for this process
    _bound_memory(limits.memory_bytes)
    tasks: SimpleQueue[Frame] = SimpleQueue()
    threading.Thread(target=_read_tasks, args=(_unlocked_input(), tasks), daemon=True).start()

    def send(progress: bytes) -> None:
        write_frame(sink, Frame(Kind.PROGRESS, progress))

    write_frame(sink, Frame(Kind.READY))
    while True:
        task = tasks.get()
        write_frame(sink, Frame(Kind.TAKEN))
        write_frame(sink, answer(task.body, limits, send))


def _only_frames() -> BinaryIO:
    """Return the standard output for frames alone; whatever else is printed goes to standard error."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sink


def _unlocked_input() -> FileIO:
    """Return the standard input without sys.stdin's lock: Python cannot end while a thread holds that."""
    return FileIO(sys.stdin.fileno(), closefd=False)


def _read_tasks(source: FileIO, tasks: SimpleQueue[Frame]) -> None:
    while (frame := read_frame(source)) is not None:
        tasks.put(frame)
    os._exit(0)  # nobody is left to read the answer


def _bound_memory(memory_bytes: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not every system counts address space
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(ComputeLimits.model_validate_json(sys.argv[1]))
