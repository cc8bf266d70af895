"""The users' half-step: the posterior of each e_u given the items, and what it says of each response.

With weights w = E[dσ/dz] and pulls h = r − E σ(z) + w·E z of the responses (`logistic.evidence`),

    precision_u = Σ⁻¹ + Σ_m w·E[φφᵀ]
    precision_u · mean_u = Σ⁻¹μ + Σ_m (h·E[φ] − w·E[b·φ])

Users are computed in batches of about as many responses each, so nothing loops over users. For the items held
where they are the bound is concave in mean_u and the covariance's Cholesky factor, so `settled` ends at one
point wherever it starts. Does not know how the items' posteriors came about.
"""

from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from models.mixed_effects.blocks import Batch
from models.mixed_effects.fixed_point import Update, settle
from models.mixed_effects.items import Items
from models.mixed_effects.logistic import evidence
from models.mixed_effects.priors import Prior

_SETTLED = 1e-8
_LONG = 10_000  # responses; their sums in float32 are known to 1e-6 of themselves or so


@dataclass(frozen=True)
class Posterior:
    """What is known of a batch's users after an update, and of their responses.

    means [n, P], covariances [n, P, P], factors: the precisions' Cholesky factors; squares E[z²] [n, most],
    the items' covariances left out.
    moments E[ẽẽᵀ] [n, P + 1, P + 1] with ẽ = [e, 1]; products E[z·ẽ] [n, most, W ≥ P + 1], zeros at the end.
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
        """E[z] [n, most]."""
        return self.products[..., self.means.shape[1]]

    def learned(self, named: int) -> Tensor:
        """Return E[ggᵀ] [n, K²] of g = [e_q, 1], what an item's covariance of [q, b] meets."""
        return self.moments[:, named:, named:].flatten(1)

    def crossed(self, named: int) -> Tensor:
        """Return E[z·g] [n, most, K], which the items' half-step needs."""
        return self.products[..., named : self.means.shape[1] + 1]


def is_long(batch: Batch) -> bool:
    """Return whether the rounding of float32 sums could be felt beside Σ⁻¹."""
    return batch.most > _LONG


def update(
    batch: Batch, items: Items, prior: Prior, weights: Tensor, pulls: Tensor, spread: Tensor
) -> Posterior:
    """Update the batch's users once, given the weights and pulls [responses] of their responses.

    ``spread`` [n, K²] is Σ w times the items' covariances of [q, b]. Their part in E[z²] is left out: both
    are one sparse product for all users of a block. What is done a response is done in float32, but for the
    long; `settled` has the last word in float64.
    """
    means = items.moments.means if is_long(batch) else items.narrow
    there = means.index_select(0, batch.item_rows).view(-1, batch.most, means.shape[1])
    return _update(there, spread, prior, batch.lined(weights), batch.lined(pulls))


def settled(
    batch: Batch, items: Items, prior: Prior, answers: Tensor, weights: Tensor, pulls: Tensor
) -> Posterior:
    """Update the batch's users until nothing moves, from weights and pulls; all [responses], float64."""
    means, covariances = items.moments
    there = means.index_select(0, batch.item_rows).view(-1, batch.most, means.shape[1])

    def once(point: Tensor) -> Update[Posterior]:
        weights, pulls = point[:, : batch.most].clamp(min=0), point[:, batch.most :]
        spread = batch.asked.holding(batch.unlined(weights)) @ covariances
        posterior = _update(there, spread, prior, weights, pulls)
        squares = batch.asked.holding(batch.unlined(posterior.squares))
        squares = torch.sparse.sampled_addmm(squares, posterior.learned(items.named), covariances.T).values()
        logits = batch.unlined(posterior.logits)
        found = evidence(answers, logits, squares - logits**2)
        image = torch.cat([batch.lined(found.weights), batch.lined(found.pulls)], dim=1)
        likelihood = batch.lined(found.likelihood).sum(1)
        return Update(posterior, image, likelihood - _divergences(posterior, prior))

    return settle(once, torch.cat([batch.lined(weights), batch.lined(pulls)], dim=1), _SETTLED)


def _divergences(posterior: Posterior, prior: Prior) -> Tensor:
    """Return KL(posterior ‖ prior) [n], less what is the same for every posterior."""
    deviations = posterior.means - prior.mean
    quadratic = ((deviations @ prior.precision) * deviations).sum(1)
    traces = (posterior.covariances * prior.precision).sum((1, 2))
    return (quadratic + traces - posterior.log_determinants) / 2


def _update(there: Tensor, spread: Tensor, prior: Prior, weights: Tensor, pulls: Tensor) -> Posterior:
    """Update the users; ``there`` E[φ̃] [n, most, W] are the items' means in the batch's places."""
    size, sides = len(prior.mean), isqrt(spread.shape[1])
    sums = ((there * weights.to(there.dtype)[..., None]).mT @ there)[:, : size + 1, : size + 1].double()
    sums[:, -sides:, -sides:] += spread.view(-1, sides, sides)
    slopes = (pulls[:, None].to(there.dtype) @ there)[:, 0, :size].double() - sums[:, :size, size]
    factors = torch.linalg.cholesky(sums[:, :size, :size] + prior.precision)
    inverses = torch.cholesky_inverse(factors)
    means = (inverses @ (slopes + prior.precision @ prior.mean)[..., None])[..., 0]
    with_one = torch.cat([means, means.new_ones(len(means), 1)], dim=1)
    moments = with_one[:, :, None] * with_one[:, None, :]
    moments[:, :-1, :-1] += inverses
    wide = there.new_zeros(len(means), there.shape[2], there.shape[2])
    wide[:, : size + 1, : size + 1] = moments
    products = there @ wide
    squares = torch.linalg.vecdot(products, there)
    return Posterior(means, inverses, factors, squares, moments, products)
