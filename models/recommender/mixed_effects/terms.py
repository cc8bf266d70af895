"""The predictor for requests: few items or many pairs in float64, and float32 bounds of all items' logits.

    E[z] = b + φ·m,   var z = ψᵀVψ + Σ V_q∘C_q + φᵀCφ ,   ψ = [1, m_q]

Each sum is a product of an item's terms, a row of a table, and a user's terms, which are computed once and
cached as long as the posterior lives; those of pairs are not, because their users are many.
`models.recommender.mixed_effects.predictor` has the same formula for any number of items, written to be
read; a test holds the two together.
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

_USERS_AT_ONCE = 128
FEW = 128  # items: more at once, and NumPy would use threads of its own
_STEEPEST_DAMPING = pi / 16  # |dκ/dvar| is largest at var = 0


@dataclass(frozen=True)
class UserTerms:
    """A user's terms: ``sums`` [P + 1 + K(K + 1)/2, 2] gives E[z] and the items' share of var z.

    covariance [P, P] is C. What only bounds need is computed when they are asked for.
    """

    sums: Floats
    covariance: Floats

    @classmethod
    def of(cls, posterior: UserPosterior, learned_size: int) -> "UserTerms":
        """Compute them; ``learned_size`` is K − 1."""
        if posterior.factor is None:
            raise ValueError("a posterior of this model has a factor")
        mean, factor = posterior.embedding.double().numpy(), posterior.factor.double().numpy()
        size, named_size = len(mean), len(mean) - learned_size
        covariance = factor @ factor.T
        side = np.empty(learned_size + 1)
        side[0], side[1:] = 1.0, mean[named_size:]
        second_moment = np.outer(side, side)
        second_moment[1:, 1:] += covariance[named_size:, named_size:]
        share = second_moment[_upper_half(learned_size + 1)]
        sums = np.zeros((size + 1 + len(share), 2))
        sums[:size, 0], sums[size, 0], sums[size + 1 :, 1] = mean, 1.0, share
        return cls(sums, covariance)

    @cached_property
    def mean(self) -> Tensor:
        """[m, 1], float32 [P + 1]."""
        return torch.from_numpy(self.sums[: len(self.covariance) + 1, 0].astype(np.float32))

    @cached_property
    def item_share(self) -> Tensor:
        """The weights of the items' covariances in var z, float32 [K(K + 1)/2]."""
        return torch.from_numpy(self.sums[len(self.covariance) + 1 :, 1].astype(np.float32))

    @cached_property
    def length(self) -> float:
        """‖m‖."""
        return float(np.linalg.norm(self.sums[: len(self.covariance), 0]))

    @cached_property
    def share_length(self) -> float:
        """The norm of `item_share`."""
        return float(np.linalg.norm(self.sums[len(self.covariance) + 1 :, 1]))

    @cached_property
    def trace(self) -> float:
        """The trace of C: no φᵀCφ is larger than it times ‖φ‖²."""
        return float(np.trace(self.covariance))


def _sums_of_many(posteriors: Sequence[UserPosterior], learned_size: int) -> tuple[Floats, Floats]:
    """Return each user's `UserTerms.sums`, [users, P + 1 + K(K + 1)/2, 2], and factors [users, P, P]."""
    embeddings, float32_factors = stacked(posteriors)
    if float32_factors is None:
        raise ValueError("a posterior of this model has a factor")
    means, factors = embeddings.double().numpy(), float32_factors.double().numpy()
    size, named_size = means.shape[1], means.shape[1] - learned_size
    side = np.ones((len(means), learned_size + 1))
    side[:, 1:] = means[:, named_size:]
    second_moments = side[:, :, None] * side[:, None, :]
    corner = factors[:, named_size:, named_size:]  # these rows of an upper triangle are zero elsewhere
    second_moments[:, 1:, 1:] += corner @ corner.transpose(0, 2, 1)
    rows, columns = _upper_half(learned_size + 1)
    sums = np.zeros((len(means), size + 1 + len(rows), 2))
    sums[:, :size, 0], sums[:, size, 0], sums[:, size + 1 :, 1] = means, 1.0, second_moments[:, rows, columns]
    return sums, factors


def _parts(rows: Rows) -> list[Rows]:
    return [rows[first : first + FEW] for first in range(0, len(rows), FEW)]


@lru_cache(maxsize=4)
def _upper_half(size: int) -> tuple[Rows, Rows]:
    """Return the rows and columns of a matrix's upper half: finding them would be half of the work."""
    return np.triu_indices(size)


