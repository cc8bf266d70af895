"""The values of the language: Python's numbers, lists of values, tensors and dtypes; and how they are shown.

Numbers and lists stay Python's until they meet a tensor, so `[i**2 for i in range(3)]` is a list of integers.
Lists are immutable.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from models.notebook.tensor_language.runtime.errors import OperationError

# Elements of a tensor that are printed; more take seconds, since torch formats each in Python.
_PRINTED_ELEMENTS = 10_000
# A tensor of more elements is printed with the first and last three along each dimension.
_SUMMARISED_ABOVE = 1000
_SUMMARISED_SIZE = 7

type_names = {bool: "bool", int: "int", float: "float"}


@dataclass(frozen=True, eq=False)
class Listing:
    """A list, a tuple or the size of a tensor, with how many numbers are in it and how deep it nests.

    The two are counted when it is made: `b = [a, a]; c = [b, b]; …` doubles with every line.
    """

    items: "Sequence[Value]"
    kind: Literal["list", "tuple", "size"] = "list"
    count: int = field(init=False)
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.items, range):
            count, depth = len(self.items), 0
        else:
            count = sum(_count(item) for item in self.items)
            depth = max((_depth(item) for item in self.items), default=0)
        object.__setattr__(self, "count", max(count, 1))
        object.__setattr__(self, "depth", depth + 1)


@dataclass(frozen=True, eq=False)
class Extremes:
    """What `torch.max(a, dim=1)` gives: the largest values along a dimension, and where they are."""

    name: str
    values: Tensor
    indices: Tensor


Number = bool | int | float
Value = bool | int | float | Tensor | Listing | Extremes | torch.dtype | None
Nested = None | bool | int | float | list["Nested"]
PlainValue = bool | int | float | Sequence["PlainValue"]


@dataclass(frozen=True)
class Display:
    """A value as an answer shows it.

    value   nested lists of numbers; nan and the infinities are Python's own
    shape   of a tensor or a number; None for a list
    dtype   "float32" and the like; for Python's own values "bool", "int", "float", "list"
    text    what Python and torch print
    """

    value: Nested
    shape: tuple[int, ...] | None
    dtype: str
    text: str


def value_of(variable: PlainValue) -> Value:
    """Return a variable from plain data: a number as it is, nested lists as a tensor."""
    if isinstance(variable, bool | int | float):
        return variable
    try:
        return torch.tensor(variable)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise OperationError(f"nested lists that make no tensor: {meaning(error)}") from error


def show(value: Value) -> Display:
    """Return a value with its shape, dtype and text."""
    text = text_of(value)
    if isinstance(value, Tensor):
        return Display(value.tolist(), tuple(value.shape), dtype_name(value.dtype), text)
    if isinstance(value, bool | int | float):
        return Display(value, (), type_names[type(value)], text)
    if isinstance(value, Listing | Extremes):
        return Display(plain(value), None, kind_of(value), text)
    return Display(None, None, kind_of(value), text)


def plain(value: Value) -> Nested:
    """Return the numbers of a value in nested Python lists."""
    if isinstance(value, Tensor):
        lists: Nested = value.tolist()
        return lists
    if isinstance(value, Listing):
        return [plain(item) for item in value.items]
    if isinstance(value, Extremes):
        return [value.values.tolist(), value.indices.tolist()]
    return None if isinstance(value, torch.dtype) else value


def text_of(value: Value) -> str:
    """Return what `print` prints of a value; of a very large one only its kind and size."""
    if isinstance(value, Tensor):
        return _tensor_text(value)
    if isinstance(value, Extremes):
        values, indices = text_of(value.values), text_of(value.indices)
        return f"torch.return_types.{value.name}(\nvalues={values},\nindices={indices})"
    return _listing_text(value) if isinstance(value, Listing) else repr(value)


def _listing_text(value: Listing) -> str:
    if value.count > _PRINTED_ELEMENTS:
        return f"[... {value.count:,} numbers]"
    inside = ", ".join(text_of(item) for item in value.items)
    if value.kind == "list":
        return f"[{inside}]"
    if value.kind == "size":
        return f"torch.Size([{inside}])"
    return f"({inside},)" if len(value.items) == 1 else f"({inside})"


def kind_of(value: Value) -> str:
    """Return the name of a value's kind for messages."""
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, Listing):
        return {"list": "list", "tuple": "tuple", "size": "torch.Size"}[value.kind]
    if isinstance(value, Extremes):
        return f"values and indices of {value.name}"
    if isinstance(value, torch.dtype):
        return "dtype"
    return "None" if value is None else type_names[type(value)]


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name without torch's prefix."""
    return str(dtype).removeprefix("torch.")


def numbers_in(value: Value) -> Iterator[Value]:
    """Yield everything in a list that is not itself a list."""
    if isinstance(value, Listing):
        for item in value.items:
            yield from numbers_in(item)
    else:
        yield value


def meaning(error: Exception) -> str:
    """Return the first line of torch's or Python's message, without remarks on torch's source code."""
    first = str(error).strip().split("\n", 1)[0].split(" (Triggered internally", 1)[0]
    if first == "ZeroDivisionError":
        return "division by zero"
    return first or type(error).__name__


def _tensor_text(tensor: Tensor) -> str:
    if tensor.numel() > _SUMMARISED_ABOVE:
        elements = math.prod(min(size, _SUMMARISED_SIZE) for size in tensor.shape)
        if elements > _PRINTED_ELEMENTS:
            return f"tensor(..., size={tuple(tensor.shape)}, dtype={tensor.dtype})"
    return str(tensor.detach())


def _count(value: Value) -> int:
    if isinstance(value, Tensor):
        return max(value.numel(), 1)
    return value.count if isinstance(value, Listing) else 1


def _depth(value: Value) -> int:
    return value.depth if isinstance(value, Listing) else 0
