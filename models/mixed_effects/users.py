"""The users' half-step: the posterior of each e_u given the items, and what it says of each response.

With the bound of Jaakkola and Jordan, λ(ξ) = tanh(ξ/2) / (4ξ), and h = r − ½,

    precision_u = Σ⁻¹ + Σ_m 2λ·E[φφᵀ]
    precision_u · mean_u = Σ⁻¹μ + Σ_m (h·E[φ] − 2λ·E[b·φ])
    ξ² = E[z²]

Users are computed in batches of about as many responses each, so nothing loops over users. For the items held
where they are the bound is concave in mean_u and the covariance's Cholesky factor, so `settle` ends at one
point wherever it starts. Does not know how the items' posteriors came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import torch
from torch import Tensor

from models.mixed_effects.items import Items, take
from models.mixed_effects.priors import Prior
from models.responses import Responses

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array of a batch
_SETTLED, _MOST_UPDATES = 1e-9, 300
_NEAR = 1e-2  # from here on the curvature stays what it was
_LONG = 10_000  # responses; their sums in float32 are known to 1e-6 of themselves or so
_FLAT = 1e-4  # below, tanh(ξ/2) / (2ξ) is ¼ to the last digit but two


@dataclass(frozen=True)
class Batch:
    """Users with about as many responses: their rows [n], and for each a line of responses, padded.

    positions int64 [n, most]: where the responses stand; item_rows likewise; present: 1.0 or, padded, 0.0.
    """

    users: Tensor
    positions: Tensor
    item_rows: Tensor
    present: Tensor
    halves: Tensor  # r − ½, 0 where padded

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
    halves = torch.where(present, responses.values.double()[positions] - 0.5, 0.0)
    return Batch(users, positions, responses.item_rows[positions], present.double(), halves)


def twice_lambda(xi: Tensor) -> Tensor:
    """Return 2λ(ξ) = tanh(ξ/2) / (2ξ), ¼ at zero."""
    bounded = xi.clamp(min=_FLAT)
    return torch.tanh(bounded / 2) / (2 * bounded)


def update(batch: Batch, items: Items, prior: Prior, xi: Tensor, spread: Tensor) -> Posterior:
    """Update the batch's users once, given ξ [n, most] of their responses.

    ``spread`` [n, K²] is Σ 2λ times the items' covariances of [q, b]. Their part in E[z²] is left out: both
    are one sparse product for all users together. What is done a response is done in float32, but for users
    so long that the rounding of their sums could be felt beside Σ⁻¹; `settle` has the last word in float64.
    """
    means = items.moments.means if batch.positions.shape[1] > _LONG else items.narrow
    return _update(batch, take(means, batch.item_rows), spread, prior, xi)


def settle(batch: Batch, items: Items, prior: Prior, xi: Tensor) -> tuple[Posterior, Tensor]:
    """Update the batch's users until ξ [n, most] stands still; return the posterior with its ξ.

    The mean's step is Newton's, as in `relearning`, with the curvature of the first update that came near. A
    batch where the changes grow has it no more: the half-step alone gets there too, later.
    """
    there, covariances = (take(each, batch.item_rows) for each in items.moments)

    def once(xi: Tensor, newton: tuple[Tensor, Tensor] | None) -> tuple[Posterior, Tensor]:
        weights = twice_lambda(xi) * batch.present
        posterior = _update(batch, there, (weights[:, None] @ covariances)[:, 0], prior, xi, newton)
        squares = posterior.squares + (covariances @ posterior.learned(items.named)[..., None])[..., 0]
        return posterior, squares.clamp(min=0).sqrt() * batch.present

    inverse, before, farther = None, torch.inf, False
    posterior, image = once(xi, None)
    for _ in range(_MOST_UPDATES):
        change = _largest((image - xi) * batch.present)
        if change <= _SETTLED:
            break
        farther = farther or change > 2 * before
        if farther:
            inverse = None
        elif inverse is None or change > _NEAR:
            inverse = _inverse_curvature(posterior, covariances, xi, batch.present)
        xi, before = image, change
        posterior, image = once(xi, None if inverse is None else (posterior.means, inverse))
    return posterior, image


def _largest(numbers: Tensor) -> float:
    return float(numbers.abs().max()) if numbers.numel() else 0.0


def _inverse_curvature(
    posterior: Posterior, covariances: Tensor, xi: Tensor, present: Tensor
) -> Tensor | None:
    """Return the inverse of the bound's curvature in the means as ξ follows [n, P, P], if it has one."""
    half = (xi / 2).clamp(min=_FLAT)
    tanh = torch.tanh(half)
    factors = ((1 - tanh**2) - tanh / half) / (16 * half**2) * present
    sides = isqrt(covariances.shape[-1])
    learned = posterior.moments[:, -1, -sides:]
    slopes = posterior.items * posterior.logits[..., None]
    slopes[..., -sides:] += (covariances.view(*xi.shape, sides, sides) @ learned[:, None, :, None])[..., 0]
    bend = ((slopes * factors[..., None]).mT @ slopes)[:, :-1, :-1]
    factor, failed = torch.linalg.cholesky_ex(posterior.factors @ posterior.factors.mT + bend)
    return None if bool(failed.any()) else torch.cholesky_inverse(factor)


def _update(
    batch: Batch,
    there: Tensor,
    spread: Tensor,
    prior: Prior,
    xi: Tensor,
    newton: tuple[Tensor, Tensor] | None = None,
) -> Posterior:
    """Update the users; ``there`` E[φ̃] [n, most, P + 1] are the items' means in the batch's places.

    With means [n, P] and the bound's inverse curvature there [n, P, P] the step is Newton's.
    """
    sides = isqrt(spread.shape[1])
    weights = twice_lambda(xi) * batch.present
    sums = ((there * weights.to(there.dtype)[..., None]).mT @ there).double()
    sums[:, -sides:, -sides:] += spread.view(-1, sides, sides)
    slopes = (
        (batch.halves[:, None].to(there.dtype) @ there)[:, 0, :-1].double()
        - sums[:, :-1, -1]
        + prior.precision @ prior.mean
    )
    precisions = sums[:, :-1, :-1] + prior.precision
    factors = torch.linalg.cholesky(precisions)
    inverses = torch.cholesky_inverse(factors)
    if newton is None:
        means = (inverses @ slopes[..., None])[..., 0]
    else:
        before, inverse = newton
        left = slopes[..., None] - precisions @ before[..., None]
        means = before + (inverse @ left)[..., 0]
    with_one = torch.cat([means, means.new_ones(len(means), 1)], dim=1)
    moments = with_one[:, :, None] * with_one[:, None, :]
    moments[:, :-1, :-1] += inverses
    products = there @ moments.to(there.dtype)
    squares = torch.linalg.vecdot(products, there)
    return Posterior(means, inverses, factors, squares, there, moments, products)
