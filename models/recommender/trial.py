"""A trial: a trainer learns from a part of the responses and is measured on the rest, which it did not see.

Does not know what is done with the verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender import scoring
from models.recommender.data import BadResponsesError, Responses
from models.recommender.evaluation import Bin, Metrics, Rankings, evaluate, evaluate_rankings, reliability
from models.recommender.holdout import Holdout, held_out, kept
from models.recommender.trainer import Trainer

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


def run_trial(trainer: Trainer, split: Split, seed: int, check: Callable[[], None]) -> Trial:
    """Learn from what is seen and measure on what is not; raises what `Trainer.fit` raises.

    ``check`` is called after each step and each ranking, and may raise to stop.
    """
    learned = trainer.fit(split.seen, seed, lambda _: check())
    known = torch.ones(split.seen.items, dtype=torch.bool)
    model = trainer.restore(learned.shared, split.seen.item_vectors, learned.items, known)
    unseen = split.unseen
    predicted = model.predict_pairs(learned.posteriors, unseen.user_rows, unseen.item_rows)

    def best(user: int, answered: Tensor) -> Tensor:
        check()
        return model.best(learned.posteriors[user], _DEPTH, answered, -torch.inf).rows

    return _measured(split, scoring.scores(predicted.logits), best, seed)


def try_item_means(split: Split, seed: int) -> Trial:
    """Measure what has to be beaten: each item's mean response, drawn to everybody's by one response more."""
    seen, everybody = split.seen, split.seen.values.double().mean()
    sums = torch.bincount(seen.item_rows, seen.values.double(), seen.items)
    means = (sums + everybody) / (torch.bincount(seen.item_rows, minlength=seen.items) + 1)

    def best(_: int, answered: Tensor) -> Tensor:
        left = means.clone()
        left[answered] = -torch.inf
        order = torch.argsort(left, descending=True, stable=True)[:_DEPTH]
        return order[left[order] >= 0]

    return _measured(split, means[split.unseen.item_rows], best, seed)


def _measured(split: Split, scores: Tensor, best: Callable[[int, Tensor], Tensor], seed: int) -> Trial:
    values = split.unseen.values
    return Trial(evaluate(scores, values), _rank(split, best, seed), reliability(scores, values))


def _rank(split: Split, best: Callable[[int, Tensor], Tensor], seed: int) -> Rankings:
    """Rank what each user did not answer to, as recommendations do; of many users a sample by the seed.

    ``best`` returns a user's best rows without those that they answered.
    """
    asked = torch.nonzero(split.unseen.offsets.diff() > 0)[:, 0]
    drawn = torch.randperm(len(asked), generator=torch.Generator().manual_seed(seed))[:_RANKED_USERS]
    users = asked[drawn].sort().values
    rankings = torch.full((len(users), _DEPTH), -1)
    offsets = split.seen.offsets.tolist()
    for line, user in enumerate(users.tolist()):
        answered = split.seen.item_rows[offsets[user] : offsets[user + 1]]
        rows = best(user, answered)
        rankings[line, : len(rows)] = rows
    return evaluate_rankings(rankings, _only(split.unseen, users))


def _only(responses: Responses, users: Tensor) -> Responses:
    """Return the responses of these users [n], ascending, as a matrix of n rows."""
    chosen = torch.zeros(responses.users, dtype=torch.bool)
    chosen[users] = True
    mask = chosen[responses.user_rows]
    counts = responses.offsets.diff()[users]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Responses(responses.item_vectors, offsets, responses.item_rows[mask], responses.values[mask])
