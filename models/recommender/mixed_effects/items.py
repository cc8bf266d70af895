"""The items' half-step: the posterior of each w_m = [b_m, q_m] given the users.

    precision_m = T⁻¹ + Σ_u w·E[ψψᵀ],   ψ_u = [1, e_u's learned part]
    precision_m · mean_m = T⁻¹·B·[1, x_m] + Σ_u (h·E[ψ] − w·E[(e_u · [1, x_m])·ψ])

Sums over users are sparse products. Does not know how the users' posteriors came about.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.recommender.mixed_effects.blocks import Block
from models.recommender.mixed_effects.logistic import Evidence
from models.recommender.mixed_effects.priors import Prior

_AT_ONCE = 16  # float32


@dataclass(frozen=True)
class Items:
    """Items' two sides: constants [..., A] = [1, x], means [..., K], covariances [..., K, K]."""

    constants: Tensor
    means: Tensor
    covariances: Tensor

    @property
    def named(self) -> int:
        """A, the length of [1, x]."""
        return self.constants.shape[-1]

    @cached_property
    def features(self) -> Tensor:
        """E[φ] = [1, x, q], [..., P]."""
        return torch.cat([self.constants, self.means[..., 1:]], dim=-1)

    @cached_property
    def moments(self) -> "Moments":
        """What the users' half-step takes of each item."""
        return Moments(torch.cat([self.features, self.means[..., :1]], dim=-1), self.covariances.flatten(-2))

    @cached_property
    def wide(self) -> Tensor:
        """E[φ̃] [..., W], W a multiple of what a processor multiplies at once; zeros at the end."""
        means = self.moments.means
        return pad(means, (0, -means.shape[-1] % _AT_ONCE))

    @cached_property
    def narrow(self) -> Tensor:
        """The same in float32."""
        return self.wide.float()

    def part(self, rows: slice) -> "Items":
        """Return the items at these rows."""
        return Items(self.constants[rows], self.means[rows], self.covariances[rows])

    def gathered(self, rows: Tensor) -> "Items":
        """Return the items at these rows, in the rows' shape."""
        return Items(*(take(each, rows) for each in (self.constants, self.means, self.covariances)))


class Moments(NamedTuple):
    """Items' moments: means E[φ̃] [..., P + 1], where φ̃ = [φ, b], and covariances of [b, q] [..., K²].

    E[φ̃φ̃ᵀ] is E[φ̃]E[φ̃]ᵀ, and in its last K rows and columns, those of [q, b], the covariance besides.
    """

    means: Tensor
    covariances: Tensor


def take(numbers: Tensor, rows: Tensor) -> Tensor:
    """Return the numbers [n, ...] at these rows, in the rows' shape."""
    return numbers.index_select(0, rows.flatten()).view(*rows.shape, *numbers.shape[1:])


@dataclass(frozen=True)
class Sums:
    """What the items' half-step needs of the users, summed over them.

    precisions Σ w·E[ggᵀ] [items, K²] of g = [1, e_q]; slopes Σ h·E[g] − Σ w·E[z·g] [items, K]; float64.
    """

    precisions: Tensor
    slopes: Tensor

    def __add__(self, other: Self) -> "Sums":
        return Sums(self.precisions + other.precisions, self.slopes + other.slopes)

    def part(self, rows: slice) -> "Sums":
        """Return what is for the items at these rows."""
        return Sums(self.precisions[rows], self.slopes[rows])


def sums(block: Block, said: Evidence, learned: Tensor, crossed: Tensor) -> Sums:
    """Return a block's sums, from E[ggᵀ] [users, K²] and E[z·[e_q, 1]] [responses, K], written over."""
    weights, pulls = said.weights.double(), said.pulls.double()
    tastes = learned[:, : crossed.shape[1]]  # E[1·g]
    slopes = block.askers.holding(pulls[block.order]) @ tastes
    crossed = block.answers.holding(weights.new_ones(len(weights))) @ crossed.mul_(weights[:, None])
    slopes -= crossed.roll(1, 1)
    return Sums(block.askers.holding(weights[block.order]) @ learned, slopes)


def update(items: Items, prior: Prior, users: Sums) -> tuple[Items, float]:
    """Return the items with new posteriors, and the sum of their covariances' log determinants."""
    size = items.means.shape[1]
    known = users.precisions.view(-1, size, size)
    # z = c + ψ·w_m: with Σ w·E[ψψᵀ]·E[w_m] added back, what is left of E[z·ψ] is E[c·ψ].
    slopes = users.slopes + (known @ items.means[..., None])[..., 0]
    factors = torch.linalg.cholesky(known + prior.precision)
    covariances = torch.cholesky_inverse(factors)
    means = (covariances @ (slopes + prior.mean @ prior.precision)[..., None])[..., 0]
    log_determinants = -2 * float(factors.diagonal(dim1=1, dim2=2).log().sum())
    return replace(items, means=means, covariances=covariances), log_determinants
