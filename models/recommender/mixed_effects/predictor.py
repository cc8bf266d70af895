"""Means and variances of logits, E[z] and var z, from the posteriors of users and items; and fold-in.

Relearning a user is the users' coordinate update to convergence with the items held fixed, and equals what
the training ended with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender.mixed_effects.fold_in import Normal, fold_in
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.standardisation import Standardisation
from models.recommender.model import Prediction


@dataclass(frozen=True)
class Predictor:
    """What a training knows beside its users: the items, N(μ, Σ) of users, T and B [K, A] of items."""

    scale: Standardisation
    items: Items
    population: Prior
    spread: Tensor
    effects: Tensor

    def cold_start(self) -> Normal:
        """Return what is known of somebody who has answered nothing: the population's taste."""
        return Normal(self.population.mean, self.population.covariance)

    def unseen(self, vectors: Tensor) -> Items:
        """Return what is known of items that no training saw, from their vectors [n, dimensions]."""
        constants = self.scale.constants(vectors)
        return Items(constants, constants @ self.effects.T, self.spread.expand(len(constants), -1, -1))

    def fold_in(self, rows: Tensor, answers: Tensor, start: Normal | None = None) -> Normal:
        """Learn one user's taste from all their answers [n], to the items at ``rows`` [n].

        The taste that they had makes the search shorter; its end is the same.
        """
        order = torch.argsort(rows, stable=True)  # whatever order the answers came in
        items = self.items.gather(rows[order])
        near = None if start is None else self.predict(start, items)
        return fold_in(items, answers[order], self.population, near)

    def predict(self, taste: Normal, items: Items) -> Prediction:
        """Return E[z] and var z of the taste for these items [n]."""
        features, named, mean = items.features, items.named, taste.mean
        learned = mean[named:]
        variances = items.covariances
        inner = variances[:, 1:, 1:].flatten(1)
        both = taste.covariance[named:, named:] + torch.outer(learned, learned)
        variance = variances[:, 0, 0] + 2 * variances[:, 0, 1:] @ learned + inner @ both.flatten()
        variance = variance + ((features @ taste.covariance) * features).sum(-1)
        return Prediction(items.means[:, 0] + features @ mean, variance)


def covariance_factors(precision_factors: Tensor) -> Tensor:
    """Return upper triangular F [..., P, P] with F·Fᵀ = (G·Gᵀ)⁻¹, from precisions' Cholesky factors G."""
    identity = torch.eye(precision_factors.shape[-1], dtype=precision_factors.dtype)
    inverses: Tensor = torch.linalg.solve_triangular(precision_factors, identity, upper=False)
    return inverses.mT
