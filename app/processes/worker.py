"""The main loop of each worker process, and the frames and refusals that it exchanges with its pool.

Tasks arrive on standard input, answers leave on standard output. The process ends when its input does, even
in the middle of a task; an unexpected exception ends it too, with the traceback on standard error.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from io import FileIO
from queue import SimpleQueue
from typing import BinaryIO

from pydantic import BaseModel

from app.errors import Place, Problem
from app.observability.logs import print_trace

HEAD_BYTES = 5


class Kind(IntEnum):
    """The kinds of frames."""

    READY = 0
    TASK = 1
    TAKEN = 2
    PROGRESS = 3
    ANSWER = 4
    REFUSAL = 5


@dataclass(frozen=True)
class Frame:
    """One message."""

    kind: Kind
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame as bytes: one for the kind, four for the length (little-endian), the body."""
        return self.kind.to_bytes(1, "little") + len(self.body).to_bytes(4, "little") + self.body


def read_head(head: bytes) -> tuple[Kind, int]:
    """Return the kind and the length in the first bytes of a frame."""
    return Kind(head[0]), int.from_bytes(head[1:HEAD_BYTES], "little")


def write_frame(sink: BinaryIO, frame: Frame) -> None:
    """Write one frame and flush it."""
    sink.write(frame.to_bytes())
    sink.flush()


def read_frame(source: FileIO) -> Frame | None:
    """Read one frame; None where the input ends."""
    head = _read_exactly(source, HEAD_BYTES)
    if head is None:
        return None
    kind, length = read_head(head)
    body = _read_exactly(source, length)
    return None if body is None else Frame(kind, body)


def _read_exactly(source: FileIO, count: int) -> bytes | None:
    parts = []
    while count:
        part = source.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _kinds(above: type[Problem]) -> Iterator[type[Problem]]:
    for kind in above.__subclasses__():
        yield kind
        yield from _kinds(kind)


_REFUSALS = {kind.type: kind for kind in _kinds(Problem)}


class Refusal(BaseModel):
    """A problem, serialized."""

    type: str
    detail: str
    places: list[Place]


def refused(problem: Problem) -> Frame:
    """Return the frame that refuses a task."""
    refusal = Refusal(type=problem.type, detail=problem.detail, places=list(problem.places))
    return Frame(Kind.REFUSAL, refusal.model_dump_json().encode())


def refusal_of(body: bytes) -> Problem:
    """Return the problem in the body of a refusal."""
    refusal = Refusal.model_validate_json(body)
    return _REFUSALS[refusal.type](refusal.detail, refusal.places)


Answer = Callable[[bytes, Callable[[bytes], None]], Frame]


def only_frames() -> BinaryIO:
    """Reserve standard output for frames and return it; everything printed goes to standard error."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sink


def answer_tasks(sink: BinaryIO, answer: Answer) -> None:
    """Announce that the process is warm, and answer tasks until the input ends.

    ``answer`` takes a task and a function that sends progress; it returns the answer or the refusal.
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
