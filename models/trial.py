"""A trial: a trainer learns from a part of the responses and is measured on the rest, which it did not see.

Does not know what is done with the verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models import scoring
from models.evaluation import Bin, Metrics, Rankings, evaluate, evaluate_rankings, reliability
from models.holdout import Holdout, held_out, kept
from models.model import Model, Tastes
from models.responses import BadResponsesError, Responses
from models.trainer import Step, Trainer

_RANKED_USERS = 2000
_DEPTH = 10


@dataclass(frozen=True)
class Trial:
    """What was measured: scores of held-out responses, and rankings of up to 2,000 users' unseen items."""

    metrics: Metrics
    rankings: Rankings
    reliability: list[Bin]


@dataclass(frozen=True)
class Split:
    """Responses to learn from, and responses to be measured on; users and items keep their rows."""

    seen: Responses
    unseen: Responses

    @classmethod
    def of(cls, responses: Responses, timestamps: Tensor, holdout: Holdout, seed: int) -> "Split":
        """Hold responses out; raises `BadResponsesError` when that is none of them."""
        mask = held_out(responses, timestamps, holdout, seed)
        if not bool(mask.any()):
            raise BadResponsesError(
                "the holdout holds out nothing to be measured on: nobody has answered often enough; "
                "take a larger fraction, or last_n, of users with two answers or more"
            )
        return cls(kept(responses, ~mask), kept(responses, mask))


def run_trial(trainer: Trainer, split: Split, seed: int, report: Callable[[Step], None]) -> Trial:
    """Learn from what is seen and measure on what is not; raises and reports as `Trainer.fit`."""
    learned = trainer.fit(split.seen, seed, report)
    known = torch.ones(split.seen.items, dtype=torch.bool)
    model = trainer.restore(learned.shared, split.seen.item_vectors, learned.items, known)
    unseen = split.unseen
    predicted = model.predict_pairs(learned.tastes, unseen.user_rows, unseen.item_rows)
    scores = scoring.scores(predicted.logits)
    return Trial(
        evaluate(scores, unseen.values),
        _rank(model, learned.tastes, split, seed),
        reliability(scores, unseen.values),
    )


def _rank(model: Model, tastes: Tastes, split: Split, seed: int) -> Rankings:
    """Rank what each user did not answer to, as recommendations do; of many users a sample by the seed."""
    asked = torch.nonzero(split.unseen.offsets.diff() > 0)[:, 0]
    drawn = torch.randperm(len(asked), generator=torch.Generator().manual_seed(seed))[:_RANKED_USERS]
    users = asked[drawn].sort().values
    rankings = torch.full((len(users), _DEPTH), -1)
    offsets = split.seen.offsets.tolist()
    for line, user in enumerate(users.tolist()):
        answered = split.seen.item_rows[offsets[user] : offsets[user + 1]]
        best = model.best(tastes[user], _DEPTH, answered, -torch.inf).rows
        rankings[line, : len(best)] = best
    return evaluate_rankings(rankings, _only(split.unseen, users))


def _only(responses: Responses, users: Tensor) -> Responses:
    """Return the responses of these users [n], ascending, as a matrix of n rows."""
    chosen = torch.zeros(responses.users, dtype=torch.bool)
    chosen[users] = True
    mask = chosen[responses.user_rows]
    counts = responses.offsets.diff()[users]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Responses(responses.item_vectors, offsets, responses.item_rows[mask], responses.values[mask])
