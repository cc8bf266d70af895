"""The items' half-step: the posterior of each w_m = [b_m, q_m] given the users.

    precision_m = T⁻¹ + Σ_u w·E[ψψᵀ],   ψ_u = [1, e_u's learned part]
    precision_m · mean_m = T⁻¹·B·[1, x_m] + Σ_u (h·E[ψ] − w·E[(e_u · [1, x_m])·ψ])

Sums over users are sparse products. Does not know how the users' posteriors came about.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from models.mixed_effects.priors import Prior
from models.responses import Responses


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
        """What the users' half-step takes of each item; for it [q, b] is the better order of a side."""
        return Moments(
            torch.cat([self.features, self.means[..., :1]], dim=-1),
            self.covariances.roll((-1, -1), (-2, -1)).flatten(-2),
        )

    @cached_property
    def narrow(self) -> Tensor:
        """E[φ̃] [..., P + 1] in float32."""
        return self.moments.means.float()

    def gathered(self, rows: Tensor) -> "Items":
        """Return the items at these rows, in the rows' shape."""
        return Items(*(take(each, rows) for each in (self.constants, self.means, self.covariances)))


class Moments(NamedTuple):
    """Items' moments: means E[φ̃] [..., P + 1], where φ̃ = [φ, b], and covariances of [q, b] [..., K²].

    E[φ̃φ̃ᵀ] is E[φ̃]E[φ̃]ᵀ, and in its last K rows and columns the covariance besides.
    """

    means: Tensor
    covariances: Tensor


def take(numbers: Tensor, rows: Tensor) -> Tensor:
    """Return the numbers [n, ...] at these rows, in the rows' shape."""
    return numbers.index_select(0, rows.flatten()).view(*rows.shape, *numbers.shape[1:])


@dataclass(frozen=True)
class Asked:
    """Which users answered each item: a sparse matrix items × users, and where each response stands."""

    offsets: Tensor
    user_rows: Tensor
    positions: Tensor
    users: int

    @classmethod
    def of(cls, responses: Responses) -> "Asked":
        """Turn the responses' matrix on its side."""
        positions = torch.argsort(responses.item_rows, stable=True)
        counts = torch.bincount(responses.item_rows, minlength=responses.items)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(offsets, responses.user_rows[positions], positions, responses.users)

    def sum_over_users(self, values: Tensor, numbers: Tensor) -> Tensor:
        """Return Σ_u value_um · numbers_u [items, n] from values [responses] and numbers [users, n]."""
        shape = (self.offsets.shape[0] - 1, self.users)
        matrix = torch.sparse_csr_tensor(
            self.offsets, self.user_rows, values[self.positions], shape, check_invariants=False
        )
        return matrix @ numbers

    def sum_over_responses(self, numbers: Tensor) -> Tensor:
        """Return the sums by item [items, n] of numbers [responses, n]."""
        shape = (self.offsets.shape[0] - 1, numbers.shape[0])
        matrix = torch.sparse_csr_tensor(
            self.offsets,
            self.positions,
            numbers.new_ones(numbers.shape[0]),
            shape,
            check_invariants=False,
        )
        return matrix @ numbers


def update(
    items: Items,
    asked: Asked,
    prior: Prior,
    pulls: Tensor,
    weights: Tensor,
    crossed: Tensor,
    tastes: Tensor,
    learned: Tensor,
) -> tuple[Items, float]:
    """Return the items with new posteriors, and the sum of their covariances' log determinants.

    pulls h and weights w of `logistic.evidence`, both [responses]; crossed [responses, K] of
    `users.Posterior`; tastes E[ψ] [users, K] and learned E[ggᵀ] [users, K²] of it, with the constant last.
    """
    size = items.means.shape[1]
    precision = prior.precision
    squared = learned.view(-1, size, size).roll((1, 1), (1, 2)).flatten(1)  # E[ψψᵀ]
    precisions = asked.sum_over_users(weights, squared).view(-1, size, size).add_(precision)
    slopes = asked.sum_over_users(pulls, tastes) - asked.sum_over_responses(weights[:, None] * crossed)
    factors = torch.linalg.cholesky(precisions)
    covariances = torch.cholesky_inverse(factors)
    means = (covariances @ (slopes + prior.mean @ precision)[..., None])[..., 0]
    log_determinants = -2 * float(factors.diagonal(dim1=1, dim2=2).log().sum())
    return replace(items, means=means, covariances=covariances), log_determinants
