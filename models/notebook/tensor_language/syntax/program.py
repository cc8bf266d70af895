"""A parsed program: a flat list of operations in the order in which they run.

Each operation has an opcode and references to its arguments, and writes its result to a register that nothing
else writes to. A comprehension is a `Loop` that runs the next `body` operations once for every element.
"""

from dataclasses import dataclass
from typing import Literal

from models.notebook.tensor_language.runtime.values import Value

Style = Literal["torch", "numpy", "plain"]
"""Whose rules an operation follows, by its prefix; a method follows torch's, a bare name is plain."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the program."""

    value: Value


@dataclass(frozen=True, slots=True)
class Register:
    """The result of an earlier operation, or the variable of a loop."""

    number: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, or a constant of the language: `pi`, or with its prefix `torch.float64`."""

    name: str
    prefix: Style | None
    line: int
    column: int


Reference = Constant | Register | Variable


@dataclass(frozen=True, slots=True)
class Span:
    """`low:high:step` inside an index."""

    start: Reference
    stop: Reference
    step: Reference


@dataclass(frozen=True, slots=True)
class Dots:
    """`...` inside an index."""


Index = Reference | Span | Dots


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the table: a function, a method, an attribute or an operator."""

    opcode: str
    spelling: Literal["function", "method", "attribute", "operator"]
    style: Style
    arguments: tuple[Reference, ...]
    keywords: tuple[tuple[str, Reference], ...]
    target: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Make a list or a tuple."""

    kind: Literal["list", "tuple"]
    items: tuple[Reference, ...]
    target: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A comprehension: run the next ``body`` operations for each element, collect the ``element``s."""

    iterable: Reference
    variable: int
    body: int
    element: Reference
    target: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Subscript:
    """Read `base[indices]`."""

    base: Reference
    indices: tuple[Index, ...]
    target: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class AssignPart:
    """Write `base[indices] = value`, in place."""

    base: Reference
    indices: tuple[Index, ...]
    value: Reference
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Store:
    """Give a value a name; ``update`` writes it into the tensor that has the name, as `a += 1` does."""

    name: str
    value: Reference
    update: bool
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Print:
    """Record values as a line of output."""

    values: tuple[Reference, ...]
    line: int
    column: int


Step = Operation | Collect | Loop | Subscript | AssignPart | Store | Print


@dataclass(frozen=True)
class Program:
    """A parsed program: its operations and a reference to its result (None if its last statement has none).

    ``prints_result`` says that the last statement prints it, so that it need not be shown again.
    """

    steps: tuple[Step, ...]
    result: Reference | None
    prints_result: bool = False
