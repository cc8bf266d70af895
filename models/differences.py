"""Central differences, the derivative as it is defined, to hold autograd's against.

    f'(x) ≈ (f(x + h) − f(x − h)) / 2h

No single h is right for every function: 1/x at 10⁻⁶ needs one far below 10⁻⁶, and 10¹⁰ + x one that rounding
does not swallow. So h goes down from ε^(1/4) · max(1, |x|) by tens, and where |x| < 1 once more from
ε^(1/4) · |x|. The difference counts that its larger neighbour bears out best: the error of each is taken as
its distance from the one before with what rounding adds, ε · |f| / h, relative to the slope where that is
above 1. The search ends when it is small. It sees nothing but the function's values: no derivative takes part
in the choice.

What no difference sees is a kink: at 0 that of relu is 1/2, the mean of both slopes, with every h. Nor what
the function rounds by itself, by going through float32 or integers. Does not know what the function computes.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

Table = Mapping[str, Tensor]

_ROUNDING = torch.finfo(torch.float64).eps
_LARGEST_STEP = _ROUNDING**0.25
_STEPS = 9  # from 10⁻⁴ to 10⁻¹² of the scale
_ENOUGH = 1e-7


def differences(function: Callable[[Table], Table], points: Table, name: str) -> Table:
    """Return central differences of all that a function gives, by each element of one variable.

    Each is in the shape of what the function gives and then the variable's; nan where the function is not
    finite, there or on either side however near.
    """
    point = points[name]
    centre = function(points)
    collected: dict[str, list[Tensor]] = {each: [] for each in centre}
    for position in range(point.numel()):
        searches = {each: _Search(value) for each, value in centre.items()}
        for step in _steps(abs(float(point.view(-1)[position]))):
            if all(search.is_over for search in searches.values()):
                break
            _try_step(function, {**points}, name, position, step, searches)
        for each, search in searches.items():
            collected[each].append(search.slope)
    return {
        each: torch.stack(slopes, dim=-1).reshape(centre[each].shape + point.shape)
        if slopes
        else centre[each].new_zeros(centre[each].shape + point.shape)
        for each, slopes in collected.items()
    }


class _Search:
    """The slopes of one value of the function with ever smaller steps, and the best of them so far."""

    def __init__(self, centre: Tensor) -> None:
        self.slope = torch.full_like(centre, torch.nan)
        # Where the function is not finite there is nothing to search for.
        self._error = torch.where(centre.isfinite(), torch.inf, 0.0)
        self._before: Tensor | None = None

    @property
    def is_over(self) -> bool:
        """Whether every element is known well enough."""
        return bool((self._error <= _ENOUGH).all())

    def add(self, high: Tensor, low: Tensor, width: float) -> None:
        """Take the function's values on either side."""
        slope = (high - low) / width
        if self._before is not None:
            rounded = _ROUNDING * torch.maximum(high.abs(), low.abs()) / width
            error = ((slope - self._before).abs() + rounded) / slope.abs().clamp(min=1.0)
            better = error < self._error  # never of nan
            self.slope = torch.where(better, slope, self.slope)
            self._error = torch.where(better, error, self._error)
        self._before = slope


def _steps(size: float) -> Iterator[float]:
    """Yield the steps to try at a point of this size, from the largest."""
    for scale in (max(1.0, size), size):
        if 0.0 < scale < 1.0 or scale == max(1.0, size):
            yield from (scale * _LARGEST_STEP / 10**power for power in range(_STEPS))
        if size >= 1.0:
            return


def _try_step(
    function: Callable[[Table], Table],
    points: dict[str, Tensor],
    name: str,
    position: int,
    step: float,
    searches: Mapping[str, _Search],
) -> None:
    point = points[name]
    right, left = point.clone(), point.clone()
    right.view(-1)[position] += step
    left.view(-1)[position] -= step
    width = float(right.view(-1)[position] - left.view(-1)[position])  # what rounding left of 2h
    if width == 0.0:
        return
    high, low = function({**points, name: right}), function({**points, name: left})
    for each, search in searches.items():
        search.add(high[each], low[each], width)


def disagreement(found: Tensor, expected: Tensor) -> float:
    """Return the largest |found − expected| / max(1, |expected|); nan if one is, 0 of no elements."""
    if not found.numel():
        return 0.0
    return float(((found.double() - expected).abs() / expected.abs().clamp(min=1.0)).max())
