"""Which of a user's answers influenced a score most: leave-one-out influence.

Each answer is left out in turn, and the user folded in without it. Of many answers only those are tried whose
first-order influence is largest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender.model import Model, UserPosterior

_MOST_FOLD_INS = 60  # for all targets together


@dataclass(frozen=True)
class LeaveOneOut:
    """The logit without one of the answers, by its position among them."""

    position: int
    logit_without: float


def most_influential(
    model: Model,
    posterior: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    limit: int,
) -> list[list[LeaveOneOut]]:
    """Return for each target item up to ``limit`` of the answers, the one that changed its logit most first.

    ``rows`` [n] and ``answers`` [n] are all of the user's, ``posterior`` that of all of them.
    """
    candidates = _candidates(model, posterior, rows, answers, targets, others_squared_norm, limit)
    logits_without: dict[int, list[float]] = {}
    for position in torch.unique(candidates).tolist():
        others = torch.arange(len(rows)) != position
        without = _fold_in(model, rows[others], answers[others], posterior, others_squared_norm)
        # Without answers a model without a prior gives an even chance, logit 0.
        logits_without[position] = (
            [0.0] * len(targets) if without is None else model.predict(without, targets).logits.tolist()
        )
    logits = model.predict(posterior, targets).logits.tolist()
    influences = []
    for number, positions in enumerate(candidates.tolist()):
        of_target = [LeaveOneOut(position, logits_without[position][number]) for position in positions]
        changes = [abs(logits[number] - influence.logit_without) for influence in of_target]
        order = sorted(range(len(of_target)), key=lambda index: (-changes[index], index))
        influences.append([of_target[index] for index in order[:limit]])
    return influences


def _candidates(
    model: Model,
    posterior: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    limit: int,
) -> Tensor:
    """Return the positions of the answers to leave out for each target: int64 [targets, candidates]."""
    if len(rows) <= _MOST_FOLD_INS:
        return torch.arange(len(rows)).expand(len(targets), -1)
    count = max(limit, _MOST_FOLD_INS // max(1, len(targets)))
    influences = model.influences(posterior, rows, answers, targets, others_squared_norm).abs()
    return torch.topk(influences, count, dim=1).indices


def _fold_in(
    model: Model, rows: Tensor, answers: Tensor, start: UserPosterior, others_squared_norm: float
) -> UserPosterior | None:
    if len(rows) == 0:
        return model.cold_start()
    return model.fold_in(rows, answers, start, others_squared_norm)
