"""Sums, means, extremes and norms: of all elements, or along dimensions.

A function written with `np.` follows NumPy where the two libraries differ: `np.std` divides by n and torch's
by n − 1, `np.mean` takes integers, `np.max` along an axis gives the values alone.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.arithmetic import operand
from models.notebook.tensor_language.operations.table import (
    Extent,
    Specification,
    broadcast_shape,
    like,
    operation,
)
from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.plain_numbers import arithmetic
from models.notebook.tensor_language.runtime.values import Extremes, Listing, Number, Value


def _floats(call: Call) -> Tensor:
    """Return the input; NumPy's functions make float64 of integers, where torch refuses them."""
    tensor = call.tensor("input")
    if call.style == "numpy" and not tensor.dtype.is_floating_point:
        return tensor.double()
    return tensor


def _plain_list(call: Call) -> Listing | None:
    """Return the input if it is a list of numbers and no prefix says that it should become a tensor."""
    value = call.arguments["input"]
    if call.style != "plain" or not isinstance(value, Listing):
        return None
    return value if all(isinstance(item, bool | int | float) for item in value.items) else None


def _numbers(listing: Listing) -> list[Number]:
    return [item for item in listing.items if isinstance(item, bool | int | float)]


def _sum(call: Call) -> Value:
    listing = _plain_list(call)
    if listing is not None and not call.given("dim") and not call.given("dtype"):
        total: Number = 0
        for number in _numbers(listing):
            total = arithmetic("+", total, number)
        return total
    axes = call.axes("dim")
    return torch.sum(call.tensor("input"), dim=axes, keepdim=call.flag("keepdim"), dtype=call.dtype())


def _mean(call: Call) -> Tensor:
    axes = call.axes("dim")
    return torch.mean(_floats(call), dim=axes, keepdim=call.flag("keepdim"), dtype=call.dtype())


def _spread(compute: Callable[..., Tensor]) -> Callable[[Call], Tensor]:
    def computed(call: Call) -> Tensor:
        tensor, axes = _floats(call), call.axes("dim")
        correction = 0 if call.style == "numpy" else 1
        if call.given("correction"):
            correction = call.whole("correction")
        if call.given("unbiased"):
            correction = int(call.flag("unbiased"))
        every = range(tensor.dim()) if axes is None else axes
        count = torch.Size([tensor.size(axis) for axis in every]).numel()
        if count <= correction:  # torch gives nan (or infinity), with a warning
            return torch.sum(tensor, dim=axes, keepdim=call.flag("keepdim")) * torch.nan
        return compute(tensor, dim=axes, correction=correction, keepdim=call.flag("keepdim"))

    return computed


def _extreme(name: str) -> Callable[[Call], Value]:
    """Compute max or min: of everything, along a dimension, or of two values element by element."""
    all_of, along, of_two = _EXTREMES[name]

    def computed(call: Call) -> Value:
        if isinstance(call.arguments["dim"], bool) and not call.is_number("input"):
            # The third in torch.max(a, 1, True) is keepdim, as the second is dim there.
            call = replace(call, arguments={**call.arguments, "dim": None, "keepdim": call.arguments["dim"]})
        if call.given("other") and call.given("dim"):
            raise _two_and_dim(call)
        two_numbers = call.is_number("input") and call.is_number("other")
        if (two_numbers or isinstance(call.arguments["other"], Tensor)) and call.flag("keepdim"):
            raise _two_and_dim(call)
        if isinstance(call.arguments["other"], Tensor):
            return _of_two(call, of_two)
        if two_numbers:
            return (max if name == "max" else min)(call.number("input"), call.number("other"))
        return _along(call, name, all_of, along)

    return computed


def _two_and_dim(call: Call) -> OperationError:
    """Return the error of two values with a dimension; a third number stands where that would be."""
    name = call.name
    return OperationError(
        f"{name} takes two values, or one value and dim; of several numbers write {name}([1, 2, 3])"
    )


