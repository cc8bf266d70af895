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
from functools import lru_cache

import torch
from torch import Tensor

from models.mixed_effects.items import Items, Moments
from models.mixed_effects.priors import Prior
from models.responses import Responses

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array of a batch
_SETTLED, _MOST_UPDATES = 1e-9, 300
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


@dataclass(frozen=True)
class Posterior:
    """What is known of a batch's users after an update, and of their responses.

    means [n, P], covariances [n, P, P], factors: the precisions' Cholesky factors; logits E[z] and squares
    E[z²], each [n, most]. features E[φ], products E[eeᵀ]·E[φ] and parts E[e]·E[φ] are what these came from.
    """

    means: Tensor
    covariances: Tensor
    factors: Tensor
    logits: Tensor
    squares: Tensor
    features: Tensor
    products: Tensor
    parts: Tensor

    @property
    def log_determinants(self) -> Tensor:
        """The covariances' log determinants [n]."""
        return -2 * self.factors.diagonal(dim1=1, dim2=2).log().sum(-1)

    def crossed(self, named: int) -> Tensor:
        """Return E[(e · [1, x])·[1, e_q]] [n, most, K], which the items' half-step needs."""
        learned, tastes = self.features[..., named:], self.means[:, named:]
        squared = self.covariances[:, named:, named:] + tastes[:, :, None] * tastes[:, None, :]
        plain = self.parts - (learned @ tastes[..., None])[..., 0]
        return torch.cat([plain[..., None], self.products[..., named:] - learned @ squared], dim=-1)


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


def update(batch: Batch, items: Items, prior: Prior, xi: Tensor) -> Posterior:
    """Update the batch's users once, given ξ [n, most] of their responses."""
    return _update(batch, items.moments.gathered(batch.item_rows), prior, prior.precision, xi)


def settle(batch: Batch, items: Items, prior: Prior, xi: Tensor) -> tuple[Posterior, Tensor]:
    """Update the batch's users until their means stand still; return the posterior with its ξ.

    Pairs of updates are extrapolated (squared extrapolation; Varadhan and Roland, 2008).
    """
    there, precision = items.moments.gathered(batch.item_rows), prior.precision

    def once(xi: Tensor) -> tuple[Posterior, Tensor]:
        posterior = _update(batch, there, prior, precision, xi)
        return posterior, posterior.squares.clamp(min=0).sqrt() * batch.present

    posterior, first = once(xi)
    for _ in range(_MOST_UPDATES // 2):
        before = posterior.means
        posterior, second = once(first)
        if _largest(posterior.means - before) <= _SETTLED * (1 + _largest(before)):
            break
        step, bend = first - xi, second - 2 * first + xi
        lengths = bend.norm(dim=1, keepdim=True).clamp(min=1e-300)
        factor = (step.norm(dim=1, keepdim=True) / lengths).clamp(1.0, 8.0)
        xi = (xi + 2 * factor * step + factor**2 * bend).clamp(min=0)
        posterior, first = once(xi)
    return posterior, second


def _largest(numbers: Tensor) -> float:
    return float(numbers.abs().max()) if numbers.numel() else 0.0


def _update(batch: Batch, items: Moments, prior: Prior, precision: Tensor, xi: Tensor) -> Posterior:
    features, appeals = items.features, items.appeals
    learned = items.together.shape[-1]
    named = features.shape[-1] - learned
    rows, columns, times = _upper(learned)
    rows, columns = rows + named, columns + named
    weights = twice_lambda(xi) * batch.present
    precisions = (features * weights[..., None]).mT @ features + precision
    wanted = batch.halves - weights * appeals
    slopes = (wanted[:, None, :] @ features)[:, 0] + precision @ prior.mean
    half = (weights[:, None, :] @ items.halves)[:, 0]
    precisions[:, rows, columns] += half
    precisions[:, columns, rows] += half * (times - 1.0)
    slopes[:, named:] -= (weights[:, None, :] @ items.together)[:, 0]
    factors = torch.linalg.cholesky(precisions)
    means = torch.cholesky_solve(slopes[..., None], factors)[..., 0]
    covariances = torch.cholesky_inverse(factors)
    moments = covariances + means[:, :, None] * means[:, None, :]
    products = features @ moments
    parts = (features @ means[..., None])[..., 0]
    # E[z²] = E[b²] + 2·E[b·φ]·e + ⟨E[eeᵀ], E[φφᵀ]⟩
    uncertain = items.appeal_variances + 2 * (items.together @ means[:, named:, None])[..., 0]
    both = moments[:, rows, columns] * times
    uncertain = uncertain + (items.halves @ both[..., None])[..., 0]
    squares = appeals**2 + 2 * appeals * parts + (products * features).sum(-1) + uncertain
    return Posterior(means, covariances, factors, appeals + parts, squares, features, products, parts)


@lru_cache(maxsize=8)
def _upper(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows and columns of a square matrix's upper half, and how often each number stands in it."""
    rows, columns = torch.triu_indices(size, size)
    return rows, columns, torch.where(rows == columns, 1.0, 2.0).double()
