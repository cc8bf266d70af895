"""The form of a row in the table of operations.

A row has an operation's name, signature, description and example, what it allocates, which follows from the
arguments alone, and what computes it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.limits import Shape
from models.notebook.tensor_language.runtime.signature import Signature
from models.notebook.tensor_language.runtime.values import Value

Extent = Callable[[Call], Iterable[Shape]]


@dataclass(frozen=True)
class Specification:
    """An operation.

    extent   the shapes of all that it allocates, or bounds of them, before anything is allocated
    compute  the value; what torch refuses is raised as it comes
    """

    name: str
    signature: Signature
    description: str
    example: str
    extent: Extent
    compute: Callable[[Call], Value]


def operation(
    name: str,
    signature: str,
    description: str,
    example: str,
    extent: Extent,
    compute: Callable[[Call], Value],
) -> Specification:
    """Return a row of the table."""
    return Specification(name, Signature.read(signature), description, example, extent, compute)


def nothing(_: Call) -> Iterable[Shape]:
    """Allocate nothing: a number, or a view of what is there."""
    return ()


def like(name: str) -> Extent:
    """Allocate as many elements as an argument has, at most."""
    return lambda call: (call.extent(name),)


def shaped(name: str) -> Extent:
    """Allocate the shape that an argument gives."""
    return lambda call: (call.shape(name),)


def broadcast(first: str, second: str) -> Extent:
    """Allocate the shape of two arguments broadcast together."""

    def extent(call: Call) -> Iterable[Shape]:
        return (broadcast_shape(call.extent(first), call.extent(second)),)

    return extent


def broadcast_shape(first: Shape, second: Shape) -> tuple[int, ...]:
    """Return two shapes broadcast together; raises `OperationError` when they do not match."""
    width = max(len(first), len(second))
    pairs = zip(
        (1,) * (width - len(first)) + tuple(first), (1,) * (width - len(second)) + tuple(second), strict=True
    )
    shape = tuple(a if b == 1 else b for a, b in pairs)  # not max: a size of 0 stays 0
    if any(
        size not in {1, common}
        for part in (first, second)
        for size, common in zip(part[::-1], shape[::-1], strict=False)
    ):
        raise OperationError(f"shapes {tuple(first)} and {tuple(second)} do not match")
    return shape
