"""Vectors at one scale: each dimension with mean 0 and standard deviation 1 over the items.

Does not know what the dimensions mean.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

_FARTHEST = 1e4  # standard deviations


@dataclass(frozen=True)
class Standardisation:
    """x inside = (x − shift) / scale; both float64 [dimensions]."""

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
        """Return vectors float64 [items, dimensions], drawn in where they lie beyond all sense.

        No number of n items lies farther than √n standard deviations from their mean; one of an item that
        came later may, and would leave float64 with nothing but itself.
        """
        reach = _FARTHEST * self.scale
        return torch.minimum(torch.maximum(vectors.double(), self.shift - reach), self.shift + reach)

    def constants(self, vectors: Tensor) -> Tensor:
        """Return [1, x] inside: float64 [items, 1 + dimensions]."""
        inside = (self.bounded(vectors) - self.shift) / self.scale
        return torch.cat([inside.new_ones(inside.shape[0], 1), inside], dim=1)
