"""The logistic likelihood of a normal logit: what is expected of σ(z), dσ/dz(z) and log(1 + eᶻ).

σ is taken as a mixture of eight normal distribution functions, σ(z) ≈ Σ p·Φ(s·z), off by 2e-9 at most. For
z ~ N(mean, variance), with t² = 1/s² + variance and x = mean/t, everything expected is then in closed form:

    E σ(z) = Σ p·Φ(x),   E[dσ/dz] = Σ p·φ(x)/t,   E log(1 + eᶻ) = Σ p·t·(x·Φ(x) + φ(x))

and each is the slope by the mean of the one to its right, so that what is fitted has one maximum. Source of
the mixture: Monahan and Stefanski (1992). Does not know whose logits these are.
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
_AT_ONCE = 8192  # numbers, so that eight of each stay in the cache


class Expected(NamedTuple):
    """E σ(z), E[dσ/dz] and E log(1 + eᶻ), each in the shape of the means."""

    score: Tensor
    slope: Tensor
    softplus: Tensor


def expected(mean: Tensor, variance: Tensor) -> Expected:
    """Return what is expected of z ~ N(mean, variance), element by element, in the means' precision."""
    if mean.numel() <= _AT_ONCE and mean.dim() == 1:
        return Expected(*_expected(mean, variance))
    parts = zip(_parts(mean), _parts(variance), strict=True)
    found = [_expected(*part) for part in parts]
    return Expected(*(torch.cat(each).view(mean.shape) for each in zip(*found, strict=True)))


def _parts(numbers: Tensor) -> tuple[Tensor, ...]:
    return torch.split(numbers.flatten(), _AT_ONCE)


class _Mixture(NamedTuple):
    """The mixture beside y = x/√2: 2/s² [8, 1] gives √2·t, and three sums have the weights [8].

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
    parts = (shares / 2, shares / sqrt(pi), shares / (2 * sqrt(pi)), widths)
    return _Mixture(*(part.to(dtype) for part in parts))


def _expected(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `expected` does; Φ(x) = erfc(−x/√2)/2, which takes torch half as long as Φ itself."""
    mixture = _mixture(mean.dtype, mean.device)
    spread = torch.add(mixture.widths, variance.clamp(min=0), alpha=2).sqrt_()  # √2·t
    outside = -mean / spread
    below = torch.special.erfc(outside)
    density = (outside * outside).neg_().exp_()
    score, slope = mixture.halves @ below, mixture.slopes @ (density / spread)
    # t·x is the mean: Σ p·t·(x·Φ(x) + φ(x)) = mean·E σ(z) + Σ p·t·φ(x)
    return score, slope, torch.addcmul(mixture.heights @ density.mul_(spread), mean, score)


class Evidence(NamedTuple):
    """What answers say of logits: weights w = E[dσ/dz], pulls h = r − E σ(z) + w·E z, and E log p(r | z)."""

    weights: Tensor
    pulls: Tensor
    likelihood: Tensor


def evidence(answers: Tensor, mean: Tensor, variance: Tensor) -> Evidence:
    """Return what ``answers`` r say of logits z ~ N(mean, variance), element by element.

    Near these logits the expected log likelihood is h·E z − w·E z²/2 and a constant, to first order in the
    mean and in the variance: the weights and pulls are all that the half-steps need.
    """
    found = expected(mean, variance)
    pulls = torch.addcmul(answers - found.score, found.slope, mean)
    return Evidence(found.slope, pulls, answers * mean - found.softplus)
