"""The protocol of a trained model, and its values: posteriors, predictions, explanations.

    z ~ (mean, variance),   κ = 1 / √(1 + π·variance/8),   logit = κ·mean,   score = σ(logit)

A model without uncertainty has variance 0 and κ = 1. Source of κ: MacKay (1992). Items are rows of the
catalog as it is now; the training may not have seen all of them. `models.recommender.class_model.dot_product`
and `models.recommender.mixed_effects.model` implement it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recommender.scoring import Best

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # hashed by identity, so that what follows from it can be cached
class UserPosterior:
    """One user's posterior: the embedding, its mean, float32 [P], and a factor of its covariance.

    factor float32 [P, P], upper triangular: the covariance is factor · factorᵀ; None without uncertainty.
    """

    embedding: Tensor
    factor: Tensor | None = None


@dataclass(frozen=True)
class UserPosteriors(Sequence[UserPosterior]):
    """Users' posteriors as stored: embeddings float32 [users, P], factors [users, P(P + 1)/2] or None."""

    embeddings: Tensor
    factors: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    @overload
    def __getitem__(self, index: int) -> UserPosterior: ...
    @overload
    def __getitem__(self, index: slice) -> "UserPosteriors": ...
    def __getitem__(self, index: int | slice) -> "UserPosterior | UserPosteriors":
        embeddings = self.embeddings[index]
        if isinstance(index, slice):
            return UserPosteriors(embeddings, None if self.factors is None else self.factors[index])
        if self.factors is None:
            return UserPosterior(embeddings)
        return UserPosterior(embeddings, unpacked(self.factors[index], self.embeddings.shape[1]))


def stacked(posteriors: Sequence[UserPosterior]) -> tuple[Tensor, Tensor | None]:
    """Return the posteriors' embeddings float32 [users, P] and factors float32 [users, P, P], or None."""
    if isinstance(posteriors, UserPosteriors):
        halves = posteriors.factors
        size = posteriors.embeddings.shape[1]
        return posteriors.embeddings, None if halves is None else unpacked(halves, size)
    factors = [posterior.factor for posterior in posteriors if posterior.factor is not None]
    embeddings = torch.stack([posterior.embedding for posterior in posteriors])
    return embeddings, torch.stack(factors) if len(factors) == len(posteriors) else None


def damping(variance: Floats) -> Floats:
    """Return κ [n] of variances float64 [n].

    By NumPy, whose square root is rounded correctly; torch's is not always.
    """
    return 1.0 / np.sqrt(1.0 + pi / 8.0 * variance)


@dataclass(frozen=True)
class Prediction:
    """Means and variances of logits z before damping, float64 [n]."""

    mean: Tensor
    variance: Tensor

    @property
    def damping(self) -> Tensor:
        """κ [n], the factor by which uncertainty moves a logit towards zero."""
        return torch.from_numpy(damping(self.variance.numpy()))

    @property
    def logits(self) -> Tensor:
        """κ·E[z] [n], the logit of the expected score."""
        return self.damping * self.mean

    def interval(self, level: float) -> tuple[Tensor, Tensor]:
        """Return the bounds [n] of z's interval of probability ``level``, with equal tails."""
        reach = torch.special.ndtri(self.variance.new_tensor((1.0 + level) / 2.0)) * self.variance.sqrt()
        return self.mean - reach, self.mean + reach


@dataclass(frozen=True)
class Weights:
    """An embedding on the scale of the items' vectors, float64.

    user_bias is added whatever the item; weights [dimensions] multiply the vectors' numbers, learned
    [learned dimensions] those that the training found.
    """

    user_bias: float
    weights: Tensor
    learned: Tensor


