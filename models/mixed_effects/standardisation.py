"""Vectors at one scale: each dimension with mean 0 and standard deviation 1 over the items.

Does not know what the dimensions mean.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


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

    def constants(self, vectors: Tensor) -> Tensor:
        """Return [1, x] inside: float64 [items, 1 + dimensions]."""
        inside = (vectors.double() - self.shift) / self.scale
        return torch.cat([inside.new_ones(inside.shape[0], 1), inside], dim=1)
