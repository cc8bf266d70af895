"""A trial: a trainer learns from a part of the responses and is evaluated on the held-out rest."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender import scoring
from models.recommender.data import BadResponsesError, Responses
from models.recommender.evaluation import evaluate, evaluate_rankings, reliability
from models.recommender.holdout import Holdout, held_out, select
from models.recommender.metrics import Bin, RankingMetrics, ScoreMetrics
from models.recommender.trainer import Trainer

_RANKED_USERS = 2000
_DEPTH = 10


@dataclass(frozen=True)
class Trial:
    """Metrics of the scores of held-out responses, and of rankings of up to 2,000 users' unseen items."""

    metrics: ScoreMetrics
    rankings: RankingMetrics
    reliability: list[Bin]


@dataclass(frozen=True)
class Split:
    """Responses to learn from, and held-out responses to evaluate on; users and items keep their rows."""

    seen: Responses
    unseen: Responses

    @classmethod
    def of(cls, responses: Responses, timestamps: Tensor, holdout: Holdout, seed: int) -> "Split":
        """Hold responses out; raises `BadResponsesError` when there are none to hold out."""
        mask = held_out(responses, timestamps, holdout, seed)
        if not bool(mask.any()):
            raise BadResponsesError(
                "the holdout holds out nothing to be measured on: nobody has answered often enough; "
                "take a larger fraction, or last_n, of users with two answers or more"
            )
        return cls(select(responses, ~mask), select(responses, mask))


def run_trial(trainer: Trainer, split: Split, seed: int, check: Callable[[], None]) -> Trial:
    """Learn from the seen responses and evaluate on the unseen ones; raises what `Trainer.fit` raises.

    ``check`` is called after each step and each ranking, and may raise to stop.
    """
    result = trainer.fit(split.seen, seed, lambda _: check())
    all_items = torch.ones(split.seen.items, dtype=torch.bool)
    model = trainer.restore(result.shared, split.seen.item_vectors, result.items, all_items)
    unseen = split.unseen
    prediction = model.predict_pairs(result.posteriors, unseen.user_rows, unseen.item_rows)

    def best(user: int, exclude: Tensor) -> Tensor:
        check()
        return model.best(result.posteriors[user], _DEPTH, exclude, -torch.inf).rows

    return _evaluated(split, scoring.scores(prediction.logits), best, seed)


def try_item_means(split: Split, seed: int) -> Trial:
    """Evaluate the baseline: each item's mean response, shrunk to the overall mean by one more response."""
    responses, overall_mean = split.seen, split.seen.values.double().mean()
    sums = torch.bincount(responses.item_rows, responses.values.double(), responses.items)
    counts = torch.bincount(responses.item_rows, minlength=responses.items)
    means = (sums + overall_mean) / (counts + 1)

    def best(_: int, exclude: Tensor) -> Tensor:
        ranks = means.clone()
        ranks[exclude] = -torch.inf
        order = torch.argsort(ranks, descending=True, stable=True)[:_DEPTH]
        return order[ranks[order] >= 0]

    return _evaluated(split, means[split.unseen.item_rows], best, seed)


def _evaluated(split: Split, scores: Tensor, best: Callable[[int, Tensor], Tensor], seed: int) -> Trial:
    values = split.unseen.values
    return Trial(evaluate(scores, values), _rank(split, best, seed), reliability(scores, values))


def _rank(split: Split, best: Callable[[int, Tensor], Tensor], seed: int) -> RankingMetrics:
    """Rank the items without a seen response, as recommendations do; of many users a sample by the seed.

    ``best`` returns a user's best rows but for those to exclude.
    """
    candidates = torch.nonzero(split.unseen.offsets.diff() > 0)[:, 0]
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(candidates), generator=generator)[:_RANKED_USERS]
    users = candidates[sample].sort().values
    rankings = torch.full((len(users), _DEPTH), -1)
    offsets = split.seen.offsets.tolist()
    for line, user in enumerate(users.tolist()):
        rows = best(user, split.seen.item_rows[offsets[user] : offsets[user + 1]])
        rankings[line, : len(rows)] = rows
    return evaluate_rankings(rankings, _only(split.unseen, users))


def _only(responses: Responses, users: Tensor) -> Responses:
    """Return the responses of these users [n], ascending, as a matrix of n rows."""
    user_mask = torch.zeros(responses.users, dtype=torch.bool)
    user_mask[users] = True
    mask = user_mask[responses.user_rows]
    counts = responses.offsets.diff()[users]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Responses(responses.item_vectors, offsets, responses.item_rows[mask], responses.values[mask])
