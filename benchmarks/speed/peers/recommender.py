"""The mixed-effects model as a user would write it down in torch, with everything in memory.

    E[z] = appeal + x · mean,   var z = Σ S∘V + x·C·x,   logit = E[z] / √(1 + π·var/8)

float32, as torch is used; V are the items' covariances, C the user's, S = E[ψψᵀ] with ψ = [1, the user's
learned part]. Knows nothing of Likely but the numbers that it was given.
"""

from dataclasses import dataclass
from math import pi
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Recommender:
    """The items, and each user's posterior."""

    movies: list[str]
    titles: list[str]
    features: Tensor  # [items, P]
    appeals: Tensor  # [items]
    covariances: Tensor  # [items, K, K]
    means: dict[str, Tensor]  # [P] a user
    spreads: dict[str, Tensor]  # [P, P] a user: their covariance
    answered: dict[str, Tensor]  # rows of the items that the user has answered

    @classmethod
    def load(cls, path: Path) -> "Recommender":
        """Read it from a file."""
        return cls(**torch.load(path))

    def save(self, path: Path) -> None:
        """Write it to a file."""
        torch.save(vars(self), path)

    def recommend(self, user: str, limit: int) -> list[dict[str, str | float]]:
        """Return the best movies that the user has not answered."""
        mean, spread = self.means[user], self.spreads[user]
        result = self.covariances.shape[1] - 1
        side = torch.cat([torch.ones(1), mean[-result:]])
        both = torch.outer(side, side)
        both[1:, 1:] += spread[-result:, -result:]
        variance = (self.covariances * both).sum((1, 2)) + ((self.features @ spread) * self.features).sum(1)
        logits = (self.appeals + self.features @ mean) / torch.sqrt(1 + pi / 8 * variance)
        logits[self.answered[user]] = -torch.inf
        best = torch.topk(logits, limit)
        scores = torch.sigmoid(best.values).tolist()
        return [
            {"movie": self.movies[row], "title": self.titles[row], "score": score, "logit": logit}
            for row, score, logit in zip(best.indices.tolist(), scores, best.values.tolist(), strict=True)
        ]
