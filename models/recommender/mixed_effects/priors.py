"""What users have in common, and items: Gaussian priors, and how they follow from the posteriors.

A prior's mean moves to the mean of the posteriors. Its covariance moves by `rescaled`, which has the same
fixed point as the usual step of expectation maximisation, Σ ← V̄ + S, and gets there sooner: that one leaves
a needless dimension by 1/t, this one by a factor a step. Does not know what the numbers stand for.
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
        """Return the prior of these rows, where each has a mean of its own."""
        return Prior(self.mean[rows], self.covariance)

    def compared(self, means: Tensor, covariances_sum: Tensor, log_determinants: float) -> "Posteriors":
        """Return what matters of posteriors with these means [rows, n], covariances and log determinants."""
        deviations = means - self.mean
        return Posteriors(
            len(means), deviations.sum(0), deviations.T @ deviations, covariances_sum, log_determinants
        )

    def divergence(self, rows: "Posteriors") -> float:
        """Return Σ KL(posterior ‖ prior) over rows that were `compared` with this prior."""
        quadratic = (self.precision * (rows.covariances + rows.scatter)).sum()
        log_determinant = torch.logdet(self.covariance)
        size = len(self.covariance)
        return 0.5 * float(
            rows.count * log_determinant - rows.log_determinants + quadratic - rows.count * size
        )


@dataclass(frozen=True)
class Posteriors:
    """What priors need of rows' posteriors, summed over the rows; deviations are the means' from a prior's.

    deviations Σ d [n], scatter Σ d·dᵀ [n, n], covariances [n, n]; float64.
    """

    count: int
    deviations: Tensor
    scatter: Tensor
    covariances: Tensor
    log_determinants: float

    def __add__(self, other: Self) -> "Posteriors":
        return Posteriors(
            self.count + other.count,
            self.deviations + other.deviations,
            self.scatter + other.scatter,
            self.covariances + other.covariances,
            self.log_determinants + other.log_determinants,
        )


def rescaled(covariance: Tensor, posterior: Tensor, scatter: Tensor) -> Tensor:
    """Return the next covariance Σ [n, n] of a prior.

    ``posterior`` is the mean V̄ of the posteriors' covariances, ``scatter`` the mean S of the outer products
    of their means' deviations. With Σ = LLᵀ, let N = 1 − L⁻¹V̄L⁻ᵀ, the share that the data decide, and
    R = L⁻¹SL⁻ᵀ. Where Σ = V̄ + S, N = R. The next Σ is L·X·Lᵀ with X·N·X = R: the geometric mean of N⁻¹ and
    R, which minimises a bound of the marginal likelihood that is tight at Σ (Wipf and Nagarajan, 2009).
    Damping added to both leaves the fixed point where it is, and what no data speak of as it was.
    """
    root = torch.linalg.cholesky(covariance)
    inverse = torch.linalg.solve_triangular(root, torch.eye(len(root), dtype=root.dtype), upper=False)
    damping = _DAMPING * torch.eye(len(root), dtype=root.dtype)
    known = (1.0 + _DAMPING) * torch.eye(len(root), dtype=root.dtype) - inverse @ posterior @ inverse.T
    spread = inverse @ scatter @ inverse.T + damping
    values, vectors = torch.linalg.eigh(_symmetric(known))
    values = values.clamp(min=_DAMPING / 2)
    half, half_inverse = (
        (vectors * values.sqrt()) @ vectors.T,
        (vectors / values.sqrt()) @ vectors.T,
    )
    inner, axes = torch.linalg.eigh(_symmetric(half @ spread @ half))
    middle = (axes * inner.clamp(min=0).sqrt()) @ axes.T
    return _bounded(root @ half_inverse @ middle @ half_inverse @ root.T)


def _bounded(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(_symmetric(covariance))
    return _symmetric((vectors * values.clamp(min=_LEAST_VARIANCE)) @ vectors.T)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
