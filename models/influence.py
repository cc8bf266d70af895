"""Which of a user's own answers moved a score most: the score as it would be without each.

The model names the likeliest answers to first order; each of these is left out in turn, and the user
relearned without it. Does not know how a model relearns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.model import Model, Taste


@dataclass(frozen=True)
class Influence:
    """One answer's influence: its place among the answers, and the logit without it."""

    place: int
    logit_without: float


def most_influential(
    model: Model,
    taste: Taste,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    limit: int,
) -> list[list[Influence]]:
    """Return for each target item up to ``limit`` of the answers, the one that moved its logit most first.

    ``rows`` [n] and ``answers`` [n] are all of the user's, ``taste`` what was learned of them.
    """
    limit = min(limit, len(rows))
    moved = model.influences(taste, rows, answers, targets, others_squared_norm).abs()
    likeliest = torch.topk(moved, limit, dim=1).indices
    without = {}
    for place in torch.unique(likeliest).tolist():
        kept = torch.arange(len(rows)) != place
        left = _without(model, rows[kept], answers[kept], taste, others_squared_norm)
        without[place] = None if left is None else model.predict(left, targets).logits
    logits = model.predict(taste, targets).logits
    found = []
    for number, places in enumerate(likeliest.tolist()):
        each = [Influence(place, _logit(without[place], number)) for place in places]
        found.append(
            sorted(each, key=lambda one: (-abs(float(logits[number]) - one.logit_without), one.place))
        )
    return found


def _without(
    model: Model, rows: Tensor, answers: Tensor, start: Taste, others_squared_norm: float
) -> Taste | None:
    if len(rows) == 0:
        return model.newcomer()
    return model.relearn(rows, answers, start, others_squared_norm)


def _logit(logits: Tensor | None, number: int) -> float:
    """Return a logit; 0, an even chance, from a model that knows nothing of somebody without answers."""
    return 0.0 if logits is None else float(logits[number])
