"""Metrics of scores and of rankings, and the bins of a reliability diagram.

Without torch, for processes that only show them; `models.recommender.evaluation` computes them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoreMetrics:
    """Metrics of scores, means over the responses; ``auc`` is None when all are likes or all dislikes."""

    responses: int
    auc: float | None
    log_loss: float
    brier: float
    calibration_error: float
    accuracy: float


@dataclass(frozen=True)
class Bin:
    """The responses whose score lies from ``lower`` to below ``upper`` (the last bin's includes 1).

    The means are None where there are no responses.
    """

    lower: float
    upper: float
    responses: int
    mean_score: float | None
    mean_response: float | None


@dataclass(frozen=True)
class RankingMetrics:
    """Metrics of rankings, means over the ``users`` with a held-out like, None when there is none."""

    users: int
    ndcg_at_10: float | None
    recall_at_10: float | None
