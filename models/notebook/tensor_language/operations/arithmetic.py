"""The operators: arithmetic, comparisons and matrix products, of numbers and of tensors.

Numbers alone follow Python; with a tensor torch's rules hold, in the element type too.
"""

import operator
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.table import (
    Specification,
    broadcast,
    broadcast_shape,
    like,
    operation,
)
from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.limits import Shape
from models.notebook.tensor_language.runtime.plain_numbers import arithmetic, check_number
from models.notebook.tensor_language.runtime.values import Number, Value, kind_of

_Binary = Callable[[Tensor | Number, Tensor | Number], Tensor]

_BINARY: tuple[tuple[str, _Binary, str, str], ...] = (
    ("+", operator.add, "sum, element by element", "tensor([1.0, 2.0]) + 1"),
    ("-", operator.sub, "difference, element by element", "5 - tensor([1.0, 2.0])"),
    ("*", operator.mul, "product, element by element", "tensor([1.0, 2.0]) * tensor([3.0, 4.0])"),
    ("/", operator.truediv, "quotient, element by element", "tensor([1, 2]) / 2"),
    ("//", operator.floordiv, "quotient rounded down", "tensor([7, -7]) // 2"),
    ("%", operator.mod, "remainder, with the sign of the divisor", "tensor([7, -7]) % 3"),
    ("**", operator.pow, "power, element by element", "tensor([1.0, 2.0, 3.0]) ** 2"),
    ("==", operator.eq, "where two are equal", "tensor([1, 2]) == tensor([1, 3])"),
    ("!=", operator.ne, "where two differ", "tensor([1, 2]) != tensor([1, 3])"),
    ("<", operator.lt, "where the left is smaller", "arange(5) < 3"),
    ("<=", operator.le, "where the left is smaller or equal", "arange(5) <= 3"),
    (">", operator.gt, "where the left is larger", "arange(5) > 3"),
    (">=", operator.ge, "where the left is larger or equal", "arange(5) >= 3"),
)


def operand(call: Call, name: str) -> Tensor | Number:
    """Return an argument that is a number or a tensor; a list only in NumPy's functions."""
    value = call.arguments[name]
    if isinstance(value, bool | int | float | Tensor):
        return value
    if call.style == "numpy":
        return call.tensor(name)
    raise OperationError(f"{call.name} takes tensors and numbers, not {kind_of(value)}")


def _binary(symbol: str, compute: _Binary) -> Callable[[Call], Value]:
    def computed(call: Call) -> Value:
        first, second = operand(call, "input"), operand(call, "other")
        if isinstance(first, Tensor) or isinstance(second, Tensor):
            return compute(first, second)
        return arithmetic(symbol, first, second)

    return computed


def _negative(call: Call) -> Value:
    value = operand(call, "input")
    return -value if isinstance(value, Tensor) else check_number(-value)


def _positive(call: Call) -> Value:
    value = operand(call, "input")
    return torch.positive(value) if isinstance(value, Tensor) else check_number(+value)


def _product_extent(call: Call) -> Iterable[Shape]:
    """Yield the product, and both factors repeated over the dimensions in front, as torch repeats them."""
    first, second = tuple(call.extent("input")), tuple(call.extent("other"))
    if not first or not second:
        raise OperationError(f"{call.name} takes vectors and matrices, not single numbers")
    rows = first if len(first) > 1 else (1, *first)
    columns = second if len(second) > 1 else (*second, 1)
    if rows[-1] != columns[-2]:
        raise OperationError(
            f"shapes {first} and {second} cannot be multiplied ({rows[-1]} is not {columns[-2]})"
        )
    front = broadcast_shape(rows[:-2], columns[:-2])
    yield (*front, rows[-2], columns[-1])
    if len(front) > 0:
        yield (*front, *rows[-2:])
        yield (*front, *columns[-2:])


def _dot_extent(call: Call) -> Iterable[Shape]:
    """Yield what `_product_extent` does; torch's dot takes vectors only."""
    first, second = len(call.extent("input")), len(call.extent("other"))
    if call.style != "numpy" and (first, second) != (1, 1):
        raise OperationError(f"dot: 1D tensors expected, but got {first}D and {second}D tensors")
    return _product_extent(call)


def _factors(call: Call) -> tuple[Tensor, Tensor]:
    """Return both factors; NumPy's functions promote them to one element type, torch's do not."""
    first, second = call.tensor("input"), call.tensor("other")
    if call.style != "numpy":
        return first, second
    dtype = numpy_promoted(first.dtype, second.dtype)
    return first.to(dtype), second.to(dtype)


def numpy_promoted(first: torch.dtype, second: torch.dtype) -> torch.dtype:
    """Return NumPy's common type: int32 or int64 with float32 is float64, where torch takes float32."""
    integers = {torch.int32, torch.int64}
    if torch.float32 in {first, second} and integers & {first, second}:
        return torch.float64
    return torch.promote_types(first, second)


def _matmul(call: Call) -> Tensor:
    return torch.matmul(*_factors(call))


def _dot(call: Call) -> Tensor:
    first, second = _factors(call)
    if call.style == "numpy" and max(first.dim(), second.dim()) == 2:  # noqa: PLR2004 - matrices
        return torch.matmul(first, second)
    return torch.dot(first, second)


OPERATIONS: tuple[Specification, ...] = (
    *(
        operation(
            symbol, "input, other", text, example, broadcast("input", "other"), _binary(symbol, compute)
        )
        for symbol, compute, text, example in _BINARY
    ),
    operation("unary -", "input", "the negative", "-tensor([1.0, -2.0])", like("input"), _negative),
    operation("unary +", "input", "the same", "+tensor([1.0, -2.0])", like("input"), _positive),
    operation(
        "@",
        "input, other",
        "matrix product",
        "eye(2) @ tensor([[1.0, 2.0], [3.0, 4.0]])",
        _product_extent,
        _matmul,
    ),
    operation(
        "matmul",
        "input, other",
        "matrix product; np.matmul brings unlike element types together as NumPy does",
        "torch.matmul(eye(2), tensor([[1.0, 2.0], [3.0, 4.0]]))",
        _product_extent,
        _matmul,
    ),
    operation(
        "dot",
        "input, other",
        "dot product of two vectors; np.dot multiplies matrices too",
        "torch.dot(tensor([3, 1, 4]), tensor([5, 2, 3]))",
        _dot_extent,
        _dot,
    ),
    operation(
        "pow",
        "input, exponent",
        "power, element by element",
        "torch.pow(tensor([1.0, 2.0, 3.0]), 2)",
        broadcast("input", "exponent"),
        lambda call: _binary("**", operator.pow)(
            Call(
                call.name,
                call.style,
                {"input": call.arguments["input"], "other": call.arguments["exponent"]},
                call.machine,
            )
        ),
    ),
)
"""The operators by their symbol, and the functions of the same kind."""
