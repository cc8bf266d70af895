"""Frames between the web process and a process beside it: a kind, a length, and bytes. Knows no task."""

from dataclasses import dataclass
from enum import IntEnum
from io import FileIO
from typing import BinaryIO

HEAD_BYTES = 5


class Kind(IntEnum):
    """What a frame is."""

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
        """Return the frame as it travels: a byte for the kind, four for the length, the body."""
        return self.kind.to_bytes(1, "little") + len(self.body).to_bytes(4, "little") + self.body


def read_head(head: bytes) -> tuple[Kind, int]:
    """Return the kind and the length that the first bytes of a frame say."""
    return Kind(head[0]), int.from_bytes(head[1:HEAD_BYTES], "little")


def write_frame(sink: BinaryIO, frame: Frame) -> None:
    """Write one frame and let it go."""
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
