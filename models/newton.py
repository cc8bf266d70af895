"""Newton's method with Levenberg's damping, for one small smooth problem.

Each step solves (H + damping·I) · step = −gradient by Cholesky. Damping grows until the matrix is positive
definite and the step lowers the value, and shrinks after every success, so that the end converges
quadratically. Source: Levenberg (1944); Nocedal and Wright, Numerical Optimization, chapter 3.4.
Does not know which problem it solves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.objective import Curvature

_LARGEST_DAMPING = 1e30


@dataclass(frozen=True)
class Minimum:
    """Where the search ended: the point, its value, the largest slope left, and whether that is small."""

    point: Tensor
    value: float
    slope: float
    steps: int
    converged: bool


def minimise(
    problem: Callable[[Tensor], Curvature], start: Tensor, tolerance: float = 1e-10, steps: int = 200
) -> Minimum:
    """Search a local minimum downhill of ``start``, a float64 vector.

    Ends when no slope exceeds ``tolerance`` times the curvature's scale, when no step lowers the value any
    more in float64, or after ``steps`` steps; the value never rises.
    """
    point, here, damping = start, problem(start), 0.0
    for done in range(steps):
        scale = max(1.0, float(here.hessian.diagonal().abs().max()))
        slope = float(here.gradient.abs().max())
        if slope <= tolerance * scale:
            return Minimum(point, here.value, slope, done, converged=True)
        while damping <= _LARGEST_DAMPING:
            step = _damped_step(here, damping)
            if step is not None:
                there = problem(point + step)
                if there.value < here.value:
                    break
            damping = max(4.0 * damping, 1e-6 * scale)
        else:  # float64 has no lower value to offer
            return Minimum(point, here.value, slope, done, converged=True)
        point, here = point + step, there
        damping = damping / 8.0 if damping > 1e-9 * scale else 0.0
    slope = float(here.gradient.abs().max())
    return Minimum(point, here.value, slope, steps, converged=False)


def _damped_step(here: Curvature, damping: float) -> Tensor | None:
    damped = here.hessian.clone()
    damped.diagonal().add_(damping)
    factor, failed = torch.linalg.cholesky_ex(damped)
    if int(failed):
        return None
    return torch.cholesky_solve(-here.gradient[:, None], factor)[:, 0]
