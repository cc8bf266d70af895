"""How far a figure would move with other users: users are drawn anew, with all their responses.

The same draws serve every model, so the difference between two is measured over the same users. Source: Efron
and Tibshirani, An introduction to the bootstrap, 1993. Does not know which models there are.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.task import Floats, Rows

_LEAST_SCORE = 1e-15  # as in models/recommender/evaluation.py


@dataclass(frozen=True)
class Users:
    """Whose each response is, int64 [n], and how often each user is drawn: [draws, users]."""

    rows: Rows
    counts: Floats

    @classmethod
    def drawn(cls, users: Rows, draws: int = 1000, seed: int = 1) -> "Users":
        """Draw as many users as there are, with replacement, ``draws`` times."""
        named, rows = np.unique(users, return_inverse=True)
        generator = np.random.default_rng(seed)
        chances = np.full(len(named), 1 / len(named))
        return cls(rows, generator.multinomial(len(named), chances, draws).astype(np.float64))


def aucs(scores: Floats, values: Floats, users: Users) -> Floats:
    """Return the pooled AUC in each draw; ties count half."""
    order = np.argsort(scores, kind="stable")
    rows, likes = users.rows[order], values[order]
    sorted_scores = scores[order]
    starts = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])
    result = np.empty(len(users.counts))
    for draw, counts in enumerate(users.counts):
        weights = counts[rows]
        liked = np.add.reduceat(weights * likes, starts)
        disliked = np.add.reduceat(weights * (1 - likes), starts)
        below = disliked.cumsum() - disliked
        result[draw] = (liked * (below + disliked / 2)).sum() / (liked.sum() * disliked.sum())
    return result


def log_losses(scores: Floats, values: Floats, users: Users) -> Floats:
    """Return the mean log loss in each draw."""
    safe = np.clip(scores, _LEAST_SCORE, 1 - _LEAST_SCORE)
    losses = -(values * np.log(safe) + (1 - values) * np.log1p(-safe))
    size = users.counts.shape[1]
    sums = users.counts @ np.bincount(users.rows, losses, size)
    return sums / (users.counts @ np.bincount(users.rows, minlength=size))
