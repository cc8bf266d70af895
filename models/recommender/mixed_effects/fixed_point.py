"""Fixed-point iteration with Anderson acceleration, for many points at once, a row each.

A row is extrapolated from its last two updates (Anderson, 1965, with a memory of one step). An objective that
has to rise safeguards it: a row whose objective falls goes back and takes half the step.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

_MOST_UPDATES = 300
_LEAST_STEP = 2.0**-20
_ROUNDING = 1e-9  # of an objective, relative

Result = TypeVar("Result")


class Update(NamedTuple, Generic[Result]):
    """An update at points [rows, n]: its result, the next points [rows, n], the objectives [rows]."""

    result: Result
    image: Tensor
    objective: Tensor


def solve_fixed_points(update: Callable[[Tensor], Update[Result]], point: Tensor, tolerance: float) -> Result:
    """Iterate from ``point`` [rows, n] until no number moves by more than ``tolerance``."""
    current, memory = update(point), None
    step_size: Tensor | float = 1.0
    for _ in range(_MOST_UPDATES):
        residual = current.image - point
        if _largest(residual) <= tolerance:
            break
        step = residual if memory is None else _anderson_step(residual, *memory)
        candidate_point = point + step_size * step
        candidate = update(candidate_point)
        worse = _worse_rows(current.objective, candidate.objective)
        if worse is None:
            memory = (residual, candidate_point - point)
            point, current = candidate_point, candidate
            step_size = 1.0 if isinstance(step_size, float) else (2 * step_size).clamp(max=1.0)
            continue
        # Rows that fell go back and take half the step: without memory, a short one raises the objective.
        step_size = (torch.where(worse, 0.5, 1.0) * step_size).clamp(min=_LEAST_STEP)
        memory = None
        point = torch.where(worse, point, candidate_point)
        current = update(point)
    return current.result


class UpdateOfOne(NamedTuple, Generic[Result]):
    """An update at one point [n]: its result, the next point [n], and the objective."""

    result: Result
    image: Tensor
    objective: float


def solve_fixed_point(
    update: Callable[[Tensor], UpdateOfOne[Result]], point: Tensor, tolerance: float
) -> Result:
    """Iterate as `solve_fixed_points`, the reference, for one point [n], in half as many operations.

    For so small a point an operation takes as long as a hundred of its numbers.
    """
    current, memory, step_size = update(point), None, 1.0
    for _ in range(_MOST_UPDATES):
        residual = current.image - point
        if _largest(residual) <= tolerance:
            break
        step = residual if memory is None else _anderson_step_of_one(residual, *memory)
        candidate = update(torch.add(point, step, alpha=step_size))
        if not candidate.objective < current.objective - _ROUNDING * (1.0 + abs(current.objective)):
            change = step if step_size == 1.0 else step_size * step
            point, current, memory = point + change, candidate, (residual, change)
            step_size = min(1.0, 2 * step_size)
            continue
        step_size, memory = max(_LEAST_STEP, 0.5 * step_size), None
    return current.result


def _largest(numbers: Tensor) -> float:
    return float(torch.linalg.vector_norm(numbers, torch.inf)) if numbers.numel() else 0.0


def _worse_rows(previous: Tensor, candidate: Tensor) -> Tensor | None:
    """Return which rows' objectives fell by more than rounding, bool [rows, 1]; None if none did."""
    if bool((candidate >= previous).all()):
        return None
    worse = candidate < previous - _ROUNDING * (1.0 + previous.abs())
    return worse[:, None] if bool(worse.any()) else None


def _anderson_step(residual: Tensor, previous_residual: Tensor, previous_step: Tensor) -> Tensor:
    """Return the step [rows, n] that minimises the residual extrapolated from the last two."""
    change = residual - previous_residual
    length = torch.linalg.vecdot(change, change).clamp_(min=1e-300)
    gamma = torch.linalg.vecdot(residual, change) / length
    return torch.addcmul(residual, gamma[:, None], previous_step + change, value=-1)


def _anderson_step_of_one(residual: Tensor, previous_residual: Tensor, previous_step: Tensor) -> Tensor:
    change = residual - previous_residual
    gamma = float(torch.dot(residual, change)) / max(1e-300, float(torch.dot(change, change)))
    return torch.add(residual, previous_step + change, alpha=-gamma)
