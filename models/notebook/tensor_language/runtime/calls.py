"""One call of an operation: its arguments, converted as the operation needs them, and what a run shares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.limits import Budget, Shape
from models.notebook.tensor_language.runtime.plain_numbers import check_integer
from models.notebook.tensor_language.runtime.values import (
    Listing,
    Number,
    Value,
    dtype_name,
    kind_of,
    numbers_in,
    plain,
)
from models.notebook.tensor_language.syntax.program import Style


@dataclass(frozen=True)
class Machine:
    """What the operations of one run share.

    ``dtype`` is what a float becomes where torch would make float32.
    """

    budget: Budget
    generator: torch.Generator
    dtype: torch.dtype = torch.float32

    def float_dtype(self, style: Style) -> torch.dtype:
        """Return the dtype that a float gets: NumPy's is float64."""
        return torch.float64 if style == "numpy" else self.dtype

    def tensor(self, value: Value, dtype: torch.dtype | None, style: Style) -> Tensor:
        """Make a tensor of a number or a list; of a tensor its copy. Raises `OperationError`."""
        if isinstance(value, Tensor):
            return value.clone() if dtype is None else value.to(dtype, copy=True)
        if not isinstance(value, bool | int | float | Listing):
            raise OperationError(f"no tensor can be made of {kind_of(value)}")
        items = list(numbers_in(value))
        if dtype is None and any(isinstance(item, float | Tensor) for item in items):
            dtype = _common_dtype(items, self.float_dtype(style))
        if not all(isinstance(item, bool | int | float | Tensor) for item in items):
            raise OperationError("a tensor is made of numbers")
        if any(isinstance(item, Tensor) and item.numel() != 1 for item in items):
            raise OperationError("a list of tensors makes a tensor only of tensors with one element")
        if any(isinstance(item, Tensor) and item.requires_grad for item in items):
            return _stacked(value, dtype or self.dtype)
        return torch.tensor(plain(value), dtype=dtype)


@dataclass(frozen=True)
class Call:
    """One call: whose rules it follows, its arguments by name, and the run that it is part of."""

    name: str
    style: Style
    arguments: Mapping[str, Value]
    machine: Machine
    method: bool = False

    def given(self, name: str) -> bool:
        """Return whether an optional argument is given."""
        return self.arguments[name] is not None

    def is_number(self, name: str) -> bool:
        """Return whether an argument is a plain number."""
        return isinstance(self.arguments[name], bool | int | float)

    def tensor(self, name: str) -> Tensor:
        """Return an argument as a tensor; lists and numbers become one as in NumPy, but not in `torch.`."""
        value = self.arguments[name]
        if isinstance(value, Tensor):
            return value
        if self.style == "torch" or not isinstance(value, bool | int | float | Listing):
            raise OperationError(f"{self.name} takes a tensor as {name}, not {kind_of(value)}")
        return self.machine.tensor(value, None, "numpy")

    def extent(self, name: str) -> Shape:
        """Return the shape that an argument has as a tensor, before it is made."""
        return extent(self.arguments[name])

    def number(self, name: str) -> Number:
        """Return an argument that is one number."""
        value = self.arguments[name]
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, Tensor):
            return number_in(value, self.name)
        raise OperationError(f"{self.name} takes a number as {name}, not {kind_of(value)}")

    def whole(self, name: str) -> int:
        """Return an argument that is an integer."""
        return whole(self.arguments[name], name)

    def flag(self, name: str) -> bool:
        """Return an argument that is True or False."""
        value = self.arguments[name]
        if not isinstance(value, bool):
            raise OperationError(f"{name} is True or False, not {kind_of(value)}")
        return value

    def shape(self, name: str) -> tuple[int, ...]:
        """Return an argument that is a shape: one integer or several."""
        value = self.arguments[name]
        if isinstance(value, Listing):
            return tuple(whole(item, name) for item in value.items)
        return (whole(value, name),)

    def axes(self, name: str) -> tuple[int, ...] | None:
        """Return an argument that names dimensions: None, one or several."""
        return None if self.arguments[name] is None else self.shape(name)

    def dtype(self, name: str = "dtype") -> torch.dtype | None:
        """Return an argument that is a dtype, or None."""
        value = self.arguments[name]
        if value is None or isinstance(value, torch.dtype):
            return value
        raise OperationError(f"{name} is a dtype such as torch.float64, not {kind_of(value)}")


def extent(value: Value) -> Shape:
    """Return the shape that a value has as a tensor; of a list by its first elements."""
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, Listing):
        return (len(value.items), *(extent(value.items[0]) if value.items else ()))
    return ()


def whole(value: Value, name: str) -> int:
    """Return a value that is an integer; a tensor of one counts, a float never."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.dtype.is_floating_point:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return check_integer(value)
    kind = dtype_name(value.dtype) + " tensor" if isinstance(value, Tensor) else kind_of(value)
    raise OperationError(f"{name} takes integers, not {kind}")


def number_in(tensor: Tensor, name: str) -> Number:
    """Return the number in a tensor of one element, as `tensor.item()`."""
    if tensor.numel() != 1:
        raise OperationError(
            f"{name} needs a tensor with one element, and this has shape {tuple(tensor.shape)}"
        )
    if tensor.requires_grad:
        raise OperationError(f"{name} takes the number out of its tensor, and no gradient follows it there")
    number: Number = tensor.item()
    return number


def _common_dtype(items: Iterable[Value], floats: torch.dtype) -> torch.dtype:
    """Return the dtype that torch gives a list of numbers and of tensors with one element."""
    common = torch.bool
    for item in items:
        if isinstance(item, Tensor):
            common = torch.promote_types(common, item.dtype)
        elif not isinstance(item, bool):
            common = torch.promote_types(common, floats if isinstance(item, float) else torch.int64)
    return common


def _stacked(value: Value, dtype: torch.dtype) -> Tensor:
    """Make a tensor of a list with variables in it, so that their gradients are kept."""
    if isinstance(value, Listing):
        return torch.stack([_stacked(item, dtype) for item in value.items])
    if isinstance(value, Tensor):
        return value.to(dtype).reshape(())
    return torch.tensor(value, dtype=dtype)
