"""How large a program and its values may be, and the count of what one run has used.

Everything is counted beforehand: an operation before it runs, elements before they are allocated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.notebook.tensor_language.runtime.errors import LimitError, OperationError

Shape = Sequence[int]

# torch's own bound on dimensions in most operations; beyond it printing nests too deep as well.
_DIMENSIONS = 64


@dataclass(frozen=True)
class Limits:
    """What a program may use; each excess is a `LimitError`."""

    program_bytes: int = 4096
    nesting: int = 64
    operations: int = 1000
    elements: int = 1_000_000
    total_elements: int = 20_000_000
    """All that one run allocates, together: what is no longer used is counted too."""


class Budget:
    """What one run has used of its limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._operations = 0
        self._elements = 0

    def step(self) -> None:
        """Count an operation that is about to run."""
        self._operations += 1
        if self._operations > self.limits.operations:
            raise LimitError(f"the program runs more than the {self.limits.operations:,} operations allowed")

    def check_dimensions(self, dimensions: int) -> None:
        """Raise `LimitError` for more dimensions than torch's operations take."""
        if dimensions > _DIMENSIONS:
            raise LimitError(f"{dimensions} dimensions; {_DIMENSIONS} are allowed")

    def reserve(self, shape: Shape) -> None:
        """Count a tensor of this shape, or a list of (its length,), that is about to be allocated."""
        if any(size < 0 for size in shape):
            raise OperationError(f"a shape cannot have a negative size: {_text(shape)}")
        self.check_dimensions(len(shape))
        # A size of 0 counts as 1: a shape (10**15, 0) has no elements, and 10**15 empty lists when it is
        # shown.
        elements = math.prod(max(size, 1) for size in shape)
        if elements > self.limits.elements:
            raise LimitError(
                f"shape {_text(shape)} has more than the {self.limits.elements:,} elements allowed"
            )
        self._elements += elements
        if self._elements > self.limits.total_elements:
            raise LimitError(
                f"all values together have more than the {self.limits.total_elements:,} elements allowed"
            )


def _text(shape: Shape) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
