"""Scores of what was learned: logits with their uncertainty, whoever asks, known or not.

    E[z] and var z follow from the two posteriors; κ = 1 / √(1 + π·var/8); logit = κ·E[z]; score = σ(logit)

Source of κ: MacKay (1992). Relearning a user is the users' half-step to its end with the items held where
they are, and equals what the training ended with. Does not know how the training went.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from models.mixed_effects.items import Items
from models.mixed_effects.priors import Prior
from models.mixed_effects.standardisation import Standardisation
from models.mixed_effects.users import Batch, settle


class Tastes(NamedTuple):
    """Users' posteriors: means [users, P] and covariances [users, P, P], float64."""

    means: Tensor
    covariances: Tensor


class Taste(NamedTuple):
    """One user's posterior: mean [P] and covariance [P, P], float64."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Prediction:
    """z's posterior for some items: mean [n] and variance [n], float64."""

    mean: Tensor
    variance: Tensor

    @property
    def damping(self) -> Tensor:
        """κ [n]: how far uncertainty draws a logit to zero."""
        return 1.0 / torch.sqrt(1.0 + pi / 8.0 * self.variance)

    @property
    def logits(self) -> Tensor:
        """κ·E[z] [n], the logit of the expected score."""
        return self.damping * self.mean


@dataclass(frozen=True)
class Predictor:
    """What a training knows beside its users: the items, N(μ, Σ) of users, T and B [K, A] of items."""

    scale: Standardisation
    items: Items
    population: Prior
    spread: Tensor
    effects: Tensor

    def newcomer(self) -> Taste:
        """Return what is known of somebody who has answered nothing: the population's taste."""
        return Taste(self.population.mean, self.population.covariance)

    def unseen(self, vectors: Tensor) -> Items:
        """Return what is known of items that no training saw, from their vectors [n, dimensions]."""
        constants = self.scale.constants(vectors)
        return Items(constants, constants @ self.effects.T, self.spread.expand(len(constants), -1, -1))

    def relearn(self, rows: Tensor, answers: Tensor, start: Taste | None = None) -> Taste:
        """Learn one user's taste from all their answers [n], to the items at ``rows`` [n].

        The taste that they had makes the search shorter; its end is the same.
        """
        order = torch.argsort(rows, stable=True)  # whatever order the answers came in
        halves = answers[order].double()[None] - 0.5
        here = torch.arange(len(rows))[None]
        batch = Batch(
            torch.zeros(1, dtype=torch.int64), here, rows[order][None], halves.new_ones(halves.shape), halves
        )
        xi = torch.ones_like(halves)
        if start is not None:  # ξ² = E[z²]
            before = self.predict(start, self.items.gathered(batch.item_rows[0]))
            xi = (before.variance + before.mean**2).sqrt()[None]
        posterior, _ = settle(batch, self.items, self.population, xi)
        return Taste(posterior.means[0], posterior.covariances[0])

    def predict(self, taste: Taste, items: Items) -> Prediction:
        """Return E[z] and var z of the taste for these items [n]."""
        features, named, mean = items.features, items.named, taste.mean
        learned = mean[named:]
        variances = items.covariances
        inner = variances[:, 1:, 1:].flatten(1)
        both = taste.covariance[named:, named:] + torch.outer(learned, learned)
        variance = variances[:, 0, 0] + 2 * variances[:, 0, 1:] @ learned + inner @ both.flatten()
        variance = variance + ((features @ taste.covariance) * features).sum(-1)
        return Prediction(items.means[:, 0] + features @ mean, variance)
