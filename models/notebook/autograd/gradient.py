"""Value, gradient and Hessian of a scalar expression of the tensor language, by torch's autograd.

The expression is a program whose last expression is one number. It is computed in float32 as torch does, or
in float64 on request. A check compares the gradient with central differences of the same program computed in
float64, one element at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.notebook.autograd.computation_graph import Graph, Trace
from models.notebook.autograd.differences import Table, differences, disagreement
from models.notebook.autograd.scalar_function import (
    ScalarFunction,
    backward,
    constant_value,
    is_integer,
    leaves_of,
    point_of,
)
from models.notebook.tensor_language.runtime.errors import (
    LanguageError,
    LimitError,
    OperationError,
    UnknownNameError,
)
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import PlainValue, Value
from models.notebook.tensor_language.syntax.parsing import parse
from models.notebook.tensor_language.syntax.program import Program


@dataclass(frozen=True)
class GradientOptions:
    """What to compute of an expression.

    wrt     the variables to differentiate by; None is all
    order   2 adds the Hessian
    check   adds central differences
    graph   adds the graph of the backward pass
    dtype   to compute in
    """

    wrt: Sequence[str] | None = None
    order: Literal[1, 2] = 1
    check: bool = False
    graph: bool = False
    dtype: Literal["float32", "float64"] = "float32"


class GradientOptionError(Exception):
    """An option that an expression which is right in itself does not allow.

    field     which of the `GradientOptions`
    refusal   the reason; without a position, since the program is not wrong
    """

    def __init__(self, field: Literal["order", "check"], refusal: LanguageError) -> None:
        super().__init__(refusal.message)
        self.field = field
        self.refusal = refusal


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
    """The value of an expression and its derivatives.

    value       scalar
    gradients   by variable, each in the shape of its variable
    hessian     second derivatives by both variables, in the shapes of both in turn; None of order 1
    """

    value: Tensor
    gradients: Table
    hessian: Mapping[str, Table] | None = None
    check: Check | None = None
    graph: Graph | None = None


_OPTIONS = GradientOptions()
_LIMITS = Limits()
_START_OPERATIONS = 20  # to start a program takes as long as so many operations
_CHECK_FACTOR = (
    15  # times the operations that a program may have: half a second, or two if differences are hard
)


def differentiate(
    expression: str,
    variables: Mapping[str, PlainValue | Value],
    seed: int = 0,
    options: GradientOptions = _OPTIONS,
    limits: Limits = _LIMITS,
) -> Gradient:
    """Differentiate an expression by its variables, numbers or nested lists.

    Raises `LanguageError`, without a position where it is backward's, and `GradientOptionError` of ``order``
    and ``check``.
    """
    names = tuple(variables) if options.wrt is None else tuple(dict.fromkeys(options.wrt))
    points = {name: point_of(name, variables) for name in names}
    if not points:
        raise UnknownNameError("there is no variable to differentiate by")
    constants = {name: constant_value(value) for name, value in variables.items() if name not in points}
    program = parse(expression, limits)
    function = ScalarFunction(program, constants, seed, limits)
    leaves = leaves_of(points, torch.float32 if options.dtype == "float32" else torch.float64)
    trace = Trace(leaves) if options.graph else None
    try:
        value = function(leaves, trace.watch if trace else None)
    except OperationError as error:
        hint = _hint(program, variables, seed, limits) if options.wrt is None else ""
        raise OperationError(error.message + hint, error.line, error.column) from error
    gradients, hessian = _derivatives(value, leaves, options.order, limits)
    check = None
    if options.check:
        with _option_errors("check"):
            check = _check(function, points, gradients, hessian, limits)
    return Gradient(
        value.detach().reshape(()),
        gradients,
        hessian,
        check,
        trace.graph(value) if trace else None,
    )


def _hint(program: Program, variables: Mapping[str, PlainValue | Value], seed: int, limits: Limits) -> str:
    """Return which variables to name if the program runs when its integers stay integers."""
    values = {name: constant_value(value) for name, value in variables.items()}
    integers = {name: value for name, value in values.items() if is_integer(value)}
    names = [name for name in variables if name not in integers]
    if not integers or not names:
        return ""
    leaves = leaves_of({name: point_of(name, variables) for name in names}, torch.float32)
    try:
        ScalarFunction(program, integers, seed, limits)(leaves)
    except LanguageError:
        return ""
    wrt, whole_names = ", ".join(f'"{name}"' for name in names), ", ".join(integers)
    return f'; what is differentiated by is a float: for {whole_names} to stay whole, write "wrt": [{wrt}]'


@contextmanager
def _option_errors(field: Literal["order", "check"]) -> Iterator[None]:
    """Raise a `LanguageError` of the block as a `GradientOptionError` of the field."""
    try:
        yield
    except LanguageError as error:
        message = error.message
        if error.line is not None:  # types that fit in float32 may not in float64
            message = f"the check runs the program again, in float64, and there it is refused at {error}"
        raise GradientOptionError(field, type(error)(message)) from error


def _derivatives(
    value: Tensor, leaves: Table, order: int, limits: Limits
) -> tuple[Table, Mapping[str, Table] | None]:
    """Return the gradients, and of order 2 the Hessian."""
    gradients = backward(value, leaves, create_graph=order > 1)
    plain = {name: gradient.detach() for name, gradient in gradients.items()}
    if order == 1:
        return plain, None
    with _option_errors("order"):
        elements = sum(leaf.numel() for leaf in leaves.values())
        if elements**2 > limits.elements:
            raise LimitError(
                f"the Hessian of {elements:,} elements has more than the {limits.elements:,} numbers allowed"
            )
        return plain, {name: _jacobian(gradient, leaves) for name, gradient in gradients.items()}


def _jacobian(gradient: Tensor, leaves: Table) -> Table:
    """Return the derivatives of all elements of a gradient, in its shape and the leaf's."""
    rows = [backward(element, leaves) for element in gradient.reshape(-1)]
    return {
        name: torch.stack([row[name] for row in rows]).reshape(gradient.shape + leaf.shape).detach()
        if rows
        else leaf.new_zeros(gradient.shape + leaf.shape)
        for name, leaf in leaves.items()
    }


def _check(
    function: ScalarFunction,
    points: Table,
    gradients: Table,
    hessian: Mapping[str, Table] | None,
    limits: Limits,
) -> Check:
    elements = sum(point.numel() for point in points.values())
    limit = _CHECK_FACTOR * limits.operations // (len(function.program.steps) + _START_OPERATIONS)
    limit = min(limit, limits.operations)
    if elements > limit:
        reason = "a check runs the program three times an element or more"
        raise LimitError(f"{reason}: of this one {limit:,} elements are allowed, not {elements:,}")

    def value(at: Table) -> Table:
        return {"": function(at).detach().double().reshape(())}

    def gradient(at: Table) -> Table:
        leaves = leaves_of(at, torch.float64)
        return backward(function(leaves), leaves)

    slopes = {name: differences(value, points, name)[""] for name in points}
    pairs = [(gradients[name], slopes[name]) for name in points]
    curvatures = None
    if hessian is not None:
        by_last = {name: differences(gradient, points, name) for name in points}
        curvatures = {first: {last: by_last[last][first] for last in points} for first in points}
        pairs += [(hessian[first][last], curvatures[first][last]) for first in points for last in points]
    return Check(slopes, curvatures, max((disagreement(*pair) for pair in pairs), default=0.0))
