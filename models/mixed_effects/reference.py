"""One user's posterior as one reads it: a response at a time, nothing batched; tests hold `users` to it.

Does not know about speed.
"""

import torch
from torch import Tensor

from models.mixed_effects.items import Items
from models.mixed_effects.priors import Prior

_UPDATES = 1000


def learn_one(items: Items, answers: Tensor, population: Prior) -> tuple[Tensor, Tensor]:
    """Return mean [P] and covariance [P, P] of a user who gave ``answers`` [n] to these items [n]."""
    count, size, named = len(answers), items.features.shape[1], items.named
    precision = torch.linalg.inv(population.covariance)
    xi = [1.0] * count
    mean, covariance = population.mean, population.covariance
    for _ in range(_UPDATES):
        matrix, slope = precision.clone(), precision @ population.mean
        for number in range(count):
            phi, appeal, products = _moments(items, number, size, named)
            weight = _twice_lambda(xi[number])
            matrix += weight * products
            slope = slope + (float(answers[number]) - 0.5) * phi - weight * appeal
        covariance = torch.linalg.inv(matrix)
        before, mean = mean, covariance @ slope
        for number in range(count):
            _, appeal, products = _moments(items, number, size, named)
            squared = items.means[number, 0] ** 2 + items.covariances[number, 0, 0]
            squared = squared + 2 * appeal @ mean
            squared = squared + ((covariance + torch.outer(mean, mean)) * products).sum()
            xi[number] = float(squared) ** 0.5
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


def _twice_lambda(xi: float) -> float:
    return float(torch.tanh(torch.tensor(xi / 2, dtype=torch.float64))) / (2 * xi)
