"""The form of a line in the table of operations.

A line says how its operation is called, what it allocates, reckoned from the arguments alone, and what
computes it. Does not know any operation.
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
    """Write a line of the table."""
    return Specification(name, Signature.read(signature), description, example, extent, compute)


def nothing(_: Call) -> Iterable[Shape]:
    """Allocate nothing: a number, or a view of what is there."""
    return ()


def like(name: str) -> Extent:
    """Allocate as many elements as an argument has, at most."""
    return lambda call: (call.extent(name),)


def shaped(name: str) -> Extent:
    """Allocate the shape that an argument says."""
    return lambda call: (call.shape(name),)


def broadcast(left: str, right: str) -> Extent:
    """Allocate the shape that two arguments have together."""

    def extent(call: Call) -> Iterable[Shape]:
        return (broadcast_shape(call.extent(left), call.extent(right)),)

    return extent


def broadcast_shape(left: Shape, right: Shape) -> tuple[int, ...]:
    """Return the shape of two shapes together; raises `OperationError` when they do not fit."""
    width = max(len(left), len(right))
    pairs = zip(
        (1,) * (width - len(left)) + tuple(left), (1,) * (width - len(right)) + tuple(right), strict=True
    )
    shape = tuple(a if b == 1 else b for a, b in pairs)  # not max: a size of 0 stays 0
    if any(
        size not in {1, whole}
        for part in (left, right)
        for size, whole in zip(part[::-1], shape[::-1], strict=False)
    ):
        raise OperationError(f"shapes {tuple(left)} and {tuple(right)} do not match")
    return shape
