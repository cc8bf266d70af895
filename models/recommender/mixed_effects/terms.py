"""What one request takes of the model: predictions of a few items or many pairs, bounds of all items' logits.

    E[z] = b + φ·m,   var z = ψᵀVψ + Σ V_q∘C_q + φᵀCφ ,   ψ = [1, m_q]

The items' side of each is one row of a table; a taste's side is worked out once and kept as long as the
taste, but for pairs, whose users are many. `models.recommender.mixed_effects.predictor` has the same formula
for any number of items, readable; a test holds the two together. Numbers are float64 where they are shown,
float32 where they only say what is worth an exact look.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import pi, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recommender.mixed_effects.items import Items
from models.recommender.model import Prediction, UserPosterior, damping, stacked
from models.recommender.scoring import FLOAT32_ROUNDING, Bound

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_POSTERIORS_AT_ONCE = 128
FEW = 128  # items: more at once, and numpy would use threads of its own
_STEEPEST_DAMPING = pi / 16  # |dκ/dvar| is largest at var = 0


@dataclass(frozen=True)
class UserTerms:
    """A taste's side: ``sums`` [P + 1 + K(K + 1)/2, 2] gives E[z] and the items' share of var z.

    spread [P, P] is C. What only bounds are made of is worked out when they are asked for.
    """

    sums: Floats
    spread: Floats

    @classmethod
    def of(cls, posterior: UserPosterior, learned: int) -> "UserTerms":
        """Work it out; ``learned`` = K − 1."""
        if posterior.factor is None:
            raise ValueError("a taste of this model has a factor")
        mean, factor = posterior.embedding.double().numpy(), posterior.factor.double().numpy()
        size, named = len(mean), len(mean) - learned
        spread = factor @ factor.T
        side = np.empty(learned + 1)
        side[0], side[1:] = 1.0, mean[named:]
        both = np.outer(side, side)
        both[1:, 1:] += spread[named:, named:]
        share = both[_upper_half(learned + 1)]
        sums = np.zeros((size + 1 + len(share), 2))
        sums[:size, 0], sums[size, 0], sums[size + 1 :, 1] = mean, 1.0, share
        return cls(sums, spread)

    @cached_property
    def mean(self) -> Tensor:
        """[m, 1], float32 [P + 1]."""
        return torch.from_numpy(self.sums[: len(self.spread) + 1, 0].astype(np.float32))

    @cached_property
    def item_share(self) -> Tensor:
        """What the items' covariances are weighed by, float32 [K(K + 1)/2]."""
        return torch.from_numpy(self.sums[len(self.spread) + 1 :, 1].astype(np.float32))

    @cached_property
    def length(self) -> float:
        """‖m‖."""
        return float(np.linalg.norm(self.sums[: len(self.spread), 0]))

    @cached_property
    def share_length(self) -> float:
        """The norm of `item_share`."""
        return float(np.linalg.norm(self.sums[len(self.spread) + 1 :, 1]))

    @cached_property
    def trace(self) -> float:
        """The trace of C: no φᵀCφ is larger than it times ‖φ‖²."""
        return float(np.trace(self.spread))


def _sides(posteriors: Sequence[UserPosterior], learned: int) -> tuple[Floats, Floats]:
    """Return `UserTerms.sums` of each taste, [tastes, P + 1 + K(K + 1)/2, 2], and factors [tastes, P, P]."""
    embeddings, kept = stacked(posteriors)
    if kept is None:
        raise ValueError("a taste of this model has a factor")
    means, factors = embeddings.double().numpy(), kept.double().numpy()
    size, named = means.shape[1], means.shape[1] - learned
    side = np.ones((len(means), learned + 1))
    side[:, 1:] = means[:, named:]
    both = side[:, :, None] * side[:, None, :]
    corner = factors[:, named:, named:]  # all that is there in these rows of an upper triangle
    both[:, 1:, 1:] += corner @ corner.transpose(0, 2, 1)
    above, beside = _upper_half(learned + 1)
    sums = np.zeros((len(means), size + 1 + len(above), 2))
    sums[:, :size, 0], sums[:, size, 0], sums[:, size + 1 :, 1] = means, 1.0, both[:, above, beside]
    return sums, factors


def _parts(rows: Rows) -> list[Rows]:
    return [rows[first : first + FEW] for first in range(0, len(rows), FEW)]


@lru_cache(maxsize=4)
def _upper_half(size: int) -> tuple[Rows, Rows]:
    """Return the rows and columns of a matrix's upper half: finding them is half of the work otherwise."""
    return np.triu_indices(size)


