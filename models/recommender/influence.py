"""Which of a user's own answers moved a score most: the score as it would be without each.

Each answer is left out in turn, and the user relearned without it. Of many answers the model names the
likeliest to first order, and only these are tried. Does not know how a model relearns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender.model import Model, UserPosterior

_RELEARNED = 60  # answers left out, for all targets together, if the answers are so many


@dataclass(frozen=True)
class Influence:
    """One answer's influence: its place among the answers, and the logit without it."""

    place: int
    logit_without: float


def most_influential(
    model: Model,
    posterior: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    limit: int,
) -> list[list[Influence]]:
    """Return for each target item up to ``limit`` of the answers, the one that moved its logit most first.

    ``rows`` [n] and ``answers`` [n] are all of the user's, ``taste`` what was learned of them.
    """
    likeliest = _likeliest(model, posterior, rows, answers, targets, others_squared_norm, limit)
    without = {}
    for place in torch.unique(likeliest).tolist():
        kept = torch.arange(len(rows)) != place
        left = _without(model, rows[kept], answers[kept], posterior, others_squared_norm)
        without[place] = None if left is None else model.predict(left, targets).logits
    logits = model.predict(posterior, targets).logits.tolist()
    found = []
    for number, places in enumerate(likeliest.tolist()):
        each = [Influence(place, _logit(without[place], number)) for place in places]
        change = [abs(logits[number] - one.logit_without) for one in each]
        order = sorted(range(len(each)), key=lambda at: (-change[at], at))
        found.append([each[at] for at in order[:limit]])
    return found


def _likeliest(
    model: Model,
    posterior: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    limit: int,
) -> Tensor:
    """Return the places of the answers to try for each target: int64 [targets, tried]."""
    if len(rows) <= _RELEARNED:
        return torch.arange(len(rows)).expand(len(targets), -1)
    tried = max(limit, _RELEARNED // max(1, len(targets)))
    moved = model.influences(posterior, rows, answers, targets, others_squared_norm).abs()
    return torch.topk(moved, tried, dim=1).indices


def _without(
    model: Model, rows: Tensor, answers: Tensor, start: UserPosterior, others_squared_norm: float
) -> UserPosterior | None:
    if len(rows) == 0:
        return model.cold_start()
    return model.fold_in(rows, answers, start, others_squared_norm)


def _logit(logits: Tensor | None, number: int) -> float:
    """Return a logit; 0, an even chance, from a model that knows nothing of somebody without answers."""
    return 0.0 if logits is None else float(logits[number])
