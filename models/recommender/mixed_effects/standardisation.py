"""Standardised vectors: each dimension with mean 0 and standard deviation 1 over the items."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

_FARTHEST = 1e4  # standard deviations


@dataclass(frozen=True)
class Standardisation:
    """Standardised x is (x − shift) / scale; both float64 [dimensions]."""

    shift: Tensor
    scale: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Self:
        """Take it from the items' vectors [items, dimensions]; a constant dimension has scale 1."""
        numbers = vectors.double()
        shift = numbers.mean(0)
        deviation = (numbers - shift).square().mean(0).sqrt()
        # The mean of equal float32 numbers may miss them by float64's rounding.
        varies = deviation > 1e-12 * numbers.abs().amax(0)
        return cls(shift, torch.where(varies, deviation, 1.0))

    def bounded(self, vectors: Tensor) -> Tensor:
        """Return vectors float64 [items, dimensions], clamped to 10,000 standard deviations from the mean.

        No number of n items lies farther than √n standard deviations from their mean; one of a later item
        may, and all other terms would be lost in its rounding.
        """
        reach = _FARTHEST * self.scale
        return torch.minimum(torch.maximum(vectors.double(), self.shift - reach), self.shift + reach)

    def constants(self, vectors: Tensor) -> Tensor:
        """Return [1, x] with x standardised: float64 [items, 1 + dimensions]."""
        standardised = (self.bounded(vectors) - self.shift) / self.scale
        return torch.cat([standardised.new_ones(standardised.shape[0], 1), standardised], dim=1)
