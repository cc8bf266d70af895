"""Value, gradient and Hessian of a scalar expression of the tensor language, by torch's autograd.

The expression is a program whose last expression is one number. It is computed in float32 as torch does, or
in float64 on request. A check compares the gradient with central differences
of the same program computed in float64, one element at a time. Does not know where the expression comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.computation_graph import Graph, Trace
from models.differences import Table, differences, disagreement
from models.tensor_language import (
    Given,
    LimitError,
    Limits,
    OperationError,
    Program,
    UnknownNameError,
    Value,
    execute,
    parse,
    value_of,
)
from models.tensor_language.interpreter import Watch
from models.tensor_language.values import kind_of, meaning


@dataclass(frozen=True)
class Asked:
    """What is asked of an expression.

    wrt     the variables to differentiate by; None is all
    order   2 adds the Hessian
    check   adds central differences
    graph   adds what backward visits
    dtype   to compute in
    """

    wrt: Sequence[str] | None = None
    order: Literal[1, 2] = 1
    check: bool = False
    graph: bool = False
    dtype: Literal["float32", "float64"] = "float32"


@dataclass(frozen=True)
class Check:
    """Central differences, float64, in the shapes of what they check.

    largest_disagreement   of |autograd − difference| / max(1, |difference|) of all elements; nan if one is
    """

    gradients: Table
    hessian: Mapping[str, Table] | None
    largest_disagreement: float


@dataclass(frozen=True)
class Gradient:
    """What was differentiated.

    value       scalar
    gradients   by variable, each in the shape of its variable
    hessian     second derivatives by both variables, in the shapes of both in turn; None of order 1
    """

    value: Tensor
    gradients: Table
    hessian: Mapping[str, Table] | None = None
    check: Check | None = None
    graph: Graph | None = None


_ASKED = Asked()
_LIMITS = Limits()


@dataclass(frozen=True)
class _Function:
    """The expression as a function of what it is differentiated by; everything else is held."""

    program: Program
    held: Mapping[str, Value]
    seed: int
    limits: Limits

    def __call__(self, leaves: Table, watch: Watch | None = None) -> Tensor:
        """Return the value, a tensor of one element; raises `LanguageError`."""
        dtype = next(iter(leaves.values())).dtype
        held = {name: _floats_to(value, dtype) for name, value in self.held.items()}
        result = execute(self.program, {**held, **leaves}, self.seed, self.limits, dtype, watch).result
        if isinstance(result, bool | int | float):
            return torch.tensor(result, dtype=dtype)
        if isinstance(result, Tensor) and result.numel() == 1:
            return result
        what = (
            f"a tensor of shape {tuple(result.shape)}"
            if isinstance(result, Tensor)
            else f"a {kind_of(result)}"
        )
        if result is None:
            what = "nothing"
        place = (self.program.steps[-1].line, self.program.steps[-1].column) if self.program.steps else (1, 1)
        raise OperationError(f"a gradient needs an expression that gives one number, not {what}", *place)


def differentiate(
    expression: str,
    variables: Mapping[str, Given | Value],
    seed: int = 0,
    asked: Asked = _ASKED,
    limits: Limits = _LIMITS,
) -> Gradient:
    """Differentiate an expression by its variables, numbers or nested lists; raises `LanguageError`."""
    names = tuple(variables) if asked.wrt is None else tuple(dict.fromkeys(asked.wrt))
    points = {name: _point(name, variables) for name in names}
    if not points:
        raise UnknownNameError("there is no variable to differentiate by", 1, 1)
    held = {name: _held(value) for name, value in variables.items() if name not in points}
    function = _Function(parse(expression, limits), held, seed, limits)
    leaves = _leaves(points, torch.float32 if asked.dtype == "float32" else torch.float64)
    trace = Trace(leaves) if asked.graph else None
    value = function(leaves, trace.watch if trace else None)
    gradients, hessian = _derivatives(value, leaves, asked.order, limits)
    return Gradient(
        value.detach().reshape(()),
        gradients,
        hessian,
        _check(function, points, gradients, hessian, limits) if asked.check else None,
        trace.graph(value) if trace else None,
    )


def _point(name: str, variables: Mapping[str, Given | Value]) -> Tensor:
    """Return a variable's value in float64; raises `UnknownNameError`, `OperationError`."""
    if name not in variables:
        raise UnknownNameError(f"there is no variable {name} to differentiate by", 1, 1)
    given = variables[name]
    if isinstance(given, Tensor):
        return given.detach().double()
    if (
        given is None
        or isinstance(given, torch.dtype)
        or not isinstance(given, bool | int | float | Sequence)
    ):
        raise OperationError(f"{name} is a {kind_of(given)}, not numbers", 1, 1)
    try:
        return torch.tensor(given, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise OperationError(f"{name} holds no numbers: {meaning(error)}", 1, 1) from error


def _held(given: Given | Value) -> Value:
    return value_of(given) if isinstance(given, Sequence) else given


def _floats_to(value: Value, dtype: torch.dtype) -> Value:
    """Return a copy for one run, which may write to it."""
    if isinstance(value, Tensor):
        return value.to(dtype, copy=True) if value.dtype.is_floating_point else value.clone()
    return value


def _leaves(points: Table, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: point.to(dtype, copy=True).requires_grad_() for name, point in points.items()}


def _derivatives(
    value: Tensor, leaves: Table, order: int, limits: Limits
) -> tuple[Table, Mapping[str, Table] | None]:
    """Return the gradients, and of order 2 the Hessian."""
    gradients = _backward(value, leaves, create_graph=order > 1)
    plain = {name: gradient.detach() for name, gradient in gradients.items()}
    if order == 1:
        return plain, None
    elements = sum(leaf.numel() for leaf in leaves.values())
    if elements**2 > limits.elements:
        raise LimitError(
            f"the Hessian of {elements:,} elements has more than the {limits.elements:,} numbers allowed",
            1,
            1,
        )
    return plain, {name: _jacobian(gradient, leaves) for name, gradient in gradients.items()}


def _backward(value: Tensor, leaves: Table, *, create_graph: bool = False) -> dict[str, Tensor]:
    """Return the derivatives of one element by all leaves; 0 by a leaf that it does not depend on."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    try:
        found = torch.autograd.grad(
            value,
            tuple(leaves.values()),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError as error:  # a value that backward needs was written to
        raise OperationError(meaning(error), 1, 1) from error
    return dict(zip(leaves, found, strict=True))


def _jacobian(gradient: Tensor, leaves: Table) -> Table:
    """Return the derivatives of all elements of a gradient, in its shape and the leaf's."""
    rows = [_backward(element, leaves) for element in gradient.reshape(-1)]
    return {
        name: torch.stack([row[name] for row in rows]).reshape(gradient.shape + leaf.shape).detach()
        if rows
        else leaf.new_zeros(gradient.shape + leaf.shape)
        for name, leaf in leaves.items()
    }


def _check(
    function: _Function, points: Table, gradients: Table, hessian: Mapping[str, Table] | None, limits: Limits
) -> Check:
    elements = sum(point.numel() for point in points.values())
    if elements > limits.operations:
        raise LimitError(f"a check of {elements:,} elements; {limits.operations:,} are allowed", 1, 1)

    def value(at: Table) -> Table:
        return {"": function(at).detach().double().reshape(())}

    def gradient(at: Table) -> Table:
        leaves = _leaves(at, torch.float64)
        return _backward(function(leaves), leaves)

    slopes = {name: differences(value, points, name)[""] for name in points}
    pairs = [(gradients[name], slopes[name]) for name in points]
    curvatures = None
    if hessian is not None:
        by_last = {name: differences(gradient, points, name) for name in points}
        curvatures = {first: {last: by_last[last][first] for last in points} for first in points}
        pairs += [(hessian[first][last], curvatures[first][last]) for first in points for last in points]
    return Check(slopes, curvatures, max((disagreement(*pair) for pair in pairs), default=0.0))
