"""One user's posterior, written to be read: response by response, no batches; tests hold `users` to it."""

import torch
from torch import Tensor

from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.priors import Prior

_UPDATES = 1000


def learn_one(items: Items, answers: Tensor, population: Prior) -> tuple[Tensor, Tensor]:
    """Return mean [P] and covariance [P, P] of a user who gave ``answers`` [n] to these items [n]."""
    count, size, named_size = len(answers), items.features.shape[1], items.named_size
    precision = torch.linalg.inv(population.covariance)
    mean, covariance = population.mean, population.covariance
    logits = [(0.0, 1.0)] * count
    posterior_precision, posterior_slope = precision, precision @ population.mean
    for _ in range(_UPDATES):
        matrix, slope = precision.clone(), precision @ population.mean
        for number in range(count):
            phi, bias_phi, products = _moments(items, number, size, named_size)
            center, variance = logits[number]
            score, weight = _logistic_moments(center, variance)
            matrix += weight * products
            slope = slope + (float(answers[number]) - score + weight * center) * phi - weight * bias_phi
        # Half a step, so that it does not oscillate.
        posterior_precision = (posterior_precision + matrix) / 2
        posterior_slope = (posterior_slope + slope) / 2
        covariance = torch.linalg.inv(posterior_precision)
        previous, mean = mean, covariance @ posterior_slope
        for number in range(count):
            phi, bias_phi, products = _moments(items, number, size, named_size)
            center = float(items.means[number, 0] + phi @ mean)
            square = items.means[number, 0] ** 2 + items.covariances[number, 0, 0]
            square = square + 2 * bias_phi @ mean
            square = square + ((covariance + torch.outer(mean, mean)) * products).sum()
            logits[number] = (center, float(square) - center**2)
        if float((mean - previous).abs().max()) < 1e-12:  # noqa: PLR2004 - float64 has no more to give
            break
    return mean, covariance


def _moments(items: Items, number: int, size: int, named_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[φ] [P], E[b·φ] [P] and E[φφᵀ] [P, P] of an item."""
    phi = torch.cat([items.constants[number], items.means[number, 1:]])
    variances = torch.zeros(size, size, dtype=phi.dtype)
    variances[named_size:, named_size:] = items.covariances[number, 1:, 1:]
    bias_covariance = torch.zeros(size, dtype=phi.dtype)
    bias_covariance[named_size:] = items.covariances[number, 0, 1:]
    return phi, items.means[number, 0] * phi + bias_covariance, torch.outer(phi, phi) + variances


def _logistic_moments(mean: float, variance: float) -> tuple[float, float]:
    """Return E σ(z) and E[dσ/dz] of z ~ N(mean, variance), by the trapezoidal rule."""
    steps = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    density = torch.exp(-(steps**2) / 2)
    density /= density.sum()
    scores = torch.sigmoid(mean + max(0.0, variance) ** 0.5 * steps)
    return float(density @ scores), float(density @ (scores * (1 - scores)))