@dataclass(frozen=True)
class ItemTerms:
    """All items' side: a row [φ, b, the covariance's upper half, off the diagonal doubled] each."""

    rows: Floats  # [items, P + 1 + K(K + 1)/2]
    means: Tensor  # float32 [P + 1, items]: [φ, b]; a row a number, which is two times as fast to multiply
    halves: Tensor  # float32 [K(K + 1)/2, items]
    learned: int  # K - 1
    largest_feature: float
    largest_bias: float
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

    def predict(self, posterior: UserTerms, rows: Tensor) -> Prediction:
        """Return E[z] and var z of the taste for the items at ``rows`` [n]."""
        return Prediction(*map(torch.from_numpy, self._predict(posterior, rows.numpy())))

    def logits(self, posterior: UserTerms, rows: Rows) -> Floats:
        """Return κ·E[z] [n], bit for bit as `predict`'s are."""
        mean, variance = self._predict(posterior, rows)
        return damping(variance) * mean

    def _predict(self, posterior: UserTerms, rows: Rows) -> tuple[Floats, Floats]:
        if len(rows) > FEW:
            parts = [self._predict(posterior, part) for part in _parts(rows)]
            mean, variance = map(np.concatenate, zip(*parts, strict=True))
            return mean, variance
        own = self.rows[rows]
        sums = own @ posterior.sums
        features = own[:, : len(posterior.spread)]
        variance = sums[:, 1] + ((features @ posterior.spread) * features).sum(axis=1)
        return sums[:, 0].copy(), variance

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        """Return E[z] and var z of the tastes at ``users`` [n] for the items at ``rows`` [n], pair by pair.

        User by user, and of users some at a time: what is worked out of these at once stays in the cache.
        Raises `IndexError` for users that there are no tastes of.
        """
        order = np.argsort(users.numpy(), kind="stable")
        counts = np.bincount(users.numpy(), minlength=len(posteriors))
        if len(counts) > len(posteriors):
            raise IndexError(f"there are {len(posteriors)} tastes, and pairs of a user at {len(counts) - 1}")
        own = np.split(rows.numpy()[order], np.cumsum(counts)[:-1])
        means, variances = np.empty(len(order)), np.empty(len(order))
        done = 0
        for first in range(0, len(posteriors), _POSTERIORS_AT_ONCE):
            some_posteriors = slice(first, first + _POSTERIORS_AT_ONCE)
            sums, factors = _sides(posteriors[some_posteriors], self.learned)
            for one, factor, asked in zip(sums, factors, own[some_posteriors], strict=True):
                for some in _parts(asked):
                    here = slice(done, done := done + len(some))
                    means[here], variances[here] = self._of_one(one, factor, some)
        mean, variance = np.empty_like(means), np.empty_like(variances)
        mean[order], variance[order] = means, variances
        return Prediction(torch.from_numpy(mean), torch.from_numpy(variance))

    def _of_one(self, sums: Floats, factor: Floats, rows: Rows) -> tuple[Floats, Floats]:
        """Return E[z] and var z by a taste's `_sides`, of up to `FEW` items."""
        items = self.rows[rows]
        spread = items[:, : len(factor)] @ factor
        mean, variance = (items @ sums).T
        return mean, variance + np.einsum("nk,nk->n", spread, spread)

    def sides(self, posterior: UserTerms, rows: Tensor) -> Tensor:
        """Return κ·[φ, b] of the items at ``rows`` [n], float32 [n, P + 1]; κ is the taste's."""
        _, variance = self._predict(posterior, rows.numpy())
        return self.means[:, rows].T * torch.from_numpy(damping(variance)).float()[:, None]

    def bounds(self, posterior: UserTerms) -> Iterator[Bound]:
        """Yield bounds of all items' logits, float32.

        First what needs no item's variance: a logit above zero is at most E[z], and one of zero or less
        has an E[z] of zero or less. Then what does: the items' share of the variance alone damps a logit less
        than all of it does, and a logit below zero is damped most where the person's share is as large as it
        can be. The second is worked out in the memory of the first, which then is gone.
        """
        means = posterior.mean @ self.means
        ceiling = self.largest_feature**2 * posterior.trace
        error = self._error(posterior, ceiling)
        yield Bound(means.numpy(), error, 0.0)
        share = posterior.item_share @ self.halves
        damped = share.clamp_(min=0.0).mul_(pi / 8.0).add_(1.0)
        least = torch.where(means > 0.0, damped, damped + pi / 8.0 * ceiling)
        yield Bound(means.mul_(least.rsqrt_()).numpy(), error)

    def _error(self, posterior: UserTerms, ceiling: float) -> float:
        """Bound the rounding: of n products' sum by (n + 2)·2⁻²⁴ times the product of the norms."""
        terms = (len(self.means) + len(self.halves) + 8) * FLOAT32_ROUNDING
        reach = self.largest_bias + self.largest_feature * posterior.length
        variance = 4.0 * ceiling + 2.0 * self.largest_half * posterior.share_length
        return terms * reach * (2.0 + _STEEPEST_DAMPING * variance) * sqrt(2.0)
