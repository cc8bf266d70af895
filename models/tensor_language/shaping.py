"""Operations on the form of a tensor, and between tensors and plain numbers."""

import math

import torch
from torch import Tensor

from models.tensor_language.calls import Call, number_in
from models.tensor_language.errors import OperationError
from models.tensor_language.plain_numbers import check_integer
from models.tensor_language.table import Specification, like, nothing, operation
from models.tensor_language.values import Extremes, Listing, Number, Value, kind_of


def _reshape(call: Call) -> Tensor:
    return call.tensor("input").reshape(call.shape("shape"))


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


def _item(call: Call) -> Number:
    return number_in(call.tensor("input"), "item")


def _float(call: Call) -> Value:
    """`float(a)` is a plain number; `a.float()` is a tensor of float32."""
    if call.method:
        return call.tensor("input").to(torch.float32)
    return float(call.number("input"))


def _int(call: Call) -> Value:
    """`int(a)` is a plain integer, cut off; `a.int()` is a tensor of int32."""
    if call.method:
        return call.tensor("input").to(torch.int32)
    number = call.number("input")
    if not math.isfinite(number):
        raise OperationError(f"{number} is no integer")
    return check_integer(int(number))


def _bool(call: Call) -> Value:
    if call.method:
        return call.tensor("input").to(torch.bool)
    return bool(call.number("input"))


def _converted(call: Call) -> Tensor:
    dtype = call.dtype()
    if dtype is None:
        raise OperationError(f"{call.name} takes a dtype such as torch.float64")
    return call.tensor("input").to(dtype)


def _copied(call: Call) -> Tensor:
    return call.tensor("input").clone()


def _listed(call: Call) -> Value:
    """Return `a.tolist()`; a number of a tensor without dimensions."""
    tensor = call.tensor("input")
    if tensor.requires_grad:
        raise OperationError(
            "tolist takes the numbers out of their tensor, and no gradient follows them there"
        )
    return _listing(tensor.tolist())


def _listing(nested: object) -> Value:
    if isinstance(nested, list):
        return Listing(tuple(_listing(item) for item in nested))
    if isinstance(nested, bool | int | float):
        return nested
    raise TypeError(f"torch gave {type(nested)} in a list")


def _extremes(call: Call) -> Extremes:
    value = call.arguments["input"]
    if not isinstance(value, Extremes):
        raise OperationError(f"only max and min along a dimension have {call.name}, not a {kind_of(value)}")
    return value


def _values(call: Call) -> Tensor:
    return _extremes(call).values


def _indices(call: Call) -> Tensor:
    return _extremes(call).indices


OPERATIONS: tuple[Specification, ...] = (
    operation(
        "reshape",
        "input, *shape",
        "the same elements in another shape; -1 stands for the size that fits",
        "arange(6).reshape(-1, 2)",
        like("input"),
        _reshape,
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
    operation(
        "item",
        "input",
        "the plain number in a tensor of one element",
        "mean(tensor([1.0, 2.0])).item()",
        nothing,
        _item,
    ),
    operation(
        "float",
        "input",
        "float(a) is the plain number, a.float() a tensor of float32",
        "arange(3).float()",
        like("input"),
        _float,
    ),
    operation(
        "int",
        "input",
        "int(a) is the plain integer, cut off; a.int() a tensor of int32",
        "int(tensor(3.7))",
        like("input"),
        _int,
    ),
    operation(
        "bool",
        "input",
        "bool(a) is True where a number is not 0; a.bool() a tensor of them",
        "tensor([0, 2]).bool()",
        like("input"),
        _bool,
    ),
    *(
        operation(
            name, "input, dtype", "the same numbers in another dtype", example, like("input"), _converted
        )
        for name, example in (
            ("type", "arange(3).type(torch.FloatTensor)"),
            ("to", "arange(3).to(torch.float64)"),
            ("astype", "np.array([1.5, 2.5]).astype(int)"),
        )
    ),
    operation(
        "double",
        "input",
        "a tensor of float64",
        "ones(2).double()",
        like("input"),
        lambda call: call.tensor("input").double(),
    ),
    operation(
        "long",
        "input",
        "a tensor of int64",
        "ones(2).long()",
        like("input"),
        lambda call: call.tensor("input").long(),
    ),
    operation(
        "clone",
        "input",
        "a copy, which later changes of the parts leave alone",
        "ones(2).clone()",
        like("input"),
        _copied,
    ),
    operation(
        "tolist", "input", "plain numbers in nested lists", "arange(3).tolist()", like("input"), _listed
    ),
)
"""Shapes and conversions."""

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
        for name, compute in (("values", _values), ("indices", _indices))
    ),
)
"""What is asked without brackets."""
