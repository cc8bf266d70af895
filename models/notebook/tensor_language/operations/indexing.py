"""Reading and writing parts of tensors and lists: `a[-3:, 0]`, `a[1:4, 1:4] = b`, `a[a > 3]`.

Integers, slices, `...` and None give views, as in torch. A tensor or a list as index copies; each pair of
brackets takes one of them, so that the size of the copy is known beforehand.
"""

from collections.abc import Sequence
from types import EllipsisType

import torch
from torch import Tensor

from models.notebook.tensor_language.runtime.calls import Machine, whole
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.values import Extremes, Listing, Value, dtype_name, kind_of

IndexValue = Value | slice | EllipsisType
_Index = int | slice | EllipsisType | Tensor | None


def read(base: Value, index_values: Sequence[IndexValue], machine: Machine) -> Value:
    """Return `base[index_values]`; raises `OperationError`."""
    if isinstance(base, Tensor):
        indices = _tensor_indices(base, index_values, machine)
        return base[indices]
    if len(index_values) != 1:
        raise OperationError(f"a {kind_of(base)} takes one index; a tensor takes one for each dimension")
    index = index_values[0]
    if isinstance(base, Listing):
        return _item_of(base, index)
    if isinstance(base, Extremes):
        return _item_of(Listing((base.values, base.indices)), index)
    raise OperationError(f"a {kind_of(base)} has no parts")


def write(base: Value, index_values: Sequence[IndexValue], value: Value, machine: Machine) -> None:
    """Do `base[index_values] = value` in place; raises `OperationError`."""
    if not isinstance(base, Tensor):
        raise OperationError(f"parts of a {kind_of(base)} cannot be assigned to; make a tensor of it")
    if isinstance(value, Listing):
        value = machine.tensor(value, base.dtype, "torch")
    if not isinstance(value, bool | int | float | Tensor):
        raise OperationError(f"{kind_of(value)} cannot be assigned to a part of a tensor")
    base[_tensor_indices(base, index_values, machine)] = value


def _item_of(base: Listing, index: IndexValue) -> Value:
    if isinstance(index, slice):
        return Listing(base.items[index], base.kind)
    if isinstance(index, EllipsisType):
        raise OperationError("a list takes an integer or a slice, not ...")
    at = whole(index, "an index")
    if not -len(base.items) <= at < len(base.items):
        raise OperationError(f"index {at} is outside a list of length {len(base.items)}")
    return base.items[at]


def _tensor_indices(base: Tensor, index_values: Sequence[IndexValue], machine: Machine) -> tuple[_Index, ...]:
    indices = tuple(_tensor_index(value) for value in index_values)
    copying_indices = [index for index in indices if isinstance(index, Tensor)]
    if len(copying_indices) > 1:
        raise OperationError("one tensor or list is taken as index in each pair of brackets")
    if copying_indices:
        _reserve(base, indices, copying_indices[0], machine)
    return indices


def _tensor_index(index: IndexValue) -> _Index:
    if index is None or isinstance(index, slice | EllipsisType):
        return index
    if isinstance(index, Listing):
        return torch.tensor([whole(item, "an index") for item in index.items], dtype=torch.int64)
    if isinstance(index, Tensor) and (index.dim() > 0 or index.dtype == torch.bool):
        if index.dtype.is_floating_point:
            raise OperationError(f"a tensor as index holds integers or bools, not {dtype_name(index.dtype)}")
        return index
    return whole(index, "an index")


def _reserve(base: Tensor, indices: tuple[_Index, ...], copying: Tensor, machine: Machine) -> None:
    """Count what an index that copies will allocate: its elements in place of the dimension it picks from."""
    if copying.dtype == torch.bool:  # never more than all; torch compares the mask's shape
        machine.budget.reserve(base.shape)
        return
    # Each copied row is the result of all other indices, without the dimension of the copying one.
    other_indices = tuple(slice(0, 1) if index is copying else index for index in indices)
    machine.budget.reserve((*base[other_indices].shape, copying.numel()))
