"""The users' coordinate update: the posterior of each e_u given the items, and the moments of each logit.

With weights w = E[dσ/dz] and pseudo-targets h = r − E σ(z) + w·E z of the responses
(`logistic.expectations`),

    precision_u = Σ⁻¹ + Σ_m w·E[φφᵀ]
    precision_u · mean_u = Σ⁻¹μ + Σ_m (h·E[φ] − w·E[b·φ])

Users are updated in batches of about as many responses each, so nothing loops over users. With the items held
the bound is concave in mean_u and the covariance's Cholesky factor, so `fold_in` has one result wherever it
starts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.recommender.mixed_effects.blocks import Batch
from models.recommender.mixed_effects.fixed_point import Update, solve_fixed_points
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.logistic import expectations
from models.recommender.mixed_effects.priors import Prior

_TOLERANCE = 1e-8
_MOST_IN_FLOAT32 = 10_000  # responses of a user; their sums in float32 have a relative error of about 1e-6


@dataclass(frozen=True)
class Posterior:
    """The posteriors of a batch's users after an update, and the moments of their logits.

    means [n, P], covariances [n, P, P], factors: the precisions' Cholesky factors; squares E[z²] [n, length]
    without the part of the items' covariances; moments E[ẽẽᵀ] [n, P + 1, P + 1] with ẽ = [e, 1];
    products E[z·ẽ] [n, length, W ≥ P + 1], padded with zeros.
    """

    means: Tensor
    covariances: Tensor
    factors: Tensor
    squares: Tensor
    moments: Tensor
    products: Tensor

    @property
    def log_determinants(self) -> Tensor:
        """The covariances' log determinants [n]."""
        return -2 * self.factors.diagonal(dim1=1, dim2=2).log().sum(-1)

    @property
    def logits(self) -> Tensor:
        """E[z] [n, length]."""
        return self.products[..., self.means.shape[1]]

    def second_moments(self, named_size: int) -> Tensor:
        """Return E[ggᵀ] [n, K²] of g = [1, e_q], the factor of an item's covariance of [b, q]."""
        return self.moments[:, named_size:, named_size:].roll((1, 1), (1, 2)).flatten(1)

    def cross_moments(self, named_size: int) -> Tensor:
        """Return E[z·[e_q, 1]] [n, length, K], which the items' update needs."""
        return self.products[..., named_size : self.means.shape[1] + 1]


