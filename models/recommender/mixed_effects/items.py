"""The items' coordinate update: the posterior of each w_m = [b_m, q_m] given the users.

    precision_m = T⁻¹ + Σ_u w·E[ψψᵀ],   ψ_u = [1, e_u's learned part]
    precision_m · mean_m = T⁻¹·B·[1, x_m] + Σ_u (h·E[ψ] − w·E[(e_u · [1, x_m])·ψ])

Sums over users are sparse products.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.recommender.mixed_effects.blocks import Block
from models.recommender.mixed_effects.logistic import Expectations
from models.recommender.mixed_effects.priors import Prior

_PADDED_TO = 16  # float32 numbers that a processor multiplies at once


@dataclass(frozen=True)
class Items:
    """Items: constants [..., A] = [1, x], and the posteriors of w = [b, q].

    means [..., K], covariances [..., K, K].
    """

    constants: Tensor
    means: Tensor
    covariances: Tensor

    @property
    def named_size(self) -> int:
        """A, the length of [1, x]."""
        return self.constants.shape[-1]

    @cached_property
    def features(self) -> Tensor:
        """E[φ] = [1, x, q], [..., P]."""
        return torch.cat([self.constants, self.means[..., 1:]], dim=-1)

    @cached_property
    def moments(self) -> "Moments":
        """The moments that the users' update needs."""
        return Moments(torch.cat([self.features, self.means[..., :1]], dim=-1), self.covariances.flatten(-2))

    @cached_property
    def padded_float64(self) -> Tensor:
        """E[φ̃] [..., W], padded with zeros to a multiple of what a processor multiplies at once."""
        means = self.moments.means
        return pad(means, (0, -means.shape[-1] % _PADDED_TO))

    @cached_property
    def padded_float32(self) -> Tensor:
        """The same in float32."""
        return self.padded_float64.float()

    def part(self, rows: slice) -> "Items":
        """Return the items at these rows."""
        return Items(self.constants[rows], self.means[rows], self.covariances[rows])

    def gather(self, rows: Tensor) -> "Items":
        """Return the items at these rows, in the rows' shape."""
        parts = (self.constants, self.means, self.covariances)
        return Items(
            *(part.index_select(0, rows.flatten()).view(*rows.shape, *part.shape[1:]) for part in parts)
        )


class Moments(NamedTuple):
    """Items' moments: means E[φ̃] [..., P + 1], where φ̃ = [φ, b], and covariances of [b, q] [..., K²].

    E[φ̃φ̃ᵀ] is E[φ̃]E[φ̃]ᵀ, and in its last K rows and columns, those of [q, b], the covariance besides.
    """

    means: Tensor
    covariances: Tensor


@dataclass(frozen=True)
class ItemSums:
    """The sums over users that the items' update needs, float64.

    precisions Σ w·E[ggᵀ] [items, K²] of g = [1, e_q]; slopes Σ h·E[g] − Σ w·E[z·g] [items, K].
    """

    precisions: Tensor
    slopes: Tensor

    def __add__(self, other: Self) -> "ItemSums":
        return ItemSums(self.precisions + other.precisions, self.slopes + other.slopes)

    def part(self, rows: slice) -> "ItemSums":
        """Return the sums of the items at these rows."""
        return ItemSums(self.precisions[rows], self.slopes[rows])


def item_sums(
    block: Block, expectations: Expectations, second_moments: Tensor, cross_moments: Tensor
) -> ItemSums:
    """Return a block's sums, from E[ggᵀ] [users, K²] and E[z·[e_q, 1]] [responses, K].

    Overwrites ``cross_moments``.
    """
    weights, pseudo_targets = expectations.weights.double(), expectations.pseudo_targets.double()
    first_moments = second_moments[:, : cross_moments.shape[1]]  # E[1·g]
    slopes = block.item_user.with_values(pseudo_targets[block.order]) @ first_moments
    incidence = block.item_response.with_values(weights.new_ones(len(weights)))
    slopes -= (incidence @ cross_moments.mul_(weights[:, None])).roll(1, 1)
    return ItemSums(block.item_user.with_values(weights[block.order]) @ second_moments, slopes)


def update(items: Items, prior: Prior, sums: ItemSums) -> tuple[Items, float]:
    """Return the items with new posteriors, and the sum of their covariances' log determinants."""
    size = items.means.shape[1]
    precisions = sums.precisions.view(-1, size, size)
    # z = c + ψ·w_m: with Σ w·E[ψψᵀ]·E[w_m] added back, what is left of E[z·ψ] is E[c·ψ].
    slopes = sums.slopes + (precisions @ items.means[..., None])[..., 0]
    factors = torch.linalg.cholesky(precisions + prior.precision)
    covariances = torch.cholesky_inverse(factors)
    means = (covariances @ (slopes + prior.mean @ prior.precision)[..., None])[..., 0]
    log_determinants = -2 * float(factors.diagonal(dim1=1, dim2=2).log().sum())
    return replace(items, means=means, covariances=covariances), log_determinants
