"""An expression of the tensor language as a function of some of its variables, and its derivatives by torch.

Its value is one number; all other variables are constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.notebook.autograd.differences import Table
from models.notebook.tensor_language.runtime.errors import OperationError, UnknownNameError
from models.notebook.tensor_language.runtime.interpreter import Watch, execute
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import PlainValue, Value, kind_of, meaning, value_of
from models.notebook.tensor_language.syntax.program import Program

# Parts of torch's messages about in-place writes that backward does not allow, and clearer messages.
_CLEARER_MESSAGES = {
    "modified by an inplace": "the program writes to a tensor whose earlier elements its gradient "
    "needs; write to a copy, as in y = y.clone()",
    "leaf Variable that requires grad": "a variable to differentiate by cannot be written to in-place; "
    "write to a copy, as in y = x.clone()",
}


@dataclass(frozen=True)
class ScalarFunction:
    """The expression as a function of the variables to differentiate by; all others are constants."""

    program: Program
    constants: Mapping[str, Value]
    seed: int
    limits: Limits

    def __call__(self, leaves: Table, watch: Watch | None = None) -> Tensor:
        """Return the value, a tensor of one element; raises `LanguageError`."""
        dtype = next(iter(leaves.values())).dtype
        # Copies, since a run may write to them.
        constants = {name: _copy(value, dtype) for name, value in self.constants.items()}
        try:
            result = execute(
                self.program, {**constants, **leaves}, self.seed, self.limits, dtype, watch
            ).result
        except OperationError as error:
            raise OperationError(_clearer(error.message), error.line, error.column) from error
        if isinstance(result, bool | int | float):
            return torch.tensor(result, dtype=dtype)
        if isinstance(result, Tensor) and result.numel() == 1:
            return result
        kind = (
            f"a tensor of shape {tuple(result.shape)}"
            if isinstance(result, Tensor)
            else f"a {kind_of(result)}"
        )
        if result is None:
            kind = "nothing"
        place = (self.program.steps[-1].line, self.program.steps[-1].column) if self.program.steps else (1, 1)
        raise OperationError(f"a gradient needs an expression that gives one number, not {kind}", *place)


def point_of(name: str, variables: Mapping[str, PlainValue | Value]) -> Tensor:
    """Return a variable's value in float64; raises `UnknownNameError`, `OperationError`."""
    if name not in variables:
        raise UnknownNameError(f"there is no variable {name} to differentiate by")
    value = variables[name]
    if isinstance(value, Tensor):
        return value.detach().double()
    if (
        value is None
        or isinstance(value, torch.dtype)
        or not isinstance(value, bool | int | float | Sequence)
    ):
        raise OperationError(f"{name} is a {kind_of(value)}, not numbers")
    try:
        return torch.tensor(value, dtype=torch.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise OperationError(f"{name} holds no numbers: {meaning(error)}") from error


def constant_value(value: PlainValue | Value) -> Value:
    """Return a variable that is not differentiated by; raises `OperationError`."""
    return value_of(value) if isinstance(value, Sequence) else value


def _copy(value: Value, dtype: torch.dtype) -> Value:
    if isinstance(value, Tensor):
        return value.to(dtype, copy=True) if value.dtype.is_floating_point else value.clone()
    return value


def is_integer(value: Value) -> bool:
    """Return whether a value is one integer, as an index is."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.dtype.is_floating_point
    return isinstance(value, int)


def leaves_of(points: Table, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the points as leaves of autograd's graph."""
    return {name: point.to(dtype, copy=True).requires_grad_() for name, point in points.items()}


def backward(value: Tensor, leaves: Table, *, create_graph: bool = False) -> dict[str, Tensor]:
    """Return the derivatives of one element by all leaves; 0 by a leaf that it does not depend on."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    try:
        gradients = torch.autograd.grad(
            value,
            tuple(leaves.values()),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError as error:  # a value that backward needs was written to
        raise OperationError(_clearer(meaning(error))) from error
    return dict(zip(leaves, gradients, strict=True))


def _clearer(message: str) -> str:
    """Return a clearer message than torch's where there is one."""
    return next((clearer for part, clearer in _CLEARER_MESSAGES.items() if part in message), message)
