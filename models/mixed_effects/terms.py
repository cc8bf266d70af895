"""What one request takes of the model: a few items' predictions, and bounds of all items' logits.

    E[z] = b + φ·m,   var z = ψᵀVψ + Σ V_q∘C_q + φᵀCφ ,   ψ = [1, m_q]

The items' side of each is one row of a table; a taste's side is worked out once and kept as long as the
taste. `models.mixed_effects.predictor` has the same formula for any number of items, readable; a test holds
the two together. Numbers are float64 where they are shown, float32 where they only say what is worth an exact
look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from models.mixed_effects.items import Items
from models.model import Prediction, Taste, damping
from models.scoring import FLOAT32_ROUNDING

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

FEW = 128  # items: more at once, and numpy would use threads of its own
_STEEPEST_DAMPING = pi / 16  # |dκ/dvar| is largest at var = 0


@dataclass(frozen=True)
class TasteTerms:
    """A taste's side: ``sums`` [P + 1 + K(K + 1)/2, 2] gives E[z] and the items' share of var z.

    mean and item_share are its two columns' parts that are not zero, float32; spread [P, P] is C.
    """

    sums: Floats
    spread: Floats
    mean: Tensor  # float32 [P + 1]
    item_share: Tensor  # float32 [K(K + 1)/2]
    length: float  # ‖m‖
    share_length: float
    trace: float  # of C: no φᵀCφ is larger than it times ‖φ‖²

    @classmethod
    def of(cls, taste: Taste, learned: int) -> "TasteTerms":
        """Work it out; ``learned`` = K − 1."""
        if taste.factor is None:
            raise ValueError("a taste of this model has a factor")
        mean, factor = taste.embedding.double().numpy(), taste.factor.double().numpy()
        spread = factor @ factor.T
        side = np.concatenate([[1.0], mean[len(mean) - learned :]])
        both = np.outer(side, side)
        both[1:, 1:] += spread[len(mean) - learned :, len(mean) - learned :]
        share = both[np.triu_indices(len(side))]
        sums = np.zeros((len(mean) + 1 + len(share), 2))
        sums[: len(mean), 0], sums[len(mean), 0], sums[len(mean) + 1 :, 1] = mean, 1.0, share
        return cls(
            sums,
            spread,
            torch.from_numpy(sums[: len(mean) + 1, 0].astype(np.float32)),
            torch.from_numpy(share.astype(np.float32)),
            float(np.linalg.norm(mean)),
            float(np.linalg.norm(share)),
            float(np.trace(spread)),
        )


@dataclass(frozen=True)
class ItemTerms:
    """All items' side: a row [φ, b, the covariance's upper half, off the diagonal doubled] each."""

    rows: Floats  # [items, P + 1 + K(K + 1)/2]
    means: Tensor  # float32 [P + 1, items]: [φ, b]; a row a number, which is two times as fast to multiply
    halves: Tensor  # float32 [K(K + 1)/2, items]
    learned: int  # K - 1
    largest_feature: float
    largest_appeal: float
    largest_half: float

    @classmethod
    def of(cls, items: Items) -> "ItemTerms":
        """Take it from the items [items]."""
        size = items.means.shape[1]
        above, beside = torch.triu_indices(size, size)
        halves = items.covariances[:, above, beside] * torch.where(above == beside, 1.0, 2.0)
        means = torch.cat([items.features, items.means[:, :1]], dim=1)
        norms = [torch.linalg.vector_norm(part, dim=1) for part in (items.features, means[:, -1:], halves)]
        largest = [float(norm.max()) if norm.numel() else 0.0 for norm in norms]
        rows = torch.cat([means, halves], dim=1).numpy()
        return cls(rows, means.float().T.contiguous(), halves.float().T.contiguous(), size - 1, *largest)

    def predict(self, taste: TasteTerms, rows: Tensor) -> Prediction:
        """Return E[z] and var z of the taste for the items at ``rows`` [n]."""
        return Prediction(*map(torch.from_numpy, self._predict(taste, rows.numpy())))

    def logits(self, taste: TasteTerms, rows: Rows) -> Floats:
        """Return κ·E[z] [n], bit for bit as `predict`'s are."""
        mean, variance = self._predict(taste, rows)
        return damping(variance) * mean

    def _predict(self, taste: TasteTerms, rows: Rows) -> tuple[Floats, Floats]:
        if len(rows) > FEW:
            parts = [self._predict(taste, part) for part in np.split(rows, range(FEW, len(rows), FEW))]
            mean, variance = map(np.concatenate, zip(*parts, strict=True))
            return mean, variance
        own = self.rows[rows]
        sums = own @ taste.sums
        features = own[:, : len(taste.spread)]
        variance = sums[:, 1] + ((features @ taste.spread) * features).sum(axis=1)
        return sums[:, 0].copy(), variance

    def sides(self, taste: TasteTerms, rows: Tensor) -> Tensor:
        """Return κ·[φ, b] of the items at ``rows`` [n], float32 [n, P + 1]; κ is the taste's."""
        _, variance = self._predict(taste, rows.numpy())
        return self.means[:, rows].T * torch.from_numpy(damping(variance)).float()[:, None]

    def bounds(self, taste: TasteTerms) -> Iterator[tuple[Singles, float]]:
        """Yield what no item's logit is above, float32 [items], but for an error: its largest size.

        First what needs no item's variance: a logit above zero is at most E[z], and one below is damped at
        least as much as the largest variance that there can be would damp it. Then what does: the items'
        share of the variance alone damps a logit less than all of it does, and a logit below zero is damped
        most where the person's share is as large as it can be.
        """
        means = taste.mean @ self.means
        ceiling = self.largest_feature**2 * taste.trace
        most = ceiling + self.largest_half * taste.share_length
        error = self._error(taste, ceiling)
        yield leaky_relu(means, 1.0 / sqrt(1.0 + pi / 8.0 * most)).numpy(), error
        share = taste.item_share @ self.halves
        damped = share.clamp_(min=0.0).mul_(pi / 8.0).add_(1.0)
        least = torch.where(means > 0.0, damped, damped + pi / 8.0 * ceiling)
        yield means.mul_(least.rsqrt_()).numpy(), error

    def _error(self, taste: TasteTerms, ceiling: float) -> float:
        """Bound the rounding: of n products' sum by (n + 2)·2⁻²⁴ times the product of the norms."""
        terms = (len(self.means) + len(self.halves) + 8) * FLOAT32_ROUNDING
        reach = self.largest_appeal + self.largest_feature * taste.length
        variance = 4.0 * ceiling + 2.0 * self.largest_half * taste.share_length
        return terms * reach * (2.0 + _STEEPEST_DAMPING * variance) * sqrt(2.0)
