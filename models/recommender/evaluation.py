"""How good scores and rankings are on responses that no training saw.

A score is a predicted probability of a like, a response r in [0, 1] the outcome. Metrics of likes and
dislikes count a response between them as r of a like and 1 − r of a dislike. All sums are in float64.
Sources:

    AUC                Fawcett, An introduction to ROC analysis, 2006: the share of all pairs of a like and a
                       dislike in which the like has the higher score, ties counting half
    log loss           Good, Rational decisions, 1952
    Brier score        Brier, Verification of forecasts expressed in terms of probability, 1950
    calibration error  Naeini, Cooper & Hauskrecht, Obtaining well calibrated probabilities using Bayesian
                       binning, 2015: the expected calibration error
    NDCG               Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002, with the
                       now usual discount 1 / log₂(rank + 1)
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.recommender.data import BadResponsesError, Responses
from models.recommender.metrics import Bin, RankingMetrics, ScoreMetrics

_LIKE = 0.5  # from here on a response is a like, and a score says so
_BINS = 15
_DEPTH = 10  # items of a ranking that count
_LEAST_SCORE = 1e-15  # a score of 0 or 1 that is wrong costs 34.5, not infinitely much


def evaluate(scores: Tensor, values: Tensor) -> ScoreMetrics:
    """Measure scores [responses] in [0, 1] against responses ``values`` [responses] in [0, 1].

    The order of the responses changes no bit of the result. Raises `BadResponsesError` when there are none,
    or when one lies outside [0, 1]; `ValueError` when the scores are not one a response in [0, 1].
    """
    scores, values = _canonical_order(scores, values)
    safe = scores.clamp(_LEAST_SCORE, 1.0 - _LEAST_SCORE)
    _, score_sums, value_sums = _binned(scores, values, _BINS)
    return ScoreMetrics(
        responses=values.shape[0],
        auc=_auc(scores, values),
        log_loss=-float((values * safe.log() + (1.0 - values) * torch.log1p(-safe)).mean()),
        brier=float(((scores - values) ** 2).mean()),
        # Σ n_b / n · |mean score − mean response|, where n_b times a mean is the sum
        calibration_error=float((score_sums - value_sums).abs().sum()) / values.shape[0],
        accuracy=float(((scores >= _LIKE) == (values >= _LIKE)).double().mean()),
    )


def reliability(scores: Tensor, values: Tensor, bins: int = _BINS) -> list[Bin]:
    """Return the reliability diagram: ``bins`` bins of equal width from 0 to 1, empty ones too.

    Takes and raises what `evaluate` does; the calibration error is this diagram's.
    """
    counts, score_sums, value_sums = _binned(*_canonical_order(scores, values), bins)
    edges = _edges(bins).tolist()
    sums = zip(counts.tolist(), score_sums.tolist(), value_sums.tolist(), strict=True)
    return [
        Bin(edges[b], edges[b + 1], n, score / n if n else None, value / n if n else None)
        for b, (n, score, value) in enumerate(sums)
    ]


def evaluate_rankings(rankings: Tensor, held_out: Responses) -> RankingMetrics:
    """Measure rankings int64 [users, k] of item rows, best first, by the users' held-out responses.

    Row u is user u's; with fewer than k items to rank it ends in −1. Only the first ten count. With
    gain r for an item whose held-out response is r, and 0 for any other,

        NDCG@10 = Σ gain at rank / log₂(rank + 1), over the same of the held-out responses in the best order
        recall@10 = held-out likes (r ≥ ½) among the first ten, over all the user's held-out likes

    Users without a held-out like are left out. Raises `ValueError` when the rankings are not one a user, or
    one holds what is no item's row, or an item twice.
    """
    _check(rankings, held_out)
    likes = torch.bincount(held_out.user_rows[held_out.values >= _LIKE], minlength=held_out.users)
    has_like = likes > 0
    users = int(has_like.sum())
    if users == 0:
        return RankingMetrics(0, None, None)
    gains = _gains(rankings, held_out)
    ndcg = (_discounted_gain(gains) / _discounted_gain(_ideal_gains(held_out)))[has_like]
    recall = ((gains >= _LIKE).sum(dim=1).double() / likes)[has_like]
    return RankingMetrics(users, float(ndcg.mean()), float(recall.mean()))


def _canonical_order(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in float64 by ascending score, then response, so that no sum depends on their order."""
    if not (scores.shape == values.shape and values.dim() == 1):
        raise ValueError("each response needs one score")
    if values.numel() == 0:
        raise BadResponsesError("there are no responses to evaluate on")
    if not bool(((scores >= 0) & (scores <= 1)).all()):
        raise ValueError("a score lies outside 0 to 1")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise BadResponsesError("a response lies outside 0 to 1")
    by_value = torch.argsort(values, stable=True)
    order = by_value[torch.argsort(scores[by_value], stable=True)]
    return scores[order].double(), values[order].double()


