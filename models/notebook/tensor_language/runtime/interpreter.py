"""Runs a program: each operation once, in order, over registers and variables.

It calls the table of operations, and itself does what is no operation: lists, loops, indexing, names. An
error of torch becomes a `LanguageError` with the operation's position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from models.notebook.tensor_language.operations import indexing
from models.notebook.tensor_language.operations.operations import ATTRIBUTES, NOT_METHODS, ONLY_METHODS, TABLE
from models.notebook.tensor_language.operations.table import Specification
from models.notebook.tensor_language.runtime.calls import Call, Machine, whole
from models.notebook.tensor_language.runtime.errors import (
    LanguageError,
    LimitError,
    OperationError,
    UnknownNameError,
)
from models.notebook.tensor_language.runtime.limits import Budget, Limits
from models.notebook.tensor_language.runtime.values import Extremes, Listing, Value, kind_of, meaning
from models.notebook.tensor_language.syntax.names import CONSTANTS, hint
from models.notebook.tensor_language.syntax.parsing import parse
from models.notebook.tensor_language.syntax.program import (
    AssignPart,
    Collect,
    Constant,
    Dots,
    Index,
    Loop,
    Operation,
    Print,
    Program,
    Reference,
    Register,
    Span,
    Step,
    Store,
    Subscript,
)

# Errors of torch and Python about a program's values: nothing else is caught, so that bugs here stay visible.
_REFUSALS = (RuntimeError, IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError)

Watch = Callable[[Step, Value], None]
"""Called with each step that has run and its value."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its last expression's value, or None; all variables; the lines that it printed.

    ``drawn`` says whether it drew random numbers.
    """

    result: Value
    variables: Mapping[str, Value]
    printed: tuple[tuple[Value, ...], ...]
    drawn: bool


_LIMITS = Limits()


def run(program: str, variables: Mapping[str, Value], seed: int, limits: Limits = _LIMITS) -> Outcome:
    """Parse and execute a program; raises `LanguageError` with the position.

    The program reads ``variables`` by their names and leaves them unchanged. Random operations draw what
    torch draws after `torch.manual_seed(seed)`, 0 ≤ seed < 2⁶³.
    """
    copies = {
        name: value.clone() if isinstance(value, Tensor) else value for name, value in variables.items()
    }
    return execute(parse(program, limits), copies, seed, limits)


def execute(
    program: Program,
    variables: Mapping[str, Value],
    seed: int,
    limits: Limits,
    dtype: torch.dtype = torch.float32,
    watch: Watch | None = None,
) -> Outcome:
    """Run a program over variables, whose tensors it may write to; raises `LanguageError`.

    ``dtype`` is what floats become where torch would make float32.
    """
    generator = torch.Generator().manual_seed(seed)
    initial_state = generator.get_state()
    run = _Run(program, dict(variables), Machine(Budget(limits), generator, dtype), watch)
    run.steps(0, len(program.steps))
    result = None if program.result is None else run.value(program.result)
    has_drawn = not torch.equal(generator.get_state(), initial_state)
    return Outcome(result, MappingProxyType(run.variables), tuple(run.printed), has_drawn)


class _Run:
    """One run: its registers and variables."""

    def __init__(
        self, program: Program, variables: dict[str, Value], machine: Machine, watch: Watch | None
    ) -> None:
        self.variables = variables
        self.printed: list[tuple[Value, ...]] = []
        self._program = program
        self._registers: dict[int, Value] = {}
        self._machine = machine
        self._watch = watch

    def steps(self, begin: int, end: int) -> None:
        """Run the steps from ``begin`` up to ``end``, without it."""
        at = begin
        while at < end:
            step = self._program.steps[at]
            at += 1
            try:
                self._machine.budget.step()
                if isinstance(step, Loop):
                    self._loop(step, at)
                    at += step.body
                else:
                    self._step(step)
            except LanguageError as error:
                raise error.at(step.line, step.column) from error.__cause__
            except _REFUSALS as error:
                raise OperationError(meaning(error), step.line, step.column) from error

    def value(self, reference: Reference) -> Value:
        """Return the present value of a reference; raises `UnknownNameError`."""
        if isinstance(reference, Constant):
            return reference.value
        if isinstance(reference, Register):
            return self._registers[reference.number]
        name, prefix = reference.name, reference.prefix
        if prefix is None and name in self.variables:
            return self.variables[name]
        try:
            return CONSTANTS[prefix or "plain", name]
        except KeyError:
            qualified_name = name if prefix is None else f"{prefix} {name}"
            message = f"there is no {qualified_name}{hint(name)}"
            raise UnknownNameError(message, reference.line, reference.column) from None

    def _step(self, step: Step) -> None:
        value: Value = None
        if isinstance(step, Operation):
            value = self._registers[step.target] = self._checked(self._operation(step))
        elif isinstance(step, Subscript):
            indices = [self._index(index) for index in step.indices]
            value = self._checked(indexing.read(self.value(step.base), indices, self._machine))
            self._registers[step.target] = value
        elif isinstance(step, Collect):
            items = tuple(self.value(item) for item in step.items)
            self._registers[step.target] = self._checked(Listing(items, step.kind))
        elif isinstance(step, AssignPart):
            value = self.value(step.base)
            indices = [self._index(index) for index in step.indices]
            indexing.write(value, indices, self.value(step.value), self._machine)
        elif isinstance(step, Store):
            self._store(step)
        elif isinstance(step, Print):
            self.printed.append(tuple(self._snapshot(self.value(reference)) for reference in step.values))
        if self._watch is not None:
            self._watch(step, value)

    def _operation(self, step: Operation) -> Value:
        arguments = [self.value(argument) for argument in step.arguments]
        keywords = {name: self.value(argument) for name, argument in step.keywords}
        specification = _specification(step)
        if step.spelling in {"method", "attribute"} and not isinstance(arguments[0], Tensor | Extremes):
            raise UnknownNameError(f"a {kind_of(arguments[0])} has no {step.opcode}")
        bound = specification.signature.bind(step.opcode, arguments, keywords)
        call = Call(step.opcode, step.style, bound, self._machine, step.spelling == "method")
        for shape in specification.extent(call):
            self._machine.budget.reserve(shape)
        return specification.compute(call)

    def _checked(self, value: Value) -> Value:
        """Return a value if it is within the limits that only the value shows: dimensions, lists."""
        budget = self._machine.budget
        if isinstance(value, Tensor):
            budget.check_dimensions(value.dim())
        elif isinstance(value, Listing):
            if value.depth > budget.limits.nesting:
                raise LimitError(f"a list nests deeper than the {budget.limits.nesting} allowed")
            budget.reserve((value.count,))
        return value

    def _loop(self, loop: Loop, begin: int) -> None:
        elements = _elements(self.value(loop.iterable))
        items = []
        for element in elements:
            if loop.body == 0:
                self._machine.budget.step()
            self._registers[loop.variable] = element
            self.steps(begin, begin + loop.body)
            items.append(self.value(loop.element))
        self._registers[loop.target] = self._checked(Listing(tuple(items)))

    def _index(self, index: Index) -> indexing.IndexValue:
        if isinstance(index, Dots):
            return ...
        if isinstance(index, Span):
            start, stop, step = (self._bound(part) for part in (index.start, index.stop, index.step))
            if step is not None and step <= 0:
                raise OperationError(
                    "step must be greater than zero: a negative one does not work for tensors"
                )
            return slice(start, stop, step)
        return self.value(index)

    def _bound(self, reference: Reference) -> int | None:
        value = self.value(reference)
        return None if value is None else whole(value, "a slice")

    def _store(self, step: Store) -> None:
        value = self.value(step.value)
        previous = self.variables.get(step.name)
        if step.update and isinstance(previous, Tensor) and isinstance(value, Tensor):
            if not torch.can_cast(value.dtype, previous.dtype):
                raise OperationError(
                    f"result type {value.dtype} can't be cast to the variable's type {previous.dtype}"
                )
            if value.shape != previous.shape:
                raise OperationError(
                    f"{step.name} of shape {tuple(previous.shape)} cannot hold {tuple(value.shape)}"
                )
            previous.copy_(value)
            return
        self.variables[step.name] = value

    def _snapshot(self, value: Value) -> Value:
        """Return a copy of a tensor, which may be written to later; any other value as it is."""
        if not isinstance(value, Tensor):
            return value
        self._machine.budget.reserve(value.shape)
        return value.detach().clone()


def _specification(step: Operation) -> Specification:
    """Return the operation's line of the table; raises `UnknownNameError`."""
    name = step.opcode
    if step.spelling == "attribute":
        if name in ATTRIBUTES:
            return ATTRIBUTES[name]
        instead = f"; {name} is a method: write {name}(…)" if name in TABLE else hint(name)
        raise UnknownNameError(f"there is no attribute {name}{instead}")
    if name not in TABLE or name in (NOT_METHODS if step.spelling == "method" else ONLY_METHODS):
        raise UnknownNameError(f"there is no {step.spelling} {name}{hint(name)}")
    return TABLE[name]


def _elements(iterable: Value) -> Sequence[Value]:
    if isinstance(iterable, Listing):
        return iterable.items
    if isinstance(iterable, Tensor) and iterable.dim() > 0:
        return iterable.unbind(0)
    raise OperationError(
        f"a comprehension goes through a list, a range or a tensor, not a {kind_of(iterable)}"
    )