def _of_two(call: Call, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    first, second = operand(call, "input"), call.tensor("other")
    return compute(first if isinstance(first, Tensor) else torch.tensor(first, dtype=second.dtype), second)


def _along(call: Call, name: str, all_of: Callable[[Tensor], Tensor], along: Callable[..., Tensor]) -> Value:
    """Compute an extreme of everything or along a dimension, which may stand second without its name."""
    listing = _plain_list(call)
    dim = call.arguments["dim"] if call.given("dim") else call.arguments["other"]
    keepdim = call.flag("keepdim")
    if dim is None and listing is not None:
        numbers = _numbers(listing)
        if not numbers:
            raise OperationError(f"{name} of an empty list")
        return (max if name == "max" else min)(numbers)
    tensor = call.tensor("input")
    if dim is None:
        if keepdim:
            raise OperationError(f"{name} keeps a dimension only where dim says which")
        return all_of(tensor)
    axes = Call(call.name, call.style, {"dim": dim}, call.machine).shape("dim")
    if call.style == "numpy":
        return along(tensor, axes, keepdim=keepdim)
    if len(axes) != 1:
        raise OperationError(f"{name} takes one dimension, not {len(axes)}")
    values, indices = (torch.max if name == "max" else torch.min)(tensor, dim=axes[0], keepdim=keepdim)
    return Extremes(name, values, indices)


_EXTREMES: dict[
    str, tuple[Callable[[Tensor], Tensor], Callable[..., Tensor], Callable[[Tensor, Tensor], Tensor]]
] = {
    "max": (torch.max, torch.amax, torch.maximum),
    "min": (torch.min, torch.amin, torch.minimum),
}


def _position(compute: Callable[..., Tensor]) -> Callable[[Call], Tensor]:
    def computed(call: Call) -> Tensor:
        dim = call.whole("dim") if call.given("dim") else None
        return compute(call.tensor("input"), dim=dim, keepdim=call.flag("keepdim"))

    return computed


def _norm(call: Call) -> Tensor:
    tensor, axes = _floats(call), call.axes("dim")
    power = call.number("p") if call.given("p") else 2
    norm: Tensor = torch.linalg.vector_norm(tensor, ord=power, dim=axes, keepdim=call.flag("keepdim"))
    return norm


def _two_or_one(call: Call) -> tuple[tuple[int, ...]]:
    second = call.arguments["other"]
    extent = tuple(call.extent("input"))
    if isinstance(second, Tensor):
        return (broadcast_shape(extent, second.shape),)
    return (extent,)


_input: Extent = like("input")

OPERATIONS: tuple[Specification, ...] = (
    operation(
        "sum",
        "input, dim|axis=None, keepdim|keepdims=False, dtype=None",
        "sum of all elements, or along dim",
        "torch.sum(tensor([[1, 6, 8], [6, 4, 8]]), axis=1)",
        _input,
        _sum,
    ),
    operation(
        "mean",
        "input, dim|axis=None, keepdim|keepdims=False, dtype=None",
        "mean of all elements, or along dim; torch's takes floats, np.mean integers too",
        "tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=0)",
        _input,
        _mean,
    ),
    operation(
        "std",
        "input, dim|axis=None, unbiased=None, correction|ddof=None, keepdim|keepdims=False",
        "standard deviation, divided by n - 1; np.std by n",
        "std(tensor([1.0, 2.0, 3.0, 4.0]))",
        _input,
        _spread(torch.std),
    ),
    operation(
        "var",
        "input, dim|axis=None, unbiased=None, correction|ddof=None, keepdim|keepdims=False",
        "variance, divided by n - 1; np.var by n",
        "var(tensor([1.0, 2.0, 3.0, 4.0]))",
        _input,
        _spread(torch.var),
    ),
    *(
        operation(
            name,
            "input, other=None, dim|axis=None, keepdim|keepdims=False",
            f"{text} element; along dim also where it is; of two values element by element",
            f"{name}(tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)",
            _two_or_one,
            _extreme(name),
        )
        for name, text in (("max", "largest"), ("min", "smallest"))
    ),
    operation(
        "argmax",
        "input, dim|axis=None, keepdim|keepdims=False",
        "where the largest element is; without dim counted through all",
        "argmax(tensor([1.0, 7.0, 2.0]))",
        _input,
        _position(torch.argmax),
    ),
    operation(
        "argmin",
        "input, dim|axis=None, keepdim|keepdims=False",
        "where the smallest element is; without dim counted through all",
        "argmin(tensor([3.0, 1.0, 2.0]))",
        _input,
        _position(torch.argmin),
    ),
    operation(
        "norm",
        "input, p|ord=None, dim|axis=None, keepdim|keepdims=False",
        "norm of all elements as one vector, or along dim; p = 2 if it is not given",
        "norm(tensor([3.0, 4.0]))",
        _input,
        _norm,
    ),
)
"""Reductions of all elements, or along a dimension."""
