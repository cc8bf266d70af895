"""Gradients of expressions of the tensor language: what is asked, and the answers as JSON.

Does not know that it runs in a process of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from app.compute.inputs import (
    ComputeLimits,
    Name,
    Precision,
    Seed,
    ShownNumbers,
    Text,
    Variables,
    misplaced,
    placed_in_gradient,
    variable_of,
)
from models.notebook.autograd import gradient
from models.notebook.autograd.computation_graph import Edge, Node
from models.notebook.autograd.differences import Table
from models.notebook.autograd.gradient import Check, GradientOptions
from models.notebook.tensor_language.runtime.values import text_of
from models.options import Options


class GradientProblem(Options):
    """A scalar expression of the tensor language, and where to differentiate it."""

    expression: Annotated[Text, Field(description="a program whose last line gives one number")]
    variables: Annotated[Variables, Field(min_length=1)]
    wrt: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = Field(
        None, description="the variables to differentiate by; all if left out"
    )
    order: int = Field(1, ge=1, le=2, description="2 adds the Hessian")
    check: bool = Field(
        default=False,
        description="add central differences in float64, and the largest disagreement with them; at a kink "
        "or a jump they do not tell whether the gradient is right: of relu at 0 they are 1/2, the mean of "
        "both slopes; of a program that goes through float32 they are good to some hundredths",
    )
    graph: bool = Field(default=False, description="add the graph that backward goes through, in its order")
    seed: Seed = Field(0, description="seed of the random operations")
    dtype: Precision = "float32"


@dataclass(frozen=True)
class Texts:
    """What torch and Python print of each part that has a null in it: nan, inf or -inf stands there.

    What has none is left out.
    """

    value: str | None = None
    gradients: Mapping[str, str] | None = None
    hessian: Mapping[str, Mapping[str, str]] | None = None
    largest_disagreement: str | None = None


@dataclass(frozen=True)
class CheckAnswer:
    """Central differences in float64, in the shapes of what they check.

    ``largest_disagreement`` is the largest |gradient - difference| / max(1, |difference|) of all elements.
    """

    gradients: Mapping[str, ShownNumbers]
    largest_disagreement: float | None
    hessian: Mapping[str, Mapping[str, ShownNumbers]] | None = None
    text: Texts | None = None


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
    text: Texts | None = None
    check: CheckAnswer | None = None
    graph: GraphAnswer | None = None


def differentiate(problem: GradientProblem, limits: ComputeLimits) -> GradientAnswer:
    """Differentiate an expression; raises `BadInput` and `TooLarge` with the position."""
    for position, name in enumerate(problem.wrt or ()):
        if name not in problem.variables:
            raise misplaced(f"there is no variable {name} to differentiate by", "wrt", position)
    variables = {
        name: variable_of(name, number, torch.float64, limits) for name, number in problem.variables.items()
    }
    options = GradientOptions(
        problem.wrt, 2 if problem.order > 1 else 1, problem.check, problem.graph, problem.dtype
    )
    with placed_in_gradient():
        derivatives = gradient.differentiate(
            problem.expression, variables, problem.seed, options, limits.language
        )
    return GradientAnswer(
        float(derivatives.value),  # a comparison's too, which is 0 or 1
        _lists(derivatives.gradients),
        _tables(derivatives.hessian),
        _texts(derivatives.gradients, derivatives.hessian, value=derivatives.value),
        _check(derivatives.check),
        None
        if derivatives.graph is None
        else GraphAnswer(derivatives.graph.nodes, derivatives.graph.edges, derivatives.graph.dot),
    )


def _check(check: Check | None) -> CheckAnswer | None:
    if check is None:
        return None
    largest = check.largest_disagreement
    texts = _texts(check.gradients, check.hessian, largest=largest)
    return CheckAnswer(_lists(check.gradients), largest, _tables(check.hessian), texts)


def _texts(
    gradients: Table,
    hessian: Mapping[str, Table] | None,
    *,
    value: Tensor | None = None,
    largest: float = 0.0,
) -> Texts | None:
    """Return the texts of what JSON has no numbers for, or None if it has for all."""
    by_both = {name: _printed(table) for name, table in (hessian or {}).items()}
    texts = Texts(
        _printed({"": value}).get(""),
        _printed(gradients) or None,
        {name: table for name, table in by_both.items() if table} or None,
        None if math.isfinite(largest) else text_of(largest),
    )
    return None if texts == Texts() else texts


def _printed(tensors: Mapping[str, Tensor | None]) -> dict[str, str]:
    return {
        name: text_of(tensor)
        for name, tensor in tensors.items()
        if tensor is not None and not bool(tensor.isfinite().all())
    }


def _tables(tables: Mapping[str, Table] | None) -> Mapping[str, Mapping[str, ShownNumbers]] | None:
    return None if tables is None else {name: _lists(table) for name, table in tables.items()}


def _lists(table: Table) -> Mapping[str, ShownNumbers]:
    return {name: tensor.tolist() for name, tensor in table.items()}
