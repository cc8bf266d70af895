"""One user learned alone: the users' half-step to its end, with the items held where they are.

One user is small: what counts is how few operations an update takes, where `users` counts multiplications.
Two changes of coordinates make them few:

- a logit is [e, 1] · φ̃ with φ̃ = [φ, b], so that E[φ̃φ̃ᵀ] holds all that the update and E[z²] need of an item;
- e = μ + R·s with s ~ N(0, 1), so that the prior is the identity. Outside the span of the answered items and
  the learned dimensions s stays as it was, so few answers to items with long vectors are a small problem.

Ends where `users.settled` ends. Does not know whose answers these are.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from models.recommender.mixed_effects.fixed_point import Image, settle_one
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.logistic import evidence
from models.recommender.mixed_effects.priors import Prior
from models.recommender.model import Prediction

_SETTLED = 1e-8


class Normal(NamedTuple):
    """A posterior: mean [n] and covariance [n, n], float64."""

    mean: Tensor
    covariance: Tensor


def learn(items: Items, answers: Tensor, population: Prior, near: Prediction | None = None) -> Normal:
    """Return what is known of e after ``answers`` [n] to these items [n].

    A prediction of their logits [n] that is near shortens the search; its end is the same.
    """
    root = population.root
    with torch.inference_mode():  # no bookkeeping for gradients: a fifth of the time of so small operations
        basis = _basis(items, root)
        known = _Known.of(items, answers.double(), population.mean, basis)
        first = known.logits(*known.prior) if near is None else near
        inner = settle_one(known.update, known.evidence(first)[0], _SETTLED)
        half = inner.half @ basis.T
        spread = half.T @ half
        if basis is not root:  # outside of the span the prior stands
            spread += population.covariance - basis @ basis.T
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


class _Inner(NamedTuple):
    """What is known of s: its mean [r], and H [r, r] with HᵀH its covariance."""

    mean: Tensor
    half: Tensor


@dataclass(frozen=True)
class _Known:
    """What the items say of s, whatever the answers weigh.

    means E[φ̃] [r + 1, n], features [r, n] and offsets [n] parts of it; covariances of [b, q] [n, K²]; places
    [K, r + 1], which of a vector that [b, q] meet, learned [K, r] and constant [K] parts of it; answers [n];
    eye [r + 1, r + 1] and its part one [r, r]; sums [r + 1, r + 1], room for each update, inner [r, r] and
    edge [r] parts of it. Turned and cut once: each takes as long as a small product.
    """

    means: Tensor
    turned_means: Tensor
    features: Tensor
    turned_features: Tensor
    offsets: Tensor
    covariances: Tensor
    places: Tensor
    turned_places: Tensor
    learned: Tensor
    turned_learned: Tensor
    constant: Tensor
    answers: Tensor
    eye: Tensor
    one: Tensor
    sums: Tensor
    inner: Tensor
    edge: Tensor

    @classmethod
    def of(cls, items: Items, answers: Tensor, mean: Tensor, basis: Tensor) -> "_Known":
        """Take it from the items [n] with answers [n], μ and R."""
        size = basis.shape[1]
        change = torch.zeros(len(mean) + 1, size + 1, dtype=basis.dtype)  # [e, 1] = change @ [s, 1]
        change[:-1, :-1], change[:-1, -1], change[-1, -1] = basis, mean, 1
        means = change.T @ items.moments.means.T
        places, eye = change[items.named :].roll(1, 0), torch.eye(size + 1, dtype=basis.dtype)
        learned, features, sums = places[:, :-1], means[:-1], torch.empty_like(eye)
        return cls(
            means=means,
            turned_means=means.T,
            features=features,
            turned_features=features.T,
            offsets=means[-1],
            covariances=items.moments.covariances,
            places=places,
            turned_places=places.T,
            learned=learned,
            turned_learned=learned.T,
            constant=places[:, -1],
            answers=answers,
            eye=eye,
            one=eye[:-1, :-1],
            sums=sums,
            inner=sums[:-1, :-1],
            edge=sums[:-1, -1],
        )

    @property
    def prior(self) -> _Inner:
        """What is known of s without the answers."""
        return _Inner(self.one.new_zeros(len(self.one)), self.one)

    def update(self, point: Tensor) -> Image[_Inner]:
        """Return the posterior for these weights and pulls [2n], those at its logits, and the bound."""
        weights, pulls = point.view(2, -1).unbind()
        weights = weights.clamp(min=0)
        torch.addmm(self.eye, self.means * weights, self.turned_means, out=self.sums)
        met = (weights @ self.covariances).view(len(self.places), -1)
        self.sums.addmm_(self.turned_places @ met, self.places)
        factor, _ = torch.linalg.cholesky_ex(self.inner)
        half = torch.linalg.solve_triangular(factor, self.one, upper=False)
        slope = torch.addmv(self.edge, self.features, pulls, beta=-1)
        mean = half.T @ (half @ slope)
        image, likelihood = self.evidence(self.logits(mean, half))
        spread = float(torch.linalg.vector_norm(half)) ** 2 + float(torch.dot(mean, mean))
        value = float(likelihood) - spread / 2 - float(factor.diagonal().log().sum())
        return Image(_Inner(mean, half), image, value)

    def logits(self, mean: Tensor, half: Tensor) -> Prediction:
        """Return what is known of the answers' logits [n] when s has this mean [r] and half [r, r]."""
        spread = half @ self.features
        side = torch.addmv(self.constant, self.learned, mean)
        met = half @ self.turned_learned
        both = torch.addmm(torch.outer(side, side), met.T, met)
        variance = (spread * spread).sum(0).addmv_(self.covariances, both.view(-1))
        return Prediction(torch.addmv(self.offsets, self.turned_features, mean), variance)

    def evidence(self, logits: Prediction) -> tuple[Tensor, Tensor]:
        """Return the weights and pulls [2n] of the answers with these logits [n], and E log p."""
        found = evidence(self.answers, logits.mean, logits.variance)
        return torch.cat([found.weights, found.pulls]), found.likelihood.sum()
