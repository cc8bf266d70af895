"""Gaussian priors of users and of items, and how they are updated from the posteriors.

A prior's mean becomes the mean of the posteriors' means. Its covariance is updated by `update_covariance`,
which has the same fixed point as expectation maximisation, Σ ← V̄ + S, and converges faster: that one shrinks
a dimension that is not needed like 1/t, this one by a factor a step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

# Bounds how far a covariance may shrink in one step: to √(0.1 / 1.1) of itself.
_DAMPING = 0.1
# A standard deviation of a thousandth of a logit is as good as none, and keeps every matrix invertible.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Prior:
    """N(mean, covariance) for each row: mean [rows, n] or [n], covariance [n, n]; float64."""

    mean: Tensor
    covariance: Tensor

    @cached_property
    def precision(self) -> Tensor:
        """The covariance's inverse [n, n]."""
        return torch.cholesky_inverse(self.root)

    @cached_property
    def root(self) -> Tensor:
        """The covariance's Cholesky factor [n, n]."""
        root: Tensor = torch.linalg.cholesky(self.covariance)
        return root

    def part(self, rows: slice) -> "Prior":
        """Return the prior of these rows, where each row has a mean."""
        return Prior(self.mean[rows], self.covariance)

    def sums(self, means: Tensor, covariance_sum: Tensor, log_determinants: float) -> "PosteriorSums":
        """Return the sums of posteriors with these means [rows, n], covariances and log determinants."""
        deviations = means - self.mean
        return PosteriorSums(
            len(means), deviations.sum(0), deviations.T @ deviations, covariance_sum, log_determinants
        )

    def divergence(self, posteriors: "PosteriorSums") -> float:
        """Return Σ KL(posterior ‖ prior), given this prior's `sums` of the posteriors."""
        quadratic = (self.precision * (posteriors.covariances + posteriors.scatter)).sum()
        log_determinant = torch.logdet(self.covariance)
        count, size = posteriors.count, len(self.covariance)
        return 0.5 * float(count * log_determinant - posteriors.log_determinants + quadratic - count * size)


@dataclass(frozen=True)
class PosteriorSums:
    """Sums over posteriors; a deviation d is a posterior's mean less the prior's.

    deviations Σ d [n], scatter Σ d·dᵀ [n, n], covariances [n, n]; float64.
    """

    count: int
    deviations: Tensor
    scatter: Tensor
    covariances: Tensor
    log_determinants: float

    def __add__(self, other: Self) -> "PosteriorSums":
        return PosteriorSums(
            self.count + other.count,
            self.deviations + other.deviations,
            self.scatter + other.scatter,
            self.covariances + other.covariances,
            self.log_determinants + other.log_determinants,
        )


def update_covariance(covariance: Tensor, posterior: Tensor, scatter: Tensor) -> Tensor:
    """Return the next covariance Σ [n, n] of a prior.

    ``posterior`` is the mean V̄ of the posteriors' covariances, ``scatter`` the mean S of the outer products
    of their means' deviations. With Σ = LLᵀ, let N = 1 − L⁻¹V̄L⁻ᵀ, the share that the data determine, and
    R = L⁻¹SL⁻ᵀ. Where Σ = V̄ + S, N = R. The next Σ is L·X·Lᵀ with X·N·X = R: the geometric mean of N⁻¹ and
    R, which minimises a bound of the marginal likelihood that is tight at Σ (Wipf and Nagarajan, 2009).
    Damping added to both moves no fixed point, and leaves directions without data unchanged.
    """
    root = torch.linalg.cholesky(covariance)
    identity = torch.eye(len(root), dtype=root.dtype)
    inverse = torch.linalg.solve_triangular(root, identity, upper=False)
    data_share = (1.0 + _DAMPING) * identity - inverse @ posterior @ inverse.T
    whitened_scatter = inverse @ scatter @ inverse.T + _DAMPING * identity
    values, vectors = torch.linalg.eigh(_symmetric(data_share))
    values = values.clamp(min=_DAMPING / 2)
    half = (vectors * values.sqrt()) @ vectors.T
    half_inverse = (vectors / values.sqrt()) @ vectors.T
    inner, axes = torch.linalg.eigh(_symmetric(half @ whitened_scatter @ half))
    middle = (axes * inner.clamp(min=0).sqrt()) @ axes.T
    values, vectors = torch.linalg.eigh(_symmetric(root @ half_inverse @ middle @ half_inverse @ root.T))
    return _symmetric((vectors * values.clamp(min=_LEAST_VARIANCE)) @ vectors.T)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
