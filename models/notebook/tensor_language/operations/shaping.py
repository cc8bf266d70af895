"""Operations on the shape of a tensor, and attributes of a value."""

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.table import Specification, like, nothing, operation
from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.values import Extremes, Listing, Value, kind_of


def _transpose(call: Call) -> Tensor:
    """Swap two dimensions as torch does, or reverse or order all as NumPy does."""
    tensor = call.tensor("input")
    if call.given("dim1"):
        return torch.transpose(tensor, call.whole("dim0"), call.whole("dim1"))
    if call.style == "torch":
        raise OperationError("transpose takes the two dimensions to swap, as in a.transpose(0, 1)")
    if call.given("dim0"):
        return tensor.permute(call.shape("dim0"))
    return _reversed(tensor)


def _reversed(tensor: Tensor) -> Tensor:
    return tensor.permute(tuple(reversed(range(tensor.dim()))))


def _length(call: Call) -> int:
    value = call.arguments["input"]
    if isinstance(value, Listing):
        return len(value.items)
    if isinstance(value, Tensor) and value.dim() > 0:
        return len(value)
    raise OperationError(
        f"{kind_of(value) if not isinstance(value, Tensor) else 'a single number'} has no len"
    )


def _shape(call: Call) -> Value:
    return Listing(tuple(call.tensor("input").shape), "size")


def _size(call: Call) -> Value:
    if call.given("dim"):
        return call.tensor("input").size(call.whole("dim"))
    return _shape(call)


def _extremes(call: Call) -> Extremes:
    value = call.arguments["input"]
    if not isinstance(value, Extremes):
        raise OperationError(f"only max and min along a dimension have {call.name}, not a {kind_of(value)}")
    return value


OPERATIONS: tuple[Specification, ...] = (
    operation(
        "reshape",
        "input, *shape",
        "the same elements in another shape; -1 stands for the size that fits",
        "arange(6).reshape(-1, 2)",
        like("input"),
        lambda call: call.tensor("input").reshape(call.shape("shape")),
    ),
    operation(
        "transpose",
        "input, dim0|axes=None, dim1=None",
        "two dimensions swapped; np.transpose reverses all",
        "arange(6).reshape(2, 3).transpose(0, 1)",
        nothing,
        _transpose,
    ),
    operation(
        "len", "input", "size of the first dimension, or of a list", "len(arange(5))", nothing, _length
    ),
    operation(
        "size",
        "input, dim=None",
        "the shape, or the size of one dimension",
        "zeros(3, 4).size(0)",
        nothing,
        _size,
    ),
)
"""Shapes."""

ATTRIBUTES: tuple[Specification, ...] = (
    operation("shape", "input", "sizes of all dimensions", "zeros(3, 4).shape", nothing, _shape),
    operation(
        "T",
        "input",
        "all dimensions in reverse order",
        "tensor([[1, 2], [3, 4]]).T",
        nothing,
        lambda call: _reversed(call.tensor("input")),
    ),
    operation(
        "ndim",
        "input",
        "how many dimensions there are",
        "zeros(3, 4).ndim",
        nothing,
        lambda call: call.tensor("input").dim(),
    ),
    operation(
        "dtype",
        "input",
        "what the elements are",
        "zeros(3).dtype",
        nothing,
        lambda call: call.tensor("input").dtype,
    ),
    *(
        operation(
            name,
            "input",
            f"the {name} of max or min along a dimension",
            f"max(tensor([[1.0, 5.0]]), dim=1).{name}",
            nothing,
            compute,
        )
        for name, compute in (
            ("values", lambda call: _extremes(call).values),
            ("indices", lambda call: _extremes(call).indices),
        )
    ),
)
"""Attributes."""
