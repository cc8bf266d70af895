"""Central differences, the derivative as it is defined, to hold autograd's against.

    f'(x) ≈ (f(x + h) − f(x − h)) / 2h,   h = ε^(1/3) · max(1, |x|)

In float64 this h makes what is left out of the series as small as what rounding adds. Does not know what the
function computes.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Table = Mapping[str, Tensor]

_STEP = torch.finfo(torch.float64).eps ** (1 / 3)


def differences(function: Callable[[Table], Table], points: Table, name: str) -> Table:
    """Return central differences of all that a function gives, by each element of one variable.

    Each is in the shape of what the function gives and then the variable's.
    """
    point = points[name]
    collected: dict[str, list[Tensor]] = {}
    for position in range(point.numel()):
        step = _STEP * max(1.0, abs(float(point.reshape(-1)[position])))
        ends = []
        for sign in (1.0, -1.0):
            moved = point.clone()
            moved.view(-1)[position] += sign * step
            ends.append((moved, function({**points, name: moved})))
        (right, upper), (left, lower) = ends
        width = float(right.reshape(-1)[position] - left.reshape(-1)[position])  # what rounding left of 2h
        for each, high in upper.items():
            collected.setdefault(each, []).append((high - lower[each]) / width)
    if not collected:
        return {each: value.new_zeros(value.shape + point.shape) for each, value in function(points).items()}
    return {
        each: torch.stack(values, dim=-1).reshape(values[0].shape + point.shape)
        for each, values in collected.items()
    }


def disagreement(found: Tensor, expected: Tensor) -> float:
    """Return the largest |found − expected| / max(1, |expected|); nan if one is, 0 of no elements."""
    if not found.numel():
        return 0.0
    return float(((found.double() - expected).abs() / expected.abs().clamp(min=1.0)).max())
