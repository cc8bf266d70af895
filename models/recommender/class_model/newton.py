"""Newton's method with Marquardt's damping, for one small smooth problem.

Each step solves (H + damping·D) · step = −gradient by Cholesky, D the curvatures |H_ii|, at least 1, so the
coordinates' scales do not matter. Damping grows until the matrix is positive definite and the step lowers the
value, and shrinks after every success, so that convergence is quadratic in the end. Source: Marquardt (1963);
Nocedal and Wright, Numerical Optimization, chapter 3.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_LARGEST_DAMPING = 1e30
# A slope s promises a value lower by s²/2 at best. Below this one rounding of a value of 1 hides it.
_LEAST_VISIBLE_SLOPE = 1e-6


class Curvature(NamedTuple):
    """A problem at one point: value, gradient [dimensions], Hessian [dimensions, dimensions]."""

    value: float
    gradient: Tensor
    hessian: Tensor


@dataclass(frozen=True)
class Minimum:
    """The end of a search: the point, its value, the largest slope there, and whether that is small.

    A slope is |gradient_i| / √D_i, so that it has the value's scale whatever scale its coordinate has.
    """

    point: Tensor
    value: float
    slope: float
    steps: int
    converged: bool


def minimise(
    problem: Callable[[Tensor], Curvature], start: Tensor, tolerance: float = 1e-10, steps: int = 200
) -> Minimum:
    """Search a local minimum downhill of ``start``, a float64 vector.

    Ends when no slope exceeds ``tolerance``, when no step lowers the value any more in float64, or after
    ``steps`` steps; the value never rises.
    """
    point, current, damping = start, problem(start), 0.0
    for number in range(steps):
        slope = _slope(current)
        if slope <= tolerance:
            return Minimum(point, current.value, slope, number, converged=True)
        while damping <= _LARGEST_DAMPING:
            step = _damped_step(current, damping)
            if step is not None:
                candidate = problem(point + step)
                if candidate.value < current.value:
                    break
            damping = max(4.0 * damping, 1e-6)
        else:  # float64 has no lower value
            visible = _LEAST_VISIBLE_SLOPE * max(1.0, abs(current.value)) ** 0.5
            return Minimum(point, current.value, slope, number, converged=slope <= visible)
        point, current = point + step, candidate
        damping = damping / 8.0 if damping > 1e-9 else 0.0  # noqa: PLR2004 - negligible against D
    slope = _slope(current)
    return Minimum(point, current.value, slope, steps, converged=slope <= tolerance)


def _scales(at: Curvature) -> Tensor:
    """Return D: each coordinate's curvature, bounded away from zero."""
    return at.hessian.diagonal().abs().clamp(min=1.0)


def _slope(at: Curvature) -> float:
    slopes = at.gradient.abs() / _scales(at).sqrt()
    return float(slopes.max()) if slopes.numel() else 0.0


def _damped_step(at: Curvature, damping: float) -> Tensor | None:
    factor, error_code = torch.linalg.cholesky_ex(at.hessian + torch.diag(damping * _scales(at)))
    if int(error_code):
        return None
    return torch.cholesky_solve(-at.gradient[:, None], factor)[:, 0]
