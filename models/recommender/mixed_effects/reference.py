"""One user's posterior as one reads it: a response at a time, nothing batched; tests hold `users` to it.

Does not know about speed.
"""

import torch
from torch import Tensor

from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.priors import Prior

_UPDATES = 1000


def learn_one(items: Items, answers: Tensor, population: Prior) -> tuple[Tensor, Tensor]:
    """Return mean [P] and covariance [P, P] of a user who gave ``answers`` [n] to these items [n]."""
    count, size, named = len(answers), items.features.shape[1], items.named
    precision = torch.linalg.inv(population.covariance)
    mean, covariance = population.mean, population.covariance
    logits = [(0.0, 1.0)] * count
    known, pull = precision, precision @ population.mean
    for _ in range(_UPDATES):
        matrix, slope = precision.clone(), precision @ population.mean
        for number in range(count):
            phi, appeal, products = _moments(items, number, size, named)
            center, variance = logits[number]
            score, weight = _expected(center, variance)
            matrix += weight * products
            slope = slope + (float(answers[number]) - score + weight * center) * phi - weight * appeal
        known, pull = (known + matrix) / 2, (pull + slope) / 2  # half a step, so that it cannot swing
        covariance = torch.linalg.inv(known)
        before, mean = mean, covariance @ pull
        for number in range(count):
            phi, appeal, products = _moments(items, number, size, named)
            center = float(items.means[number, 0] + phi @ mean)
            squared = items.means[number, 0] ** 2 + items.covariances[number, 0, 0]
            squared = squared + 2 * appeal @ mean
            squared = squared + ((covariance + torch.outer(mean, mean)) * products).sum()
            logits[number] = (center, float(squared) - center**2)
        if float((mean - before).abs().max()) < 1e-12:  # noqa: PLR2004 - float64 has no more to give
            break
    return mean, covariance


def _moments(items: Items, number: int, size: int, named: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[φ] [P], E[b·φ] [P] and E[φφᵀ] [P, P] of an item."""
    phi = torch.cat([items.constants[number], items.means[number, 1:]])
    variances = torch.zeros(size, size, dtype=phi.dtype)
    variances[named:, named:] = items.covariances[number, 1:, 1:]
    together = torch.zeros(size, dtype=phi.dtype)
    together[named:] = items.covariances[number, 0, 1:]
    return phi, items.means[number, 0] * phi + together, torch.outer(phi, phi) + variances


def _expected(mean: float, variance: float) -> tuple[float, float]:
    """Return E σ(z) and E[dσ/dz] of z ~ N(mean, variance), by the trapezoidal rule."""
    steps = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    density = torch.exp(-(steps**2) / 2)
    density /= density.sum()
    scores = torch.sigmoid(mean + max(0.0, variance) ** 0.5 * steps)
    return float(density @ scores), float(density @ (scores * (1 - scores)))
