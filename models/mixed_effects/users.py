"""The users' half-step: the posterior of each e_u given the items, and what it says of each response.

With weights w = E[dσ/dz] and pulls h = r − E σ(z) + w·E z of the responses (`logistic.evidence`),

    precision_u = Σ⁻¹ + Σ_m w·E[φφᵀ]
    precision_u · mean_u = Σ⁻¹μ + Σ_m (h·E[φ] − w·E[b·φ])

Users are computed in batches of about as many responses each, so nothing loops over users. For the items held
where they are the bound is concave in mean_u and the covariance's Cholesky factor, so `settled` ends at one
point wherever it starts. Does not know how the items' posteriors came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import torch
from torch import Tensor

from models.mixed_effects.fixed_point import Update, settle
from models.mixed_effects.items import Items, take
from models.mixed_effects.logistic import evidence
from models.mixed_effects.priors import Prior
from models.responses import Responses

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array of a batch
_SETTLED = 1e-8
_LONG = 10_000  # responses; their sums in float32 are known to 1e-6 of themselves or so


@dataclass(frozen=True)
class Batch:
    """Users with about as many responses: their rows [n], and for each a line of responses, padded.

    positions int64 [n, most]: where the responses stand; item_rows likewise; present: 1.0 or, padded, 0.0.
    """

    users: Tensor
    positions: Tensor
    item_rows: Tensor
    present: Tensor
    answers: Tensor  # r, 0 where padded

    @cached_property
    def places(self) -> Tensor:
        """Where the responses stand among the flattened lines, int64 [responses]."""
        return torch.nonzero(self.present.flatten())[:, 0]

    @cached_property
    def places_of_all(self) -> Tensor:
        """Where the responses at `places` stand among all users': int64 [responses]."""
        return self.positions.flatten()[self.places]


@dataclass(frozen=True)
class Posterior:
    """What is known of a batch's users after an update, and of their responses.

    means [n, P], covariances [n, P, P], factors: the precisions' Cholesky factors; squares E[z²] [n, most],
    the items' covariances left out.
    items E[φ̃] [n, most, P + 1], moments E[ẽẽᵀ] [n, P + 1, P + 1] with ẽ = [e, 1], products: one times other.
    """

    means: Tensor
    covariances: Tensor
    factors: Tensor
    squares: Tensor
    items: Tensor
    moments: Tensor
    products: Tensor

    @property
    def log_determinants(self) -> Tensor:
        """The covariances' log determinants [n]."""
        return -2 * self.factors.diagonal(dim1=1, dim2=2).log().sum(-1)

    @property
    def logits(self) -> Tensor:
        """E[z] [n, most]."""
        return self.products[..., -1]

    def learned(self, named: int) -> Tensor:
        """Return E[ggᵀ] [n, K²] of g = [e_q, 1], what an item's covariance of [q, b] meets."""
        return self.moments[:, named:, named:].flatten(1)

    def crossed(self, named: int) -> Tensor:
        """Return E[(e · [1, x])·[1, e_q]] [n, most, K], which the items' half-step needs."""
        learned = self.items[..., named:] @ self.moments[:, named:, named:].to(self.items.dtype)
        return (self.products[..., named:] - learned).roll(1, -1)


def batches(responses: Responses, size: int) -> Iterator[Batch]:
    """Yield all users in batches; ``size`` is P, the length of e_u."""
    counts = responses.offsets.diff()
    order = torch.argsort(counts, stable=True)
    lengths = counts[order].tolist()
    start = 0
    while start < len(lengths):
        longest = max(1.25 * lengths[start], lengths[start] + 4)
        stop = start + 1
        while (
            stop < len(lengths) and lengths[stop] <= longest and _fits(stop + 1 - start, lengths[stop], size)
        ):
            stop += 1
        yield _batch(responses, order[start:stop], lengths[stop - 1])
        start = stop


