"""Scores that only rank, made into probabilities: a logistic regression on the score alone.

Source: Platt, Probabilistic outputs for support vector machines, 1999, with his targets, which keep few
responses from being taken for certainty. Does not know where scores come from.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.accuracy.task import Floats

_STEPS, _RIDGE = 50, 1e-9


@dataclass(frozen=True)
class Scaling:
    """P(like) = σ(intercept + slope · score)."""

    intercept: float
    slope: float

    @classmethod
    def fit(cls, scores: Floats, values: Floats) -> Self:
        """Fit to scores [n] and the responses [n] to what they scored, by Newton's method."""
        center, spread = scores.mean(), scores.std() or 1.0
        columns = np.stack([np.ones_like(scores), (scores - center) / spread], axis=1)
        likes = values.sum()
        high, low = (likes + 1) / (likes + 2), 1 / (len(values) - likes + 2)
        targets = low + values * (high - low)
        result = np.zeros(2)
        for _ in range(_STEPS):
            chances = _sigmoid(columns @ result)
            curvature = (columns * (chances * (1 - chances))[:, None]).T @ columns + _RIDGE * np.eye(2)
            step = np.linalg.solve(curvature, columns.T @ (targets - chances))
            result += step
            if np.abs(step).max() < _RIDGE:
                break
        slope = result[1] / spread
        return cls(float(result[0] - slope * center), float(slope))

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probabilities that scores [n] stand for."""
        return _sigmoid(self.intercept + self.slope * scores)


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))
