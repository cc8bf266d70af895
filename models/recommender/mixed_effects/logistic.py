"""Expectations of the logistic likelihood under a normal logit: of σ(z), dσ/dz(z) and log(1 + eᶻ).

σ is approximated by a mixture of eight normal distribution functions, σ(z) ≈ Σ p·Φ(s·z), to 2e-9. For
z ~ N(mean, variance), with t² = 1/s² + variance and x = mean/t, all three are in closed form:

    E σ(z) = Σ p·Φ(x),   E[dσ/dz] = Σ p·φ(x)/t,   E log(1 + eᶻ) = Σ p·t·(x·Φ(x) + φ(x))

E[dσ/dz] is the derivative of E σ(z) by the mean, and E σ(z) that of E log(1 + eᶻ), so the bound that is
maximised has one maximum. Source of the mixture: Monahan and Stefanski (1992).
"""

from functools import lru_cache
from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

_SHARES = (
    *(0.003246343272134, 0.051517477033972, 0.195077912673858, 0.315569823632818),
    *(0.274149576158423, 0.131076880695470, 0.027912418727972, 0.001449567805354),
)
_STEEPNESSES = (
    *(1.365340806296348, 1.059523971016916, 0.830791313765644, 0.650732166639391),
    *(0.508135425366489, 0.396313345166341, 0.308904252267995, 0.238212616409306),
)
_CHUNK = 8192  # logits at once, so that the eight numbers of each stay in the cache


class LogisticMoments(NamedTuple):
    """E σ(z), E[dσ/dz] and E log(1 + eᶻ), each in the shape of the means."""

    score: Tensor
    slope: Tensor
    softplus: Tensor


def logistic_moments(mean: Tensor, variance: Tensor) -> LogisticMoments:
    """Return the moments for z ~ N(mean, variance), element by element, in the means' dtype."""
    if mean.numel() <= _CHUNK and mean.dim() == 1:
        return LogisticMoments(*_moments_of_chunk(mean, variance))
    chunks = zip(torch.split(mean.flatten(), _CHUNK), torch.split(variance.flatten(), _CHUNK), strict=True)
    moments = [_moments_of_chunk(*chunk) for chunk in chunks]
    return LogisticMoments(*(torch.cat(parts).view(mean.shape) for parts in zip(*moments, strict=True)))


class _Mixture(NamedTuple):
    """The mixture's constants for y = x/√2: 2/s² [8, 1] gives √2·t, the weights [8] give three sums.

    E σ(z) = halves · erfc(−y),   E[dσ/dz] = slopes · exp(−y²)/√2t,   Σ p·t·φ(x) = heights · √2t·exp(−y²)
    """

    halves: Tensor
    slopes: Tensor
    heights: Tensor
    widths: Tensor


@lru_cache(maxsize=4)
def _mixture(dtype: torch.dtype, device: torch.device) -> _Mixture:
    shares = torch.tensor(_SHARES, dtype=torch.float64, device=device)
    widths = 2 * torch.tensor(_STEEPNESSES, dtype=torch.float64, device=device)[:, None] ** -2
    constants = (shares / 2, shares / sqrt(pi), shares / (2 * sqrt(pi)), widths)
    return _Mixture(*(constant.to(dtype) for constant in constants))


def _moments_of_chunk(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the moments [n]; Φ(x) = erfc(−x/√2)/2, which takes torch half as long as Φ itself."""
    mixture = _mixture(mean.dtype, mean.device)
    scale = torch.add(mixture.widths, variance.clamp(min=0), alpha=2).sqrt_()  # √2·t
    negative_y = -mean / scale
    tail = torch.special.erfc(negative_y)
    density = (negative_y * negative_y).neg_().exp_()
    score, slope = mixture.halves @ tail, mixture.slopes @ (density / scale)
    # t·x is the mean: Σ p·t·(x·Φ(x) + φ(x)) = mean·E σ(z) + Σ p·t·φ(x)
    return score, slope, torch.addcmul(mixture.heights @ density.mul_(scale), mean, score)


class Expectations(NamedTuple):
    """Of responses r: weights w = E[dσ/dz], pseudo-targets h = r − E σ(z) + w·E z, and E log p(r | z)."""

    weights: Tensor
    pseudo_targets: Tensor
    log_likelihood: Tensor


def expectations(answers: Tensor, mean: Tensor, variance: Tensor) -> Expectations:
    """Return the expectations for ``answers`` r and logits z ~ N(mean, variance), element by element.

    Near these logits the expected log likelihood is h·E z − w·E z²/2 and a constant, to first order in the
    mean and in the variance: a coordinate update needs only the weights and the pseudo-targets.
    """
    moments = logistic_moments(mean, variance)
    pseudo_targets = torch.addcmul(answers - moments.score, moments.slope, mean)
    return Expectations(moments.slope, pseudo_targets, answers * mean - moments.softplus)
