"""Programs of the tensor language and gradients of its expressions: what is asked, and the answers as JSON.

Does not know that it runs in a process of its own.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor

from app.compute.limits import ComputeLimits
from app.compute.numbers import Numbers, ShownNumbers
from app.compute.refusals import misplaced, placed
from app.errors import Place, TooLarge, pointer
from models import gradient
from models.computation_graph import Edge, Node
from models.differences import Table
from models.gradient import Asked, Check
from models.options import LARGEST_SEED, Options
from models.tensor_language import (
    Given,
    LanguageError,
    OperationError,
    Outcome,
    Program,
    Value,
    execute,
    parse,
    show,
    value_of,
)
from models.tensor_language.limits import Budget
from models.tensor_language.values import Listing, dtype_name, kind_of, text_of

# Variables with more numbers than this are shown by shape and text; the result is always whole.
_SHOWN_NUMBERS = 10_000

# The settings say how long a program may be; this bound makes pydantic see halves of surrogate pairs.
Text = Annotated[str, Field(max_length=2**20)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
_MOST_VARIABLES = 100


def _few(variables: object) -> object:
    """Refuse too many variables before each is looked at: pydantic counts when it has looked."""
    if isinstance(variables, dict) and len(variables) > _MOST_VARIABLES:
        raise PydanticCustomError(
            "too_many",
            "{count} variables; {most} are allowed",
            {"count": len(variables), "most": _MOST_VARIABLES},
        )
    return variables


Variables = Annotated[
    dict[Name, Numbers],
    BeforeValidator(_few),
    Field(
        max_length=_MOST_VARIABLES,
        description="variables by name: numbers, or nested lists, which become tensors",
    ),
]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Precision = Annotated[Literal["float32", "float64"], Field(description="what floating-point tensors are")]

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


class TensorProblem(Options):
    """A program of the tensor language."""

    program: Annotated[
        Text, Field(description="its lines, as in the notebook; GET /v1/compute lists the operations")
    ]
    variables: Variables = {}  # noqa: RUF012 - pydantic copies it
    seed: Seed | None = Field(None, description="seed of the random operations; drawn if left out")
    dtype: Precision = "float32"


class GradientProblem(Options):
    """A scalar expression of the tensor language, and where to differentiate it."""

    expression: Annotated[Text, Field(description="a program whose last line gives one number")]
    variables: Annotated[Variables, Field(min_length=1)]
    wrt: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = Field(
        None, description="the variables to differentiate by; all if left out"
    )
    order: int = Field(1, ge=1, le=2, description="2 adds the Hessian")
    check: bool = Field(
        default=False, description="add central differences, and the largest disagreement with them"
    )
    graph: bool = Field(default=False, description="add the graph that backward goes through, in its order")
    seed: Seed = Field(0, description="seed of the random operations")
    dtype: Precision = "float32"


@dataclass(frozen=True)
class ShownValue:
    """A value: nested lists, shape (null of a list), dtype, and what torch and Python print of it.

    The numbers of a variable that has more than 10,000 are left out.
    """

    value: ShownNumbers
    shape: Sequence[int] | None
    dtype: str
    text: str


@dataclass(frozen=True)
class TensorAnswer:
    """What a program left: its last expression, all variables, what it printed.

    ``seed`` is the one that random numbers were drawn with, null if none were.
    """

    result: ShownValue | None
    values: Mapping[str, ShownValue]
    printed: Sequence[str]
    seed: int | None


@dataclass(frozen=True)
class CheckAnswer:
    """Central differences in float64, in the shapes of what they check."""

    gradients: Mapping[str, ShownNumbers]
    largest_disagreement: float | None
    hessian: Mapping[str, Mapping[str, ShownNumbers]] | None = None


@dataclass(frozen=True)
class GraphAnswer:
    """The graph of the backward pass: its nodes in the order of their visits, its edges, and both as DOT."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    dot: str


@dataclass(frozen=True)
class GradientAnswer:
    """Value and derivatives by variable, each in the shape of its variable.

    What was not asked for is left out.
    """

    value: float | None
    gradients: Mapping[str, ShownNumbers]
    hessian: Mapping[str, Mapping[str, ShownNumbers]] | None = None
    check: CheckAnswer | None = None
    graph: GraphAnswer | None = None