def _fits(users: int, most: int, size: int) -> bool:
    return users * size * max(most, size) <= _NUMBERS_AT_ONCE


def _batch(responses: Responses, users: Tensor, most: int) -> Batch:
    line = torch.arange(most)
    present = line < responses.offsets.diff()[users][:, None]
    positions = torch.where(present, responses.offsets[users][:, None] + line, 0)
    answers = torch.where(present, responses.values.double()[positions], 0.0)
    return Batch(users, positions, responses.item_rows[positions], present.double(), answers)


def update(
    batch: Batch, items: Items, prior: Prior, weights: Tensor, pulls: Tensor, spread: Tensor
) -> Posterior:
    """Update the batch's users once, given the weights and pulls [n, most] of their responses.

    ``spread`` [n, K²] is Σ w times the items' covariances of [q, b]. Their part in E[z²] is left out: both
    are one sparse product for all users together. What is done a response is done in float32, but for users
    so long that the rounding of their sums could be felt beside Σ⁻¹; `settled` has the last word in float64.
    """
    means = items.moments.means if batch.positions.shape[1] > _LONG else items.narrow
    there = take(means, batch.item_rows)
    return _update(there, spread, prior, weights * batch.present, pulls * batch.present)


def settled(batch: Batch, items: Items, prior: Prior, weights: Tensor, pulls: Tensor) -> Posterior:
    """Update the batch's users until nothing moves, starting from these weights and pulls [n, most]."""
    there, covariances = (take(each, batch.item_rows) for each in items.moments)
    most = batch.positions.shape[1]

    def once(point: Tensor) -> Update[Posterior]:
        weights, pulls = point[:, :most].clamp(min=0), point[:, most:]
        posterior = _update(there, (weights[:, None] @ covariances)[:, 0], prior, weights, pulls)
        learned = posterior.learned(items.named)[..., None]
        squares = posterior.squares + (covariances @ learned)[..., 0]
        means = posterior.logits
        found = evidence(batch.answers, means, squares - means**2)
        image = torch.cat([found.weights, found.pulls], dim=1) * batch.present.repeat(1, 2)
        likelihood = (found.likelihood * batch.present).sum(1)
        return Update(posterior, image, likelihood - _divergences(posterior, prior))

    start = torch.cat([weights, pulls], dim=1) * batch.present.repeat(1, 2)
    return settle(once, start, _SETTLED)


def _divergences(posterior: Posterior, prior: Prior) -> Tensor:
    """Return KL(posterior ‖ prior) [n], less what is the same for every posterior."""
    deviations = posterior.means - prior.mean
    quadratic = ((deviations @ prior.precision) * deviations).sum(1)
    traces = (posterior.covariances * prior.precision).sum((1, 2))
    return (quadratic + traces - posterior.log_determinants) / 2


def _update(there: Tensor, spread: Tensor, prior: Prior, weights: Tensor, pulls: Tensor) -> Posterior:
    """Update the users; ``there`` E[φ̃] [n, most, P + 1] are the items' means in the batch's places."""
    sides = isqrt(spread.shape[1])
    sums = ((there * weights.to(there.dtype)[..., None]).mT @ there).double()
    sums[:, -sides:, -sides:] += spread.view(-1, sides, sides)
    slopes = (pulls[:, None].to(there.dtype) @ there)[:, 0, :-1].double() - sums[:, :-1, -1]
    factors = torch.linalg.cholesky(sums[:, :-1, :-1] + prior.precision)
    inverses = torch.cholesky_inverse(factors)
    means = (inverses @ (slopes + prior.precision @ prior.mean)[..., None])[..., 0]
    with_one = torch.cat([means, means.new_ones(len(means), 1)], dim=1)
    moments = with_one[:, :, None] * with_one[:, None, :]
    moments[:, :-1, :-1] += inverses
    products = there @ moments.to(there.dtype)
    squares = torch.linalg.vecdot(products, there)
    return Posterior(means, inverses, factors, squares, there, moments, products)
