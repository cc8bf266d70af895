"""Means and variances of logits, E[z] and var z, from the posteriors of users and items; and fold-in."""

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
    """A training's parameters but for its users': the items, N(μ, Σ) of users, T and B [K, A] of items."""

    scale: Standardisation
    items: Items
    population: Prior
    item_covariance: Tensor
    effects: Tensor

    def cold_start(self) -> Normal:
        """Return the posterior of a user without answers, the prior."""
        return Normal(self.population.mean, self.population.covariance)

    def prior_items(self, vectors: Tensor) -> Items:
        """Return items that the training did not see, from their vectors [n, dimensions], by the prior."""
        constants = self.scale.constants(vectors)
        covariances = self.item_covariance.expand(len(constants), -1, -1)
        return Items(constants, constants @ self.effects.T, covariances)

    def fold_in(self, rows: Tensor, answers: Tensor, start: Normal | None = None) -> Normal:
        """Return one user's posterior given all their answers [n] to the items at ``rows`` [n].

        The user's previous posterior as a start shortens the search; the result is the same.
        """
        order = torch.argsort(rows, stable=True)  # so that the order of the answers does not matter
        items = self.items.gather(rows[order])
        logits = None if start is None else self.predict(start, items)
        return fold_in(items, answers[order], self.population, logits)

    def predict(self, user: Normal, items: Items) -> Prediction:
        """Return E[z] and var z of the user for these items [n]."""
        features, named_size, mean = items.features, items.named_size, user.mean
        learned_mean = mean[named_size:]
        covariances = items.covariances
        second_moment = user.covariance[named_size:, named_size:] + torch.outer(learned_mean, learned_mean)
        variance = covariances[:, 0, 0] + 2 * covariances[:, 0, 1:] @ learned_mean
        variance = variance + covariances[:, 1:, 1:].flatten(1) @ second_moment.flatten()
        variance = variance + ((features @ user.covariance) * features).sum(-1)
        return Prediction(items.means[:, 0] + features @ mean, variance)


def covariance_factors(precision_factors: Tensor) -> Tensor:
    """Return upper triangular F [..., P, P] with F·Fᵀ = (G·Gᵀ)⁻¹, from precisions' Cholesky factors G."""
    identity = torch.eye(precision_factors.shape[-1], dtype=precision_factors.dtype)
    inverses: Tensor = torch.linalg.solve_triangular(precision_factors, identity, upper=False)
    return inverses.mT
