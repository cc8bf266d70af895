"""The main loop of every such process: answers one task after the other, and may be killed at any moment.

Tasks come in on standard input, answers go out on standard output. Ends when its input does, even in the
middle of a task. Whatever nobody foresaw ends it too, with the reason on standard error. Does not know HTTP,
nor who asks.
"""

import os
import sys
import threading
from collections.abc import Callable
from io import FileIO
from queue import SimpleQueue
from typing import BinaryIO

from app.observability.traces import print_trace
from app.processes.frames import Frame, Kind, read_frame, write_frame

Answer = Callable[[bytes, Callable[[bytes], None]], Frame]


def only_frames() -> BinaryIO:
    """Return the standard output for frames alone; whatever else is printed goes to standard error."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sink


def answer_tasks(sink: BinaryIO, answer: Answer) -> None:
    """Say that the process is warm, and answer tasks until the input ends.

    ``answer`` takes a task and what sends progress on its way; it returns the answer or the refusal.
    """
    sys.excepthook = print_trace
    tasks: SimpleQueue[Frame] = SimpleQueue()
    threading.Thread(target=_read_tasks, args=(_unlocked_input(), tasks), daemon=True).start()

    def send(progress: bytes) -> None:
        write_frame(sink, Frame(Kind.PROGRESS, progress))

    write_frame(sink, Frame(Kind.READY))
    while True:
        task = tasks.get()
        write_frame(sink, Frame(Kind.TAKEN))
        write_frame(sink, answer(task.body, send))


def _unlocked_input() -> FileIO:
    """Return the standard input without sys.stdin's lock: Python cannot end while a thread holds that."""
    return FileIO(sys.stdin.fileno(), closefd=False)


def _read_tasks(source: FileIO, tasks: SimpleQueue[Frame]) -> None:
    while (frame := read_frame(source)) is not None:
        tasks.put(frame)
    os._exit(0)  # nobody is left to read the answer
