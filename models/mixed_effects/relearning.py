"""One user learned alone: the users' half-step to its end, with the items held where they are.

One user is small: what counts is how few operations an update takes, where `users` counts multiplications.
Two changes of coordinates make them few:

- a logit is [e, 1] · φ̃ with φ̃ = [φ, b], so that E[φ̃φ̃ᵀ] holds all that the update and E[z²] need of an item;
- e = μ + R·s with s ~ N(0, 1), so that the prior is the identity. Outside the span of the answered items and
  the learned dimensions s stays as it was, so few answers to items with long vectors are a small problem.

Ends where `users.settle` ends. Does not know whose answers these are.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from models.mixed_effects.items import Items
from models.mixed_effects.priors import Prior

_SETTLED, _MOST_UPDATES = 1e-9, 300
_NEAR = 1e-2  # from here on the curvature stays what it was
_FLAT = 1e-4  # below, tanh(y) / y is 1 to the last digit but two


class Normal(NamedTuple):
    """A posterior: mean [n] and covariance [n, n], float64."""

    mean: Tensor
    covariance: Tensor


def learn(items: Items, answers: Tensor, population: Prior, xi: Tensor | None = None) -> Normal:
    """Return what is known of e after ``answers`` [n] to these items [n].

    ``xi`` [n], the √E[z²] of a taste that is near, shortens the search; its end is the same.
    """
    root = population.root
    with torch.inference_mode():  # no bookkeeping for gradients: a fifth of the time of so small operations
        basis = _basis(items, root)
        evidence = _Evidence.of(items, answers.double() - 0.5, population.mean, basis)
        if xi is None:
            xi = evidence.xi(evidence.prior)
        inner = _settled(evidence, xi)
        if basis is root:
            spread = basis @ inner.covariance @ basis.T
        else:
            spread = population.covariance - basis @ (evidence.prior.covariance - inner.covariance) @ basis.T
        mean = population.mean + basis @ inner.mean
    return Normal(mean.clone(), spread.clone())  # ordinary tensors again


def _basis(items: Items, root: Tensor) -> Tensor:
    """Return R [P, r]: Σ's root [P, P], or the part of it that the answers speak of."""
    learned = root[items.named :].T
    if len(items.means) + learned.shape[1] >= len(root):
        return root
    spanned, _ = torch.linalg.qr(torch.cat([root.T @ items.features.T, learned], dim=1))
    basis: Tensor = root @ spanned
    return basis


def _settled(evidence: "_Evidence", xi: Tensor) -> Normal:
    """Return the taste [r] that an update leaves as it is: where ξ stays what it was.

    The mean's step is Newton's, unless that makes the bound lower; then the bound's best for this ξ, which
    never does.
    """
    sums = evidence.sums(xi)
    taste, factor = evidence.best(sums)
    value, before, inverse = -inf, inf, None
    for _ in range(_MOST_UPDATES):
        image = evidence.xi(taste)
        change = _largest(image - xi)
        if change > _NEAR:
            found = evidence.value(taste, factor, image)
            if found < value and inverse is not None:
                inverse = None
                taste, factor = evidence.best(sums)
                continue
            value = found
        if _left(change, before) <= _SETTLED:
            break
        xi, before, sums = image, change, evidence.sums(image)
        if inverse is None or change > _NEAR:
            inverse = evidence.inverse_curvature(sums, xi, taste.mean)
        taste, factor = evidence.best(sums, taste.mean, inverse)
    return taste


def _largest(numbers: Tensor) -> float:
    return float(torch.linalg.vector_norm(numbers, torch.inf)) if len(numbers) else 0.0


def _left(change: float, before: float) -> float:
    """Return how far the end may be, by the last two changes: a geometric series."""
    factor = 0.9 if before == inf else min(max(change / before, 0.1), 0.9)
    return change * factor / (1 - factor)


