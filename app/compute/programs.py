"""Programs of the tensor language: what is asked, and the answers as JSON.

Does not know that it runs in a process of its own.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from app.compute.inputs import (
    DTYPES,
    ComputeLimits,
    Precision,
    Seed,
    ShownNumbers,
    Text,
    Variables,
    placed,
    variable_of,
)
from models.notebook.tensor_language.runtime.interpreter import Outcome, execute
from models.notebook.tensor_language.runtime.values import Listing, Value, dtype_name, kind_of, show, text_of
from models.notebook.tensor_language.syntax.parsing import parse
from models.notebook.tensor_language.syntax.program import Program
from models.options import Options

# Variables with more numbers than this are shown by shape and text; the result is always whole.
_SHOWN_NUMBERS = 10_000


class TensorProblem(Options):
    """A program of the tensor language."""

    program: Annotated[
        Text, Field(description="its lines, as in the notebook; GET /v1/compute lists the operations")
    ]
    variables: Variables = {}  # noqa: RUF012 - pydantic copies it
    seed: Seed | None = Field(None, description="seed of the random operations; drawn if left out")
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


def _program(problem: TensorProblem, limits: ComputeLimits, *where: str) -> Program:
    with placed(*where):
        return parse(problem.program, limits.language)


def _outcome(
    problem: TensorProblem, seed: int, limits: ComputeLimits, program: Program, *where: str
) -> Outcome:
    dtype = DTYPES[problem.dtype]
    variables = {name: variable_of(name, number, dtype, limits) for name, number in problem.variables.items()}
    with placed(*where):
        return execute(program, variables, seed, limits.language, dtype)


def _printed(outcome: Outcome) -> list[str]:
    """Return the lines that were printed, as Python prints several values: with spaces between them."""
    return [" ".join(text_of(value) for value in line) for line in outcome.printed]


def _shown(value: Value, limit: int | None = None) -> ShownValue:
    """Return a value as an answer shows it, without its numbers if it has more than ``limit``."""
    if limit is not None and isinstance(value, Tensor) and value.numel() > limit:
        return ShownValue(None, tuple(value.shape), dtype_name(value.dtype), text_of(value))
    if limit is not None and isinstance(value, Listing) and value.count > limit:
        return ShownValue(None, None, kind_of(value), text_of(value))
    parts = show(value)
    return ShownValue(parts.value, parts.shape, parts.dtype, parts.text)
