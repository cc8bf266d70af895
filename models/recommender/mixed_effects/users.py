"""The users' half-step: the posterior of each e_u given the items, and what it says of each response.

With weights w = E[dσ/dz] and pulls h = r − E σ(z) + w·E z of the responses (`logistic.evidence`),

    precision_u = Σ⁻¹ + Σ_m w·E[φφᵀ]
    precision_u · mean_u = Σ⁻¹μ + Σ_m (h·E[φ] − w·E[b·φ])

Users are computed in batches of about as many responses each, so nothing loops over users. For the items held
where they are the bound is concave in mean_u and the covariance's Cholesky factor, so `settled` ends at one
point wherever it starts. Does not know how the items' posteriors came about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.recommender.mixed_effects.blocks import Batch
from models.recommender.mixed_effects.fixed_point import Update, settle
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.logistic import evidence
from models.recommender.mixed_effects.priors import Prior

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
        """Return E[ggᵀ] [n, K²] of g = [1, e_q], what an item's covariance of [b, q] meets."""
        return self.moments[:, named:, named:].roll((1, 1), (1, 2)).flatten(1)

    def crossed(self, named: int) -> Tensor:
        """Return E[z·[e_q, 1]] [n, most, K], which the items' half-step needs."""
        return self.products[..., named : self.means.shape[1] + 1]


class Room:
    """Memory for a batch's lines, used again: new memory would cost as much as what is computed in it."""

    def __init__(self, batches: Iterable[Batch], width: int, dtype: torch.dtype) -> None:
        most = max(len(batch.item_rows) for batch in batches)
        self._lines = torch.empty(3, most, width, dtype=dtype)

    def lines(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return room for three numbers [n, most, W] of a batch, with whatever was there before."""
        count, width = len(batch.item_rows), self._lines.shape[2]
        first, second, third = self._lines[:, :count].view(3, -1, batch.most, width)
        return first, second, third


def precision(batches: Iterable[Batch]) -> torch.dtype:
    """Return float64 where the rounding of float32 sums could be felt beside Σ⁻¹, float32 elsewhere."""
    return torch.float64 if any(batch.most > _LONG for batch in batches) else torch.float32


def update(
    batch: Batch, items: Items, prior: Prior, weights: Tensor, pulls: Tensor, spread: Tensor, room: Room
) -> Posterior:
    """Update the batch's users once, given the weights and pulls [responses] of their responses.

    ``spread`` [n, K²] is Σ w times the items' covariances of [b, q]. Their part in E[z²] is left out: both
    are one sparse product for all users of a block. What is done a response is done in the ``room``'s
    `precision`, and the posterior's products stay there; `settled` has the last word in float64.
    """
    lines = _gathered(batch, items, room)
    return _update(lines, spread, prior, batch.lined(weights), batch.lined(pulls))


def settled(
    batch: Batch, items: Items, prior: Prior, answers: Tensor, weights: Tensor, pulls: Tensor, room: Room
) -> Posterior:
    """Update the batch's users until nothing moves, from weights and pulls; all [responses], float64."""
    covariances = items.moments.covariances
    lines = _gathered(batch, items, room)

    def once(point: Tensor) -> Update[Posterior]:
        weights, pulls = point[:, : batch.most].clamp(min=0), point[:, batch.most :]
        spread = batch.asked.holding(batch.unlined(weights)) @ covariances
        posterior = _update(lines, spread, prior, weights, pulls)
        squares = batch.asked.holding(batch.unlined(posterior.squares))
        squares = torch.sparse.sampled_addmm(squares, posterior.learned(items.named), covariances.T).values()
        logits = batch.unlined(posterior.logits)
        found = evidence(answers, logits, squares - logits**2)
        image = torch.cat([batch.lined(found.weights), batch.lined(found.pulls)], dim=1)
        likelihood = batch.lined(found.likelihood).sum(1)
        return Update(posterior, image, likelihood - _divergences(posterior, prior))

    return settle(once, torch.cat([batch.lined(weights), batch.lined(pulls)], dim=1), _SETTLED)


def _gathered(batch: Batch, items: Items, room: Room) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[φ̃] [n, most, W] in the batch's places, and room for twice as much."""
    lines = room.lines(batch)
    means = items.narrow if lines[0].dtype == torch.float32 else items.wide
    torch.index_select(means, 0, batch.item_rows, out=lines[0].flatten(0, 1))
    return lines


def _divergences(posterior: Posterior, prior: Prior) -> Tensor:
    """Return KL(posterior ‖ prior) [n], less what is the same for every posterior."""
    deviations = posterior.means - prior.mean
    quadratic = ((deviations @ prior.precision) * deviations).sum(1)
    traces = (posterior.covariances * prior.precision).sum((1, 2))
    return (quadratic + traces - posterior.log_determinants) / 2


def _update(
    lines: tuple[Tensor, Tensor, Tensor], spread: Tensor, prior: Prior, weights: Tensor, pulls: Tensor
) -> Posterior:
    """Update the users; ``lines`` are E[φ̃] [n, most, W] in the batch's places, and room for twice as much."""
    there, room, products = lines
    size, sides = len(prior.mean), isqrt(spread.shape[1])
    torch.mul(there, weights[..., None], out=room)
    sums = torch.bmm(room.mT, there)[:, : size + 1, : size + 1].double()
    sums[:, -sides:, -sides:] += spread.view(-1, sides, sides).roll((-1, -1), (1, 2))
    slopes = torch.bmm(pulls[:, None], there)[:, 0, :size].double() - sums[:, :size, size]
    factors = torch.linalg.cholesky(sums[:, :size, :size] + prior.precision)
    inverses = torch.cholesky_inverse(factors)
    means = (inverses @ (slopes + prior.precision @ prior.mean)[..., None])[..., 0]
    with_one = pad(means, (0, there.shape[2] - size))
    with_one[:, size] = 1.0
    moments = with_one[:, :, None] * with_one[:, None, :]
    moments[:, :size, :size] += inverses
    torch.bmm(there, moments.to(there.dtype), out=products)
    squares = torch.mul(products, there, out=room).sum(-1)
    return Posterior(means, inverses, factors, squares, moments[:, : size + 1, : size + 1], products)