@dataclass(frozen=True)
class _Evidence:
    """What the answers say of s, whatever ξ is.

    means E[φ̃] [r + 1, n]; covariances of [q, b] [n, K²]; places [K, r + 1], which of a vector that [q, b]
    meet; slope Σ h·E[φ] [r]; eye [r + 1, r + 1].
    """

    means: Tensor
    covariances: Tensor
    places: Tensor
    slope: Tensor
    eye: Tensor

    @classmethod
    def of(cls, items: Items, halves: Tensor, mean: Tensor, basis: Tensor) -> "_Evidence":
        """Take it from the items [n] with r − ½ [n], μ and R."""
        size = basis.shape[1]
        change = torch.zeros(len(mean) + 1, size + 1, dtype=basis.dtype)  # [e, 1] = change @ [s, 1]
        change[:-1, :-1], change[:-1, -1], change[-1, -1] = basis, mean, 1
        means = change.T @ items.moments.means.T
        eye = torch.eye(size + 1, dtype=basis.dtype)
        return cls(means, items.moments.covariances, change[items.named :], means[:-1] @ halves, eye)

    @property
    def prior(self) -> Normal:
        """What is known of s without the answers."""
        return Normal(self.eye.new_zeros(len(self.eye) - 1), self.eye[:-1, :-1])

    def sums(self, xi: Tensor) -> Tensor:
        """Return 1 + Σ 2λ·E[φ̃φ̃ᵀ] [r + 1, r + 1], given ξ [n]: the precision, and Σ 2λ·E[b·φ] beside it."""
        half = (xi / 2).clamp_(min=_FLAT)
        weights = torch.tanh(half).div_(half).div_(4)  # 2λ(ξ)
        sums = torch.addmm(self.eye, self.means * weights, self.means.T)
        met = (weights @ self.covariances).view(len(self.places), -1)
        return sums.addmm_(self.places.T @ met, self.places)

    def best(
        self, sums: Tensor, mean: Tensor | None = None, inverse: Tensor | None = None
    ) -> tuple[Normal, Tensor]:
        """Return the bound's best taste for these sums, and its precision's factor [r, r].

        With the inverse [r, r] of the bound's curvature at a mean [r], the mean is Newton's from there.
        """
        precision, slope = sums[:-1, :-1], self.slope - sums[:-1, -1]
        factor, _ = torch.linalg.cholesky_ex(precision)
        covariance = torch.cholesky_inverse(factor)
        if mean is None or inverse is None:
            return Normal(covariance @ slope, covariance), factor
        return Normal(mean + inverse @ (slope - precision @ mean), covariance), factor

    def inverse_curvature(self, sums: Tensor, xi: Tensor, mean: Tensor) -> Tensor:
        """Return the inverse of the bound's curvature in the mean [r] as ξ follows it: [r, r].

        The precision + Σ (slope of 2λ)/ξ · g·gᵀ, where g = E[φ̃φ̃ᵀ]·[mean, 1] is the slope of ξ²/2. That of
        2λ is (s − 2λ)/ξ, where s = (1 − tanh²(ξ/2))/4 is that of the logistic function.
        """
        half = (xi / 2).clamp_(min=_FLAT)
        tanh = torch.tanh(half)
        factors = ((1 - tanh**2) - tanh / half).div_(16 * half**2)
        mean, sides = _with_one(mean), len(self.places)
        slopes = self.means * (mean @ self.means)
        slopes += self.places.T @ (self.covariances.view(-1, sides) @ (self.places @ mean)).view(-1, sides).T
        curvature = torch.addmm(sums, slopes * factors, slopes.T)[:-1, :-1]
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(curvature)[0])

    def value(self, taste: Normal, factor: Tensor, xi: Tensor) -> float:
        """Return the bound, less what is the same for every taste; ``factor`` is the precision's."""
        likelihood = taste.mean @ self.slope - (xi / 2 + torch.log1p(torch.exp(-xi))).sum()
        spread = taste.covariance.trace() + taste.mean @ taste.mean
        return float(likelihood - spread / 2 - factor.diagonal().log().sum())

    def xi(self, taste: Normal) -> Tensor:
        """Return √E[z²] [n]."""
        mean = _with_one(taste.mean)
        moments = torch.outer(mean, mean)
        moments[:-1, :-1] += taste.covariance
        squares = ((moments @ self.means) * self.means).sum(0)
        met = (self.places @ moments @ self.places.T).flatten()
        return squares.addmv_(self.covariances, met).clamp_(min=0).sqrt_()


def _with_one(mean: Tensor) -> Tensor:
    return torch.cat([mean, mean.new_ones(1)])
