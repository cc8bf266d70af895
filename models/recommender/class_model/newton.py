"""Newton's method with Marquardt's damping, for one small smooth problem.

Each step solves (H + damping·D) · step = −gradient by Cholesky, D the curvatures |H_ii|, at least 1: so a
coordinate in thousands beside one in units changes nothing. Damping grows until the matrix is positive
definite and the step lowers the value, and shrinks after every success, so that the end converges
quadratically. Source: Marquardt (1963); Nocedal and Wright, Numerical Optimization, chapter 3.4.
Does not know which problem it solves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_LARGEST_DAMPING = 1e30
# A slope s promises a value lower by s²/2 at best. Below this one float64 cannot see it beside a value of 1.
_LEAST_VISIBLE_SLOPE = 1e-6


class Curvature(NamedTuple):
    """A problem at one point: value, gradient [dimensions], Hessian [dimensions, dimensions]."""

    value: float
    gradient: Tensor
    hessian: Tensor


@dataclass(frozen=True)
class Minimum:
    """Where the search ended: the point, its value, the largest slope left, and whether that is small.

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
    point, here, damping = start, problem(start), 0.0
    for done in range(steps):
        slope = _slope(here)
        if slope <= tolerance:
            return Minimum(point, here.value, slope, done, converged=True)
        while damping <= _LARGEST_DAMPING:
            step = _damped_step(here, damping)
            if step is not None:
                there = problem(point + step)
                if there.value < here.value:
                    break
            damping = max(4.0 * damping, 1e-6)
        else:  # float64 has no lower value to offer
            visible = _LEAST_VISIBLE_SLOPE * max(1.0, abs(here.value)) ** 0.5
            return Minimum(point, here.value, slope, done, converged=slope <= visible)
        point, here = point + step, there
        damping = damping / 8.0 if damping > 1e-9 else 0.0  # noqa: PLR2004 - too little to matter beside D
    slope = _slope(here)
    return Minimum(point, here.value, slope, steps, converged=slope <= tolerance)


def _scales(here: Curvature) -> Tensor:
    """Return D: each coordinate's curvature, bounded away from zero."""
    return here.hessian.diagonal().abs().clamp(min=1.0)


def _slope(here: Curvature) -> float:
    slopes = here.gradient.abs() / _scales(here).sqrt()
    return float(slopes.max()) if slopes.numel() else 0.0


def _damped_step(here: Curvature, damping: float) -> Tensor | None:
    factor, failed = torch.linalg.cholesky_ex(here.hessian + torch.diag(damping * _scales(here)))
    if int(failed):
        return None
    return torch.cholesky_solve(-here.gradient[:, None], factor)[:, 0]
