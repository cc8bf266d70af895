"""Functions of each element: exp, log, sigmoid and the like.

A plain number gives a plain number, computed in float64; integers become floats, by NumPy's rules where the
function is written with `np.`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.table import Specification, like, operation
from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.plain_numbers import check_number
from models.notebook.tensor_language.runtime.values import Value

_FLOATING: tuple[tuple[str, Callable[[Tensor], Tensor], str, str], ...] = (
    ("exp", torch.exp, "e to the power of each element", "exp(tensor([1.0, 2.0, 3.0]))"),
    ("log", torch.log, "natural logarithm", "log(tensor([1.0, e]))"),
    ("sqrt", torch.sqrt, "square root", "sqrt(tensor([4.0, 2.0]))"),
    ("sin", torch.sin, "sine", "sin(tensor([0.0, pi / 2]))"),
    ("cos", torch.cos, "cosine", "cos(tensor([0.0, pi]))"),
    ("tan", torch.tan, "tangent", "tan(tensor([0.0, pi / 4]))"),
    ("tanh", torch.tanh, "hyperbolic tangent", "tanh(tensor([-1.0, 0.0, 1.0]))"),
    ("sigmoid", torch.sigmoid, "logistic function 1 / (1 + e**-x)", "sigmoid(tensor([0.3, 1.2, -1.4]))"),
)


def _floating(compute: Callable[[Tensor], Tensor]) -> Callable[[Call], Value]:
    def computed(call: Call) -> Value:
        if call.is_number("input") and call.style != "torch":
            return float(compute(torch.tensor(call.number("input"), dtype=torch.float64)))
        tensor = call.tensor("input")
        if call.style == "numpy" and not tensor.dtype.is_floating_point:
            tensor = tensor.double()
        return compute(tensor)

    return computed


def _relu(call: Call) -> Value:
    if call.is_number("input") and call.style != "torch":
        return max(call.number("input"), 0)
    return torch.relu(call.tensor("input"))


def _abs(call: Call) -> Value:
    if call.is_number("input") and call.style != "torch":
        return check_number(abs(call.number("input")))
    return torch.abs(call.tensor("input"))


def _round(call: Call) -> Value:
    decimals = call.whole("decimals")
    if call.is_number("input"):
        number = call.number("input")
        if not math.isfinite(number):
            raise OperationError(f"{number} cannot be rounded")
        return check_number(round(number, decimals) if decimals else round(number))
    return torch.round(call.tensor("input"), decimals=decimals)


OPERATIONS: tuple[Specification, ...] = (
    *(
        operation(name, "input", text, example, like("input"), _floating(compute))
        for name, compute, text, example in _FLOATING
    ),
    operation(
        "relu",
        "input",
        "the element, or 0 where it is negative",
        "relu(tensor([-1.0, 2.0]))",
        like("input"),
        _relu,
    ),
    operation("abs", "input", "absolute value", "abs(tensor([-1.0, 2.0]))", like("input"), _abs),
    operation(
        "softmax",
        "input, dim|axis, dtype=None",
        "e to the power of each element, divided by their sum along dim",
        "softmax(tensor([1.0, 2.0, 3.0]), dim=0)",
        like("input"),
        lambda call: torch.softmax(call.tensor("input"), dim=call.whole("dim"), dtype=call.dtype()),
    ),
    operation(
        "round",
        "input, decimals=0",
        "the nearest number of so many decimals; of two, the even one",
        "round(0.7, 1)",
        like("input"),
        _round,
    ),
)
"""The functions of one element each, with softmax."""