def _auc(scores: Tensor, values: Tensor) -> float | None:
    """Return the AUC of ascending scores, where a response is both r of a like and 1 − r of a dislike.

    Each group of equal scores wins against all dislikes below it, and half of those within it.
    """
    _, groups = torch.unique_consecutive(scores, return_inverse=True)
    likes = torch.bincount(groups, weights=values)
    dislikes = torch.bincount(groups, weights=1.0 - values)
    pairs = float(likes.sum() * dislikes.sum())
    if pairs == 0:
        return None
    below = dislikes.cumsum(0) - dislikes
    return min(1.0, float((likes * (below + dislikes / 2.0)).sum()) / pairs)  # rounding may pass 1


def _edges(bins: int) -> Tensor:
    """Return where bins of equal width begin and end: float64 [bins + 1]."""
    return torch.arange(bins + 1, dtype=torch.float64) / bins


def _binned(scores: Tensor, values: Tensor, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of responses in each bin of the score, their scores' sum, and their own: [bins]."""
    places = torch.bucketize(scores, _edges(bins)[1:-1], right=True)  # right: an edge begins a bin
    counts = torch.bincount(places, minlength=bins)
    score_sums = torch.bincount(places, weights=scores, minlength=bins)
    return counts, score_sums, torch.bincount(places, weights=values, minlength=bins)


def _check(rankings: Tensor, held_out: Responses) -> None:
    if rankings.dim() != 2 or rankings.shape[0] != held_out.users:  # noqa: PLR2004 - users × ranks
        raise ValueError("each user needs one ranking")
    if bool(((rankings < -1) | (rankings >= held_out.items)).any()):
        raise ValueError(f"a ranking holds a row outside 0 to {held_out.items - 1}")
    ascending = rankings.sort(dim=1).values
    if bool(((ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] >= 0)).any()):
        raise ValueError("a ranking holds the same item twice")


def _gains(rankings: Tensor, held_out: Responses) -> Tensor:
    """Return the held-out responses to the items ranked first, 0 where there is none: float64 [users, 10]."""
    rankings = pad(rankings[:, :_DEPTH], (0, max(0, _DEPTH - rankings.shape[1])), value=-1)
    # One cell more than the matrix has, so that every search ends at a cell.
    end = held_out.item_rows.new_tensor([held_out.users * held_out.items])
    cells = torch.cat([held_out.user_rows * held_out.items + held_out.item_rows, end])
    values = torch.cat([held_out.values.double(), torch.zeros(1, dtype=torch.float64)])
    first_cells = torch.arange(held_out.users)[:, None] * held_out.items
    ranked_cells = torch.where(rankings >= 0, first_cells + rankings, -1).contiguous()
    indices = torch.searchsorted(cells, ranked_cells)
    return torch.where(cells[indices] == ranked_cells, values[indices], 0.0)


def _ideal_gains(held_out: Responses) -> Tensor:
    """Return each user's ten largest held-out responses, best first, then 0: float64 [users, 10]."""
    best_first = torch.argsort(held_out.values, descending=True, stable=True)
    order = best_first[torch.argsort(held_out.user_rows[best_first], stable=True)]
    places = torch.arange(order.shape[0]) - held_out.offsets[held_out.user_rows]
    first = places < _DEPTH
    gains = torch.zeros(held_out.users, _DEPTH, dtype=torch.float64)
    gains[held_out.user_rows[first], places[first]] = held_out.values[order[first]].double()
    return gains


def _discounted_gain(gains: Tensor) -> Tensor:
    """Return the discounted cumulated gain: float64 [users] of gains [users, 10]."""
    ranks = torch.arange(1, _DEPTH + 1, dtype=torch.float64)
    return (gains / torch.log2(ranks + 1.0)).sum(dim=1)
