"""All items' logits for one user by float32 products, and how far rounding may have put them off.

Finds the few items that are worth an exact look. Does not know the exact formula's precision, only its terms.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from models.mixed_effects.items import Items
from models.scoring import FLOAT32_ROUNDING

_STEEPEST_DAMPING = pi / 16  # |dκ/dvar| is largest at var = 0


@dataclass(frozen=True)
class RoughItems:
    """Items in float32, and the norms that bound the rounding error of a product with all of them."""

    features: Tensor  # [items, P]
    appeals: Tensor  # [items]
    halves: Tensor  # [items, K(K + 1)/2]: the covariances' upper halves, off the diagonal doubled
    learned: int  # K - 1
    largest_feature: float
    largest_appeal: float
    largest_half: float

    @classmethod
    def of(cls, items: Items) -> "RoughItems":
        """Take it from the items [items]."""
        size = items.means.shape[1]
        rows, columns = torch.triu_indices(size, size)
        halves = items.covariances[:, rows, columns] * torch.where(rows == columns, 1.0, 2.0)
        norms = [part.square().sum(-1).sqrt() for part in (items.features, items.means[:, :1], halves)]
        largest = [float(norm.max()) if norm.numel() else 0.0 for norm in norms]
        return cls(items.features.float(), items.means[:, 0].float(), halves.float(), size - 1, *largest)

    def logits(self, embedding: Tensor, factor: Tensor) -> tuple[Tensor, float]:
        """Return all items' logits float32 [items], and how far they may be off, for a user's taste.

        embedding float32 [P] and factor float32 [P, P] are as in `models.model.Taste`.
        """
        learned = len(embedding) - self.learned
        side = torch.cat([embedding.new_ones(1), embedding[learned:]])
        both = torch.outer(side, side)
        both[1:, 1:] += factor[learned:] @ factor[learned:].T
        rows, columns = torch.triu_indices(len(side), len(side))
        means = self.appeals + self.features @ embedding
        variances = (self.features @ factor).square().sum(-1) + self.halves @ both[rows, columns]
        logits = means / torch.sqrt(1.0 + pi / 8.0 * variances.clamp(min=0.0))
        return logits, self._error(embedding.double(), factor.double(), both.double())

    def _error(self, embedding: Tensor, factor: Tensor, both: Tensor) -> float:
        """Bound the rounding: of n products' sum by (n + 2)·2⁻²⁴ times the product of the norms."""
        terms = (len(embedding) + self.halves.shape[1] + 8) * FLOAT32_ROUNDING
        reach = self.largest_appeal + self.largest_feature * float(embedding.norm())
        variance = 4.0 * self.largest_feature**2 * float(factor.square().sum())
        variance += 2.0 * self.largest_half * float(both.norm())
        return terms * reach * (2.0 + _STEEPEST_DAMPING * variance)