class Workspace:
    """Memory for a batch's padded rows, used again: allocating it would take as long as computing in it."""

    def __init__(self, batches: Iterable[Batch], width: int, dtype: torch.dtype) -> None:
        rows = max(len(batch.item_rows) for batch in batches)
        self._arrays = torch.empty(3, rows, width, dtype=dtype)

    def arrays(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return three uninitialised arrays [n, length, W] for a batch."""
        count, width = len(batch.item_rows), self._arrays.shape[2]
        first, second, third = self._arrays[:, :count].view(3, -1, batch.length, width)
        return first, second, third


def sum_dtype(batches: Iterable[Batch]) -> torch.dtype:
    """Return float64 where the rounding of float32 sums is not negligible against Σ⁻¹, float32 elsewhere."""
    return torch.float64 if any(batch.length > _MOST_IN_FLOAT32 for batch in batches) else torch.float32


def update(
    batch: Batch,
    items: Items,
    prior: Prior,
    weights: Tensor,
    pseudo_targets: Tensor,
    weighted_covariances: Tensor,
    workspace: Workspace,
) -> Posterior:
    """Update the batch's users once, given the weights and pseudo-targets [responses] of their responses.

    ``weighted_covariances`` [n, K²] is Σ w times the items' covariances of [b, q]. Their part in E[z²] is
    left out: both are one sparse product for all users of a block. Work per response is in the workspace's
    dtype (`sum_dtype`), and the posterior's products stay there; `fold_in` does all in float64.
    """
    arrays = _gather(batch, items, workspace)
    return _update(arrays, weighted_covariances, prior, batch.padded(weights), batch.padded(pseudo_targets))


def fold_in(
    batch: Batch,
    items: Items,
    prior: Prior,
    answers: Tensor,
    weights: Tensor,
    pseudo_targets: Tensor,
    workspace: Workspace,
) -> Posterior:
    """Update the batch's users until convergence; answers, weights, pseudo-targets float64 [responses]."""
    covariances = items.moments.covariances
    arrays = _gather(batch, items, workspace)

    def step(point: Tensor) -> Update[Posterior]:
        weights, pseudo_targets = point[:, : batch.length].clamp(min=0), point[:, batch.length :]
        weighted_covariances = batch.user_item.with_values(batch.unpadded(weights)) @ covariances
        posterior = _update(arrays, weighted_covariances, prior, weights, pseudo_targets)
        squares = batch.user_item.with_values(batch.unpadded(posterior.squares))
        second_moments = posterior.second_moments(items.named_size)
        squares = torch.sparse.sampled_addmm(squares, second_moments, covariances.T).values()
        logits = batch.unpadded(posterior.logits)
        expected = expectations(answers, logits, squares - logits**2)
        image = torch.cat([batch.padded(expected.weights), batch.padded(expected.pseudo_targets)], dim=1)
        log_likelihood = batch.padded(expected.log_likelihood).sum(1)
        return Update(posterior, image, log_likelihood - _divergences(posterior, prior))

    start = torch.cat([batch.padded(weights), batch.padded(pseudo_targets)], dim=1)
    return solve_fixed_points(step, start, _TOLERANCE)


def _gather(batch: Batch, items: Items, workspace: Workspace) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[φ̃] [n, length, W] in padded rows, and two more arrays of that shape to compute in."""
    arrays = workspace.arrays(batch)
    means = items.padded_float32 if arrays[0].dtype == torch.float32 else items.padded_float64
    torch.index_select(means, 0, batch.item_rows, out=arrays[0].flatten(0, 1))
    return arrays


def _divergences(posterior: Posterior, prior: Prior) -> Tensor:
    """Return KL(posterior ‖ prior) [n], up to a constant."""
    deviations = posterior.means - prior.mean
    quadratic = ((deviations @ prior.precision) * deviations).sum(1)
    traces = (posterior.covariances * prior.precision).sum((1, 2))
    return (quadratic + traces - posterior.log_determinants) / 2


def _update(
    arrays: tuple[Tensor, Tensor, Tensor],
    weighted_covariances: Tensor,
    prior: Prior,
    weights: Tensor,
    pseudo_targets: Tensor,
) -> Posterior:
    """Update the users from weights and pseudo-targets [n, length]; for ``arrays`` see `_gather`."""
    features, workspace, products = arrays
    size, sides = len(prior.mean), isqrt(weighted_covariances.shape[1])
    torch.mul(features, weights[..., None], out=workspace)
    sums = torch.bmm(workspace.mT, features)[:, : size + 1, : size + 1].double()
    sums[:, -sides:, -sides:] += weighted_covariances.view(-1, sides, sides).roll((-1, -1), (1, 2))
    slopes = torch.bmm(pseudo_targets[:, None], features)[:, 0, :size].double() - sums[:, :size, size]
    factors = torch.linalg.cholesky(sums[:, :size, :size] + prior.precision)
    covariances = torch.cholesky_inverse(factors)
    means = (covariances @ (slopes + prior.precision @ prior.mean)[..., None])[..., 0]
    means_and_one = pad(means, (0, features.shape[2] - size))  # E[ẽ], ẽ = [e, 1]
    means_and_one[:, size] = 1.0
    moments = means_and_one[:, :, None] * means_and_one[:, None, :]
    moments[:, :size, :size] += covariances
    torch.bmm(features, moments.to(features.dtype), out=products)
    squares = torch.mul(products, features, out=workspace).sum(-1)
    return Posterior(means, covariances, factors, squares, moments[:, : size + 1, : size + 1], products)
