"""Runs a program: each operation once, in order, over registers and variables.

Knows the table of operations and the few things that are not operations: lists, loops, parts, names. What
torch refuses becomes a refusal with the operation's position.
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

# How torch and Python refuse: nothing else is caught, so that a fault of this package stays visible.
_REFUSALS = (RuntimeError, IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError)

Watch = Callable[[Step, Value], None]
"""Told of each step that has run, with what it gave."""


@dataclass(frozen=True)
class Outcome:
    """What a run left: its last expression's value, or None; all variables; what was printed, line by line.

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
    undrawn = generator.get_state()
    run = _Run(program, dict(variables), Machine(Budget(limits), generator, dtype), watch)
    run.steps(0, len(program.steps))
    result = None if program.result is None else run.value(program.result)
    drawn = not torch.equal(generator.get_state(), undrawn)
    return Outcome(result, MappingProxyType(run.variables), tuple(run.printed), drawn)


class _Run:
    """One run: the registers and variables as they are now."""

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
        """Return what a reference stands for now; raises `UnknownNameError`."""
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
            written = name if prefix is None else f"{prefix} {name}"
            message = f"there is no {written}{hint(name)}"
            raise UnknownNameError(message, reference.line, reference.column) from None

    def _step(self, step: Step) -> None:
        value: Value = None
        if isinstance(step, Operation):
            value = self._registers[step.target] = self._kept(self._operation(step))
        elif isinstance(step, Subscript):
            chosen = [self._chosen(index) for index in step.indices]
            value = self._kept(indexing.read(self.value(step.base), chosen, self._machine))
            self._registers[step.target] = value
        elif isinstance(step, Collect):
            items = tuple(self.value(item) for item in step.items)
            self._registers[step.target] = self._kept(Listing(items, step.kind))
        elif isinstance(step, AssignPart):
            value = self.value(step.base)
            chosen = [self._chosen(index) for index in step.indices]
            indexing.write(value, chosen, self.value(step.value), self._machine)
        elif isinstance(step, Store):
            self._store(step)
        elif isinstance(step, Print):
            self.printed.append(tuple(self._as_it_is_now(self.value(each)) for each in step.values))
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

    def _kept(self, value: Value) -> Value:
        """Return a value if it is within the limits that show only when it is there: dimensions, lists."""
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
        collected = []
        for element in elements:
            if loop.body == 0:
                self._machine.budget.step()
            self._registers[loop.variable] = element
            self.steps(begin, begin + loop.body)
            collected.append(self.value(loop.element))
        self._registers[loop.target] = self._kept(Listing(tuple(collected)))

    def _chosen(self, index: Index) -> indexing.Chosen:
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
        before = self.variables.get(step.name)
        if step.update and isinstance(before, Tensor) and isinstance(value, Tensor):
            if not torch.can_cast(value.dtype, before.dtype):
                raise OperationError(
                    f"result type {value.dtype} can't be cast to the variable's type {before.dtype}"
                )
            if value.shape != before.shape:
                raise OperationError(
                    f"{step.name} of shape {tuple(before.shape)} cannot hold {tuple(value.shape)}"
                )
            before.copy_(value)
            return
        self.variables[step.name] = value

    def _as_it_is_now(self, value: Value) -> Value:
        """Return a value to keep: a tensor may be written to later."""
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
