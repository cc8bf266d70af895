"""Operations between tensors and plain numbers, and between element types."""

import math

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.table import Specification, like, nothing, operation
from models.notebook.tensor_language.runtime.calls import Call, number_in
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.plain_numbers import check_integer
from models.notebook.tensor_language.runtime.values import Listing, Value


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


def _listed(call: Call) -> Value:
    """Return `a.tolist()`; a number of a tensor without dimensions."""
    tensor = call.tensor("input")
    if tensor.requires_grad:
        raise OperationError(
            "tolist takes the numbers out of their tensor, and no gradient follows them there"
        )
    return _listing(tensor.tolist())


def _listing(value: object) -> Value:
    if isinstance(value, list):
        return Listing(tuple(_listing(item) for item in value))
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"torch gave {type(value)} in a list")


OPERATIONS: tuple[Specification, ...] = (
    operation(
        "item",
        "input",
        "the plain number in a tensor of one element",
        "mean(tensor([1.0, 2.0])).item()",
        nothing,
        lambda call: number_in(call.tensor("input"), "item"),
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
        lambda call: call.tensor("input").clone(),
    ),
    operation(
        "tolist", "input", "plain numbers in nested lists", "arange(3).tolist()", like("input"), _listed
    ),
)
"""Conversions."""