@dataclass(frozen=True)
class ItemTerms:
    """All items' terms: a row [φ, b, the covariance's upper half with its off-diagonal doubled] each."""

    rows: Floats  # [items, P + 1 + K(K + 1)/2]
    means: Tensor  # float32 [P + 1, items]: [φ, b]; this layout is two times as fast to multiply
    halves: Tensor  # float32 [K(K + 1)/2, items]
    learned_size: int  # K - 1
    largest_feature: float
    largest_bias: float
    largest_half: float

    @classmethod
    def of(cls, items: Items) -> "ItemTerms":
        """Compute them of the items [items]."""
        size = items.means.shape[1]
        rows, columns = torch.triu_indices(size, size)
        halves = items.covariances[:, rows, columns] * torch.where(rows == columns, 1.0, 2.0)
        means = torch.cat([items.features, items.means[:, :1]], dim=1)
        norms = [torch.linalg.vector_norm(part, dim=1) for part in (items.features, means[:, -1:], halves)]
        largest = [float(norm.max()) if norm.numel() else 0.0 for norm in norms]
        table = torch.cat([means, halves], dim=1).numpy()
        return cls(table, means.float().T.contiguous(), halves.float().T.contiguous(), size - 1, *largest)

    def predict(self, user: UserTerms, rows: Tensor) -> Prediction:
        """Return E[z] and var z of the user for the items at ``rows`` [n]."""
        return Prediction(*map(torch.from_numpy, self._predict(user, rows.numpy())))

    def logits(self, user: UserTerms, rows: Rows) -> Floats:
        """Return κ·E[z] [n], bit for bit as `predict` gives them."""
        mean, variance = self._predict(user, rows)
        return damping(variance) * mean

    def _predict(self, user: UserTerms, rows: Rows) -> tuple[Floats, Floats]:
        if len(rows) > FEW:
            parts = [self._predict(user, part) for part in _parts(rows)]
            mean, variance = map(np.concatenate, zip(*parts, strict=True))
            return mean, variance
        terms = self.rows[rows]
        sums = terms @ user.sums
        features = terms[:, : len(user.covariance)]
        variance = sums[:, 1] + ((features @ user.covariance) * features).sum(axis=1)
        return sums[:, 0].copy(), variance

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        """Return E[z] and var z of the users at ``users`` [n] for the items at ``rows`` [n], pair by pair.

        User by user, some users' terms at a time, so that these stay in the cache. Raises `IndexError` for a
        user without a posterior.
        """
        order = np.argsort(users.numpy(), kind="stable")
        counts = np.bincount(users.numpy(), minlength=len(posteriors))
        if len(counts) > len(posteriors):
            raise IndexError(
                f"there are {len(posteriors)} posteriors, and pairs of a user at {len(counts) - 1}"
            )
        rows_of_users = np.split(rows.numpy()[order], np.cumsum(counts)[:-1])
        means, variances = np.empty(len(order)), np.empty(len(order))
        start = 0
        for first in range(0, len(posteriors), _USERS_AT_ONCE):
            chunk = slice(first, first + _USERS_AT_ONCE)
            terms = _sums_of_many(posteriors[chunk], self.learned_size)
            for user_sums, factor, user_rows in zip(*terms, rows_of_users[chunk], strict=True):
                for part in _parts(user_rows):
                    pairs = slice(start, start := start + len(part))
                    means[pairs], variances[pairs] = self._predict_by_factor(user_sums, factor, part)
        mean, variance = np.empty_like(means), np.empty_like(variances)
        mean[order], variance[order] = means, variances
        return Prediction(torch.from_numpy(mean), torch.from_numpy(variance))

    def _predict_by_factor(self, user_sums: Floats, factor: Floats, rows: Rows) -> tuple[Floats, Floats]:
        """Return E[z] and var z by a user's `_sums_of_many`, of up to `FEW` items."""
        terms = self.rows[rows]
        projections = terms[:, : len(factor)] @ factor
        mean, variance = (terms @ user_sums).T
        return mean, variance + np.einsum("nk,nk->n", projections, projections)

    def sides(self, user: UserTerms, rows: Tensor) -> Tensor:
        """Return κ·[φ, b] of the items at ``rows`` [n], float32 [n, P + 1]; κ is the user's."""
        _, variance = self._predict(user, rows.numpy())
        return self.means[:, rows].T * torch.from_numpy(damping(variance)).float()[:, None]

    def bounds(self, user: UserTerms) -> Iterator[Bound]:
        """Yield upper bounds of all items' logits, float32.

        The first needs no item's variance: a logit above zero is at most E[z], and one of zero or less has an
        E[z] of zero or less. The second does: the items' share of the variance alone damps a positive logit
        less than all of it would, and a negative logit is damped most where the user's share is as large as
        it can be. It is computed in the memory of the first, which it overwrites.
        """
        means = user.mean @ self.means
        ceiling = self.largest_feature**2 * user.trace
        error = self._error(user, ceiling)
        yield Bound(means.numpy(), error, 0.0)
        share = user.item_share @ self.halves
        least = share.clamp_(min=0.0).mul_(pi / 8.0).add_(1.0)  # 1/κ², of the items' share alone
        inverse_squares = torch.where(means > 0.0, least, least + pi / 8.0 * ceiling)
        yield Bound(means.mul_(inverse_squares.rsqrt_()).numpy(), error)

    def _error(self, user: UserTerms, ceiling: float) -> float:
        """Bound the rounding: of n products' sum by (n + 2)·2⁻²⁴ times the product of the norms."""
        terms = (len(self.means) + len(self.halves) + 8) * FLOAT32_ROUNDING
        reach = self.largest_bias + self.largest_feature * user.length
        variance = 4.0 * ceiling + 2.0 * self.largest_half * user.share_length
        return terms * reach * (2.0 + _STEEPEST_DAMPING * variance) * sqrt(2.0)