def run_program(problem: TensorProblem, limits: ComputeLimits) -> TensorAnswer:
    """Run a program; raises `BadInput` and `TooLarge` with the position."""
    seed = secrets.randbelow(2**31) if problem.seed is None else problem.seed
    outcome = _outcome(problem, seed, limits, _program(problem, limits, "program"), "program")
    return TensorAnswer(
        None if outcome.result is None else _shown(outcome.result),
        {name: _shown(value, _SHOWN_NUMBERS) for name, value in outcome.variables.items()},
        _printed(outcome),
        seed if outcome.drawn else None,
    )


def run_as_text(problem: TensorProblem, limits: ComputeLimits) -> str:
    """Run a program that is the whole body, and return what a notebook shows; raises as `run_program`."""
    program = _program(problem, limits)
    outcome = _outcome(problem, problem.seed or 0, limits, program)
    lines = _printed(outcome)
    if outcome.result is not None and not program.prints_result:
        lines.append(text_of(outcome.result))
    return "".join(f"{line}\n" for line in lines)


def differentiate(problem: GradientProblem, limits: ComputeLimits) -> GradientAnswer:
    """Differentiate an expression; raises `BadInput` and `TooLarge` with the position."""
    for position, name in enumerate(problem.wrt or ()):
        if name not in problem.variables:
            raise misplaced(f"there is no variable {name} to differentiate by", "wrt", position)
    variables = {
        name: _value(name, given, torch.float64, limits) for name, given in problem.variables.items()
    }
    asked = Asked(problem.wrt, 2 if problem.order > 1 else 1, problem.check, problem.graph, problem.dtype)
    with placed("expression"):
        found = gradient.differentiate(problem.expression, variables, problem.seed, asked, limits.language)
    return GradientAnswer(
        float(found.value),  # a comparison's too, which is 0 or 1
        _lists(found.gradients),
        _tables(found.hessian),
        _check(found.check),
        None if found.graph is None else GraphAnswer(found.graph.nodes, found.graph.edges, found.graph.dot),
    )


def _program(problem: TensorProblem, limits: ComputeLimits, *where: str) -> Program:
    with placed(*where):
        return parse(problem.program, limits.language)


def _outcome(
    problem: TensorProblem, seed: int, limits: ComputeLimits, program: Program, *where: str
) -> Outcome:
    dtype = _DTYPES[problem.dtype]
    variables = {name: _value(name, given, dtype, limits) for name, given in problem.variables.items()}
    with placed(*where):
        return execute(program, variables, seed, limits.language, dtype)


def _printed(outcome: Outcome) -> list[str]:
    """Return the lines that were printed, as Python prints several values: with spaces between them."""
    return [" ".join(text_of(value) for value in line) for line in outcome.printed]


def _value(name: str, given: Given, dtype: torch.dtype, limits: ComputeLimits) -> Value:
    """Return a variable: a number as it is, nested lists as a tensor."""
    try:
        value = value_of(given)
    except OperationError as error:
        raise misplaced(error.message, "variables", name) from error
    if not isinstance(value, Tensor):
        return value
    try:
        Budget(limits.language).reserve(value.shape)
    except LanguageError as error:
        detail = f"variable {name}: {error.message}"
        raise TooLarge(detail, [Place(error.message, pointer("variables", name))]) from error
    return torch.tensor(given, dtype=dtype) if value.is_floating_point() else value


def _shown(value: Value, most: int | None = None) -> ShownValue:
    """Return a value as an answer shows it, without its numbers if it has more than ``most``."""
    if most is not None and isinstance(value, Tensor) and value.numel() > most:
        return ShownValue(None, tuple(value.shape), dtype_name(value.dtype), text_of(value))
    if most is not None and isinstance(value, Listing) and value.count > most:
        return ShownValue(None, None, kind_of(value), text_of(value))
    shown = show(value)
    return ShownValue(shown.value, shown.shape, shown.dtype, shown.text)


def _check(check: Check | None) -> CheckAnswer | None:
    if check is None:
        return None
    return CheckAnswer(_lists(check.gradients), check.largest_disagreement, _tables(check.hessian))


def _tables(tables: Mapping[str, Table] | None) -> Mapping[str, Mapping[str, ShownNumbers]] | None:
    return None if tables is None else {name: _lists(table) for name, table in tables.items()}


def _lists(table: Table) -> Mapping[str, ShownNumbers]:
    return {name: tensor.tolist() for name, tensor in table.items()}
