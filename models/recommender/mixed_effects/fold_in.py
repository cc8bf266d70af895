"""Fold-in of one user: the users' coordinate update to convergence, with the items held fixed.

One user is a small problem: what counts is how few operations an update takes, where `users` counts
multiplications. Two changes of coordinates make them few:

- a logit is [e, 1] · φ̃ with φ̃ = [φ, b], so E[φ̃φ̃ᵀ] holds all that the update and E[z²] need of an item;
- e = μ + R·s with s ~ N(0, 1), so the prior is the identity. Outside the span of the answered items and the
  learned dimensions s keeps its prior, so few answers to items with long vectors are a small problem.

The result is that of `users.fold_in`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from models.recommender.mixed_effects.fixed_point import UpdateOfOne, solve_fixed_point
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.logistic import expectations
from models.recommender.mixed_effects.priors import Prior
from models.recommender.model import Prediction

_TOLERANCE = 1e-8


class Normal(NamedTuple):
    """A posterior: mean [n] and covariance [n, n], float64."""

    mean: Tensor
    covariance: Tensor


def fold_in(items: Items, answers: Tensor, population: Prior, start: Prediction | None = None) -> Normal:
    """Return the posterior of e after ``answers`` [n] to these items [n].

    ``start``, a prediction of their logits [n], shortens the iteration if close; the result is the same.
    """
    root = population.root
    with torch.inference_mode():  # no bookkeeping for gradients: a fifth of the time of such small operations
        basis = _basis(items, root)
        design = _Design.of(items, answers.double(), population.mean, basis)
        prior = _Posterior(design.identity.new_zeros(len(design.identity)), design.identity)
        logits = design.logits(*prior) if start is None else start
        posterior = solve_fixed_point(design.update, design.expectations(logits)[0], _TOLERANCE)
        half = posterior.half @ basis.T
        covariance = half.T @ half
        if basis is not root:  # outside the span the prior remains
            covariance += population.covariance - basis @ basis.T
        mean = population.mean + basis @ posterior.mean
    return Normal(mean.clone(), covariance.clone())  # ordinary tensors again


def _basis(items: Items, root: Tensor) -> Tensor:
    """Return R [P, r]: Σ's root [P, P], or the part of it that the answers inform."""
    learned_rows = root[items.named_size :].T
    if len(items.means) + learned_rows.shape[1] >= len(root):
        return root
    span, _ = torch.linalg.qr(torch.cat([root.T @ items.features.T, learned_rows], dim=1))
    basis: Tensor = root @ span
    return basis


class _Posterior(NamedTuple):
    """The posterior of s: its mean [r], and H [r, r] with HᵀH its covariance."""

    mean: Tensor
    half: Tensor


@dataclass(frozen=True)
class _Design:
    """All that an update needs of the items, in coordinates s, whatever the weights.

    means E[φ̃] [r + 1, n], its parts features [r, n] and biases [n]; covariances of [b, q] [n, K²];
    sides [K, r + 1], which maps [s, 1] to E[1, e_q], its parts learned [K, r] and constant [K]; answers [n];
    eye, the identity [r + 1, r + 1], its part identity [r, r]; sums [r + 1, r + 1], which each update
    overwrites, its parts precision [r, r] and edge [r]. Names with _t are transposed. All views are made
    once: making one takes as long as a small product.
    """

    means: Tensor
    means_t: Tensor
    features: Tensor
    features_t: Tensor
    biases: Tensor
    covariances: Tensor
    sides: Tensor
    sides_t: Tensor
    learned: Tensor
    learned_t: Tensor
    constant: Tensor
    answers: Tensor
    eye: Tensor
    identity: Tensor
    sums: Tensor
    precision: Tensor
    edge: Tensor

    @classmethod
    def of(cls, items: Items, answers: Tensor, mean: Tensor, basis: Tensor) -> "_Design":
        """Make it from the items [n] with answers [n], μ and R."""
        size = basis.shape[1]
        change = torch.zeros(len(mean) + 1, size + 1, dtype=basis.dtype)  # [e, 1] = change @ [s, 1]
        change[:-1, :-1], change[:-1, -1], change[-1, -1] = basis, mean, 1
        means = change.T @ items.moments.means.T
        sides, eye = change[items.named_size :].roll(1, 0), torch.eye(size + 1, dtype=basis.dtype)
        learned_sides, features, sums = sides[:, :-1], means[:-1], torch.empty_like(eye)
        return cls(
            means=means,
            means_t=means.T,
            features=features,
            features_t=features.T,
            biases=means[-1],
            covariances=items.moments.covariances,
            sides=sides,
            sides_t=sides.T,
            learned=learned_sides,
            learned_t=learned_sides.T,
            constant=sides[:, -1],
            answers=answers,
            eye=eye,
            identity=eye[:-1, :-1],
            sums=sums,
            precision=sums[:-1, :-1],
            edge=sums[:-1, -1],
        )

    def update(self, point: Tensor) -> UpdateOfOne[_Posterior]:
        """Return the posterior for weights and pseudo-targets [2n], those at its logits, and the bound."""
        weights, pseudo_targets = point.view(2, -1).unbind()
        weights = weights.clamp(min=0)
        torch.addmm(self.eye, self.means * weights, self.means_t, out=self.sums)
        weighted_covariance = (weights @ self.covariances).view(len(self.sides), -1)
        self.sums.addmm_(self.sides_t @ weighted_covariance, self.sides)
        factor, _ = torch.linalg.cholesky_ex(self.precision)
        half = torch.linalg.solve_triangular(factor, self.identity, upper=False)
        slope = torch.addmv(self.edge, self.features, pseudo_targets, beta=-1)
        mean = half.T @ (half @ slope)
        image, log_likelihood = self.expectations(self.logits(mean, half))
        second_moment = float(torch.linalg.vector_norm(half)) ** 2 + float(torch.dot(mean, mean))
        bound = float(log_likelihood) - second_moment / 2 - float(factor.diagonal().log().sum())
        return UpdateOfOne(_Posterior(mean, half), image, bound)

    def logits(self, mean: Tensor, half: Tensor) -> Prediction:
        """Return mean and variance of the answers' logits [n] when s has this mean [r] and half [r, r]."""
        projections = half @ self.features
        side = torch.addmv(self.constant, self.learned, mean)
        side_half = half @ self.learned_t
        side_moments = torch.addmm(torch.outer(side, side), side_half.T, side_half)
        variance = (projections * projections).sum(0).addmv_(self.covariances, side_moments.view(-1))
        return Prediction(torch.addmv(self.biases, self.features_t, mean), variance)

    def expectations(self, logits: Prediction) -> tuple[Tensor, Tensor]:
        """Return weights and pseudo-targets [2n] of the answers with these logits [n], and E log p."""
        expected = expectations(self.answers, logits.mean, logits.variance)
        return torch.cat([expected.weights, expected.pseudo_targets]), expected.log_likelihood.sum()
