"""An expression of the tensor language as a function of some of its variables, and its slopes by torch.

Its value is one number; what is not differentiated by is held. Does not know what is asked of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.notebook.autograd.differences import Table
from models.notebook.tensor_language.runtime.errors import OperationError, UnknownNameError
from models.notebook.tensor_language.runtime.interpreter import Watch, execute
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import Given, Value, kind_of, meaning, value_of
from models.notebook.tensor_language.syntax.program import Program

# What torch says of programs that write to what backward still needs, and what there is to do about it.
_IN_OTHER_WORDS = {
    "modified by an inplace": "the program writes to a tensor whose earlier elements its gradient "
    "needs; write to a copy, as in y = y.clone()",
    "leaf Variable that requires grad": "a variable to differentiate by cannot be written to in-place; "
    "write to a copy, as in y = x.clone()",
}


@dataclass(frozen=True)
class ScalarFunction:
    """The expression as a function of what it is differentiated by; everything else is held."""

    program: Program
    held: Mapping[str, Value]
    seed: int
    limits: Limits

    def __call__(self, leaves: Table, watch: Watch | None = None) -> Tensor:
        """Return the value, a tensor of one element; raises `LanguageError`."""
        dtype = next(iter(leaves.values())).dtype
        held = {name: _floats_to(value, dtype) for name, value in self.held.items()}
        try:
            result = execute(self.program, {**held, **leaves}, self.seed, self.limits, dtype, watch).result
        except OperationError as error:
            raise OperationError(_in_other_words(error.message), error.line, error.column) from error
        if isinstance(result, bool | int | float):
            return torch.tensor(result, dtype=dtype)
        if isinstance(result, Tensor) and result.numel() == 1:
            return result
        what = (
            f"a tensor of shape {tuple(result.shape)}"
            if isinstance(result, Tensor)
            else f"a {kind_of(result)}"
        )
        if result is None:
            what = "nothing"
        place = (self.program.steps[-1].line, self.program.steps[-1].column) if self.program.steps else (1, 1)
        raise OperationError(f"a gradient needs an expression that gives one number, not {what}", *place)


def point_of(name: str, variables: Mapping[str, Given | Value]) -> Tensor:
    """Return a variable's value in float64; raises `UnknownNameError`, `OperationError`."""
    if name not in variables:
        raise UnknownNameError(f"there is no variable {name} to differentiate by")
    given = variables[name]
    if isinstance(given, Tensor):
        return given.detach().double()
    if (
        given is None
        or isinstance(given, torch.dtype)
        or not isinstance(given, bool | int | float | Sequence)
    ):
        raise OperationError(f"{name} is a {kind_of(given)}, not numbers")
    try:
        return torch.tensor(given, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise OperationError(f"{name} holds no numbers: {meaning(error)}") from error


def held_value(given: Given | Value) -> Value:
    """Return a variable that is not differentiated by; raises `OperationError`."""
    return value_of(given) if isinstance(given, Sequence) else given


def _floats_to(value: Value, dtype: torch.dtype) -> Value:
    """Return a copy for one run, which may write to it."""
    if isinstance(value, Tensor):
        return value.to(dtype, copy=True) if value.dtype.is_floating_point else value.clone()
    return value


def is_whole(value: Value) -> bool:
    """Return whether a value is one integer, as an index is."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.dtype.is_floating_point
    return isinstance(value, int)


def leaves_of(points: Table, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return tensors that autograd follows."""
    return {name: point.to(dtype, copy=True).requires_grad_() for name, point in points.items()}


def backward(value: Tensor, leaves: Table, *, create_graph: bool = False) -> dict[str, Tensor]:
    """Return the derivatives of one element by all leaves; 0 by a leaf that it does not depend on."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    try:
        found = torch.autograd.grad(
            value,
            tuple(leaves.values()),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError as error:  # a value that backward needs was written to
        raise OperationError(_in_other_words(meaning(error))) from error
    return dict(zip(leaves, found, strict=True))


def _in_other_words(message: str) -> str:
    """Return what torch says, in the words of this language where the case is known."""
    return next((words for part, words in _IN_OTHER_WORDS.items() if part in message), message)
