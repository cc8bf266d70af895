"""Central differences, to check derivatives by autograd.

    f'(x) ≈ (f(x + h) − f(x − h)) / 2h,   h = ε^(1/3) · max(1, |x|)

In float64 this h balances truncation and rounding error for a function that changes at the scale of x. 1/x at
10⁻⁶ does not, nor does sin(10⁶·x). So each difference is tested by one more value of the function: f(x + h/2)
lies on the parabola through the three, but for

    (f(x + h) − f(x − h)) / 4 + (f(x + h) − 2·f(x) + f(x − h)) / 8 − (f(x + h/2) − f(x)) ≈ h³·f'''(x) / 16

and rounding. Relative to the difference, or to 2h where that is more, this estimates its error. The first h
is taken where the error is small, else one of a few others where it is clearly smaller. A smaller h that
gives no difference where a larger one did is below the rounding, also where the program itself rounds. Only
values of the function decide, no derivative.

Differences do not detect a kink or a jump: at 0 that of relu is 1/2, the mean of both slopes, with every h,
and it may be wrong up to h away from one. Where the program goes through float32, a difference is good to
some hundredths.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

Table = Mapping[str, Tensor]

_STEP = torch.finfo(torch.float64).eps ** (1 / 3)
_OTHER_STEPS = (1e-2, 1e2, 1e-4, 1e-6)  # multiples of the first, to try where its error is large
_ENOUGH = 1e-6


def differences(function: Callable[[Table], Table], points: Table, name: str) -> Table:
    """Return central differences of all of a function's results, by each element of one variable.

    Each is in the shape of the result and then the variable's; nan where the function is not finite, there or
    on either side however near.
    """
    point = points[name]
    centre = function(points)
    slopes: dict[str, list[Tensor]] = {result: [] for result in centre}
    for position in range(point.numel()):
        searches = {result: _Search(value) for result, value in centre.items()}
        for step in _steps(abs(float(point.view(-1)[position]))):
            if all(search.is_over for search in searches.values()):
                break
            _try_step(function, {**points}, name, position, step, searches)
        for result, search in searches.items():
            slopes[result].append(search.slope)
    return {
        result: torch.stack(columns, dim=-1).reshape(centre[result].shape + point.shape)
        if columns
        else centre[result].new_zeros(centre[result].shape + point.shape)
        for result, columns in slopes.items()
    }


class _Search:
    """The differences of one result with several steps, and the best of them so far."""

    def __init__(self, centre: Tensor) -> None:
        self.slope = torch.full_like(centre, torch.nan)
        self._centre = centre
        # Where the function is not finite there is nothing to search for.
        self._error = torch.where(centre.isfinite(), torch.inf, 0.0)

    @property
    def is_over(self) -> bool:
        """Whether every element's error is small enough."""
        return bool((self._error <= _ENOUGH).all())

    def add(self, high: Tensor, low: Tensor, half: Tensor, width: float) -> None:
        """Take the function's values at both ends of a width, and halfway to the upper one."""
        difference = high - low
        bend = (high - self._centre) - (self._centre - low)
        error = (difference / 4 + bend / 8 - (half - self._centre)).abs() / difference.abs().clamp(min=width)
        flat = (difference == 0) & self.slope.isfinite() & (self.slope != 0)
        better = (error < 0.1 * self._error) & ~flat  # clearly better, and never of nan
        self.slope = torch.where(better, difference / width, self.slope)
        self._error = torch.where(better, error, self._error)


def _steps(size: float) -> Iterator[float]:
    """Yield the steps to try at a point of this size, the likeliest first."""
    first = _STEP * max(1.0, size)
    yield first
    if 0.0 < size < 1.0:
        yield _STEP * size
    yield from (first * factor for factor in _OTHER_STEPS)


def _try_step(
    function: Callable[[Table], Table],
    points: dict[str, Tensor],
    name: str,
    position: int,
    step: float,
    searches: Mapping[str, _Search],
) -> None:
    def shift(size: float) -> Tensor:
        point = points[name].clone()
        point.view(-1)[position] += size
        return point

    upper, lower = shift(step), shift(-step)
    width = float(upper.view(-1)[position] - lower.view(-1)[position])  # 2h, rounded
    if width == 0.0:
        return
    high, low, half = (function({**points, name: point}) for point in (upper, lower, shift(step / 2)))
    for result, search in searches.items():
        search.add(high[result], low[result], half[result], width)


def disagreement(actual: Tensor, expected: Tensor) -> float:
    """Return the largest |actual − expected| / max(1, |expected|); nan if one is, 0 of no elements."""
    if not actual.numel():
        return 0.0
    return float(((actual.double() - expected).abs() / expected.abs().clamp(min=1.0)).max())
