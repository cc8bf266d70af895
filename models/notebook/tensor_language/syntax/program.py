"""What a program is once it is parsed: a flat list of operations in the order in which they run.

Each operation names its opcode and where its arguments come from, and puts its result into a register of its
own. A comprehension is a `Loop` that runs the next `body` operations once for every element. Does not know
what an opcode does.
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
    """Keep values as a line that was printed."""

    values: tuple[Reference, ...]
    line: int
    column: int


Step = Operation | Collect | Loop | Subscript | AssignPart | Store | Print


@dataclass(frozen=True)
class Program:
    """A parsed program: its operations, where its result is (None if its last statement has none).

    ``prints_result`` says that the last statement prints it, so that it need not be shown again.
    """

    steps: tuple[Step, ...]
    result: Reference | None
    prints_result: bool = False