@dataclass(frozen=True)
class LogitTerms:
    """Logits as sums: damping · (item_biases + user_bias + Σ weights · values + learned), all float64.

    damping [n] is κ; item_biases [n]; weights [dimensions] the user's, for the values [n, dimensions] of the
    items' vectors; learned [n] what the learned dimensions contribute.
    """

    damping: Tensor
    item_biases: Tensor
    user_bias: float
    weights: Tensor
    values: Tensor
    learned: Tensor


class Model(Protocol):
    """Scores of one training, over the items of a catalog."""

    @property
    def uncertain(self) -> bool:
        """Whether posteriors have a factor, so that there are intervals and information gains."""
        ...

    @property
    def coupled(self) -> bool:
        """Whether a user's fold-in depends on ``others_squared_norm``."""
        ...

    def cold_start(self) -> UserPosterior | None:
        """Return the posterior of a cold-start user, the prior; None from a model without one."""
        ...

    def fold_in(
        self, rows: Tensor, answers: Tensor, start: UserPosterior | None, others_squared_norm: float
    ) -> UserPosterior:
        """Return one user's posterior given all their answers [n] to the items at ``rows`` [n].

        ``start`` is the user's previous posterior, or None; ``others_squared_norm`` the sum of squares of all
        other users' embeddings. The order of the answers changes no bit.
        """
        ...

    def predict(self, posterior: UserPosterior, rows: Tensor) -> Prediction:
        """Return the logits of a user for the items at ``rows`` [n]."""
        ...

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        """Return the logits of the users at ``users`` [n] for the items at ``rows`` [n], pair by pair."""
        ...

    def best(self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float) -> Best:
        """Return the up to ``limit`` items with the largest logits; equal ones in the order of their rows.

        Without the rows in ``exclude``. The result is that of sorting all logits of `predict`.
        """
        ...

    def best_among(self, posterior: UserPosterior, rows: Tensor, limit: int, min_logit: float) -> Best:
        """Return the best of the items at ``rows`` [n], which ascend: `best` with all other rows excluded."""
        ...

    def item_sides(self, rows: Tensor) -> Tensor:
        """Return vectors float32 [n, S] of the items at ``rows`` [n]: products with a `user_side` rank them.

        About as their logits do, so the best are among the items with the largest products.
        """
        ...

    def user_side(self, posterior: UserPosterior) -> Tensor:
        """Return the user's vector for these products, float32 [S]."""
        ...

    def show(self, posterior: UserPosterior) -> Weights:
        """Return a user's embedding on the scale of the items' vectors."""
        ...

    def explain(self, posterior: UserPosterior, rows: Tensor) -> LogitTerms:
        """Return the logits of the items at ``rows`` [n] as sums."""
        ...

    def influences(
        self,
        posterior: UserPosterior,
        rows: Tensor,
        answers: Tensor,
        targets: Tensor,
        others_squared_norm: float,
    ) -> Tensor:
        """Return the influence of each answer [n] on E[z] of the target items: float64 [targets, n].

        A first-order estimate of what leaving the answer out would change. ``posterior`` is that of all the
        answers. `models.recommender.influence` computes the largest ones exactly.
        """
        ...

    def expected_information_gain(self, posterior: UserPosterior) -> Tensor:
        """Return the expected information gain of a response to each item: float64 [items], in [0, 1].

        The share of the scores' variances due to the user's covariance, summed over all items, that the
        response would remove. 0 from a model without uncertainty.
        """
        ...


def packed(factors: Tensor) -> Tensor:
    """Return the upper halves [..., P(P + 1)/2], row by row, of upper triangular factors [..., P, P]."""
    rows, columns = torch.triu_indices(factors.shape[-1], factors.shape[-1])
    return factors[..., rows, columns]


def unpacked(halves: Tensor, size: int) -> Tensor:
    """Return the upper triangular factors [..., P, P] of what `packed` returned, P = ``size``."""
    rows, columns = torch.triu_indices(size, size)
    factors = halves.new_zeros(*halves.shape[:-1], size, size)
    factors[..., rows, columns] = halves
    return factors
