"""Evaluation: each metric against its definition written as a loop, and against known answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from json import dumps, loads
from math import fsum, inf, log, log2, nan
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from torch import Tensor

from models.recommender.data import BadResponsesError, Responses
from models.recommender.evaluation import evaluate, evaluate_rankings, reliability
from models.recommender.holdout import select
from models.recommender.metrics import RankingMetrics, ScoreMetrics
from tests.models.recommender.problems import generator, random_responses

# Steps of 1/64 are exact in binary, so that transforming them exactly creates and breaks no ties.
GRID = st.integers(0, 64).map(lambda step: step / 64)
PAIRS = st.lists(st.tuples(GRID, GRID), min_size=1, max_size=40)
RISING: Mapping[str, Callable[[float], float]] = {
    "square": lambda score: score**2,
    "line": lambda score: 0.25 + score / 2,
    "hyperbola": lambda score: score / (2 - score),
}
Pairs = Sequence[tuple[float, float]]


def measure(pairs: Pairs) -> ScoreMetrics:
    return evaluate(*columns(pairs))


def columns(pairs: Pairs) -> tuple[Tensor, Tensor]:
    scores, values = torch.tensor(pairs, dtype=torch.float64).T
    return scores, values


def auc_by_all_pairs(pairs: Pairs) -> Fraction | None:
    """Ask of every like and every dislike which has the higher score; exact."""
    wins = total = Fraction(0)
    for like_score, like in pairs:
        for dislike_score, value in pairs:
            weight = Fraction(like) * (1 - Fraction(value))
            total += weight
            wins += weight * Fraction((like_score > dislike_score) + (like_score >= dislike_score), 2)
    return wins / total if total else None


def log_loss_by_loop(pairs: Pairs) -> float:
    terms = []
    for score, value in pairs:
        safe = min(max(score, 1e-15), 1 - 1e-15)
        terms.append(-value * log(safe) - (1 - value) * log(1 - safe))
    return fsum(terms) / len(pairs)


def calibration_error_by_loop(pairs: Pairs, bins: int = 15) -> float:
    total = 0.0
    for b in range(bins):
        inside = [
            (score, value)
            for score, value in pairs
            if Fraction(b, bins) <= Fraction(score) < Fraction(b + 1, bins) or (b == bins - 1 and score == 1)
        ]
        if inside:
            mean_score = fsum(score for score, _ in inside) / len(inside)
            mean_response = fsum(value for _, value in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(mean_score - mean_response)
    return total


def rankings_by_loop(rankings: Sequence[Sequence[int]], held_out: Responses) -> RankingMetrics:
    table: list[dict[int, float]] = [{} for _ in rankings]
    triples = (held_out.user_rows.tolist(), held_out.item_rows.tolist(), held_out.values.tolist())
    for user, item, value in zip(*triples, strict=True):
        table[user][item] = value
    ndcg, recall = [], []
    for ranking, responses in zip(rankings, table, strict=True):
        likes = {item for item, value in responses.items() if value >= 0.5}
        if likes:
            best = sorted(responses.values(), reverse=True)[:10]
            ideal = sum(gain / log2(rank + 1) for rank, gain in enumerate(best, start=1))
            gains = [responses.get(item, 0.0) for item in ranking[:10]]
            ndcg.append(sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1)) / ideal)
            recall.append(len(likes & set(ranking[:10])) / len(likes))
    users = len(ndcg)
    return (
        RankingMetrics(users, sum(ndcg) / users, sum(recall) / users)
        if users
        else RankingMetrics(0, None, None)
    )


def held_out_of(*users: dict[int, float], items: int = 20) -> Responses:
    triples = [
        (user, item, value) for user, responses in enumerate(users) for item, value in responses.items()
    ]
    user_rows, item_rows = (torch.tensor([triple[i] for triple in triples]) for i in (0, 1))
    values = torch.tensor([triple[2] for triple in triples])
    return Responses.from_triples(torch.zeros(items, 0), user_rows, item_rows, values, len(users))


@given(PAIRS)
def test_auc_is_the_share_of_all_pairs_in_which_the_like_scores_higher(pairs: Pairs) -> None:
    expected = auc_by_all_pairs(pairs)
    assert measure(pairs).auc == (None if expected is None else pytest.approx(float(expected), abs=1e-12))


def test_auc_of_likes_and_dislikes_is_the_mann_whitney_statistic() -> None:
    scores = (torch.rand(2000, generator=generator(1), dtype=torch.float64) * 100).round() / 100
    values = (torch.rand(2000, generator=generator(2)) < scores).float()
    likes, dislikes = scores[values == 1].numpy(), scores[values == 0].numpy()
    expected = mannwhitneyu(likes, dislikes).statistic / (len(likes) * len(dislikes))
    assert evaluate(scores, values).auc == pytest.approx(expected, abs=1e-12)


@given(PAIRS)
def test_log_loss_is_the_mean_cross_entropy(pairs: Pairs) -> None:
    assert measure(pairs).log_loss == pytest.approx(log_loss_by_loop(pairs), rel=1e-12, abs=1e-14)


@given(PAIRS)
def test_brier_is_the_mean_squared_error(pairs: Pairs) -> None:
    expected = fsum((score - value) ** 2 for score, value in pairs) / len(pairs)
    assert measure(pairs).brier == pytest.approx(expected, rel=1e-12, abs=1e-15)


@given(PAIRS)
def test_accuracy_is_the_share_on_the_right_side_of_a_half(pairs: Pairs) -> None:
    right = sum((score >= 0.5) == (value >= 0.5) for score, value in pairs)
    assert measure(pairs).accuracy == pytest.approx(right / len(pairs), abs=1e-15)


@given(PAIRS)
def test_calibration_error_is_the_weighted_gap_of_15_bins(pairs: Pairs) -> None:
    error = measure(pairs).calibration_error
    assert error == pytest.approx(calibration_error_by_loop(pairs), abs=1e-12)
    assert 0 <= error <= 1


@given(PAIRS)
def test_the_calibration_error_is_read_off_the_reliability_diagram(pairs: Pairs) -> None:
    bins = reliability(*columns(pairs))
    assert [(b.lower, b.upper) for b in bins] == [(i / 15, (i + 1) / 15) for i in range(15)]
    assert sum(b.responses for b in bins) == len(pairs)
    gaps = []
    for b in bins:
        if b.mean_score is None or b.mean_response is None:
            assert (b.responses, b.mean_score, b.mean_response) == (0, None, None)
        else:
            assert b.lower <= b.mean_score <= b.upper
            gaps.append(b.responses / len(pairs) * abs(b.mean_score - b.mean_response))
    assert measure(pairs).calibration_error == pytest.approx(sum(gaps), abs=1e-12)


def test_an_edge_begins_a_bin_and_1_ends_the_last() -> None:
    scores = torch.tensor([0.0, 0.2499, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    assert [b.responses for b in reliability(scores, scores, bins=4)] == [2, 1, 1, 2]
    edges = torch.arange(16, dtype=torch.float64) / 15
    assert [b.responses for b in reliability(edges, edges)] == [1] * 14 + [2]


def test_scores_that_come_true_as_often_as_they_say_have_no_calibration_error() -> None:
    # Of 16 responses with the score k/16, k are likes: one score a bin, apart from 0 and 1/16.
    pairs = [(k / 16, float(i < k)) for k in range(17) for i in range(16)]
    assert measure(pairs).calibration_error == 0
    assert all(b.mean_score == b.mean_response for b in reliability(*columns(pairs)))


@pytest.mark.parametrize("likes", [0, 3, 10])
def test_the_share_of_likes_as_everybody_s_score_is_calibrated(likes: int) -> None:
    pairs = [(likes / 10, float(i < likes)) for i in range(10)]
    assert measure(pairs).calibration_error == pytest.approx(0, abs=1e-15)


def test_perfect_scores_have_the_best_of_every_measure() -> None:
    metrics = measure([(0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0)])
    assert 0 <= metrics.log_loss < 1e-14
    assert replace(metrics, log_loss=0.0) == ScoreMetrics(4, 1.0, 0.0, 0.0, 0.0, 1.0)


def test_reversed_scores_have_the_worst_of_every_measure_and_a_finite_log_loss() -> None:
    metrics = measure([(1.0, 0.0), (0.0, 1.0)])
    # −log 1e-15 is 15 · log 10; the other score, 1 − 1e-15, is rounded to a multiple of 2⁻⁵³.
    assert metrics.log_loss == pytest.approx(15 * log(10), abs=1e-2)
    assert replace(metrics, log_loss=0.0) == ScoreMetrics(2, 0.0, 0.0, 1.0, 1.0, 0.0)


def test_a_constant_score_of_a_half_knows_nothing() -> None:
    metrics = measure([(0.5, 0.0), (0.5, 1.0), (0.5, 1.0), (0.5, 0.0)])
    assert metrics.log_loss == pytest.approx(log(2))
    assert replace(metrics, log_loss=0.0) == ScoreMetrics(4, 0.5, 0.0, 0.25, 0.0, 0.5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_alone_has_no_auc_and_all_else(value: float) -> None:
    metrics = measure([(0.25, value), (0.75, value)])
    assert metrics.auc is None
    assert metrics.log_loss == pytest.approx(-log(0.25 * 0.75) / 2)
    assert metrics.accuracy == 0.5


def test_a_single_response_between_like_and_dislike_ties_with_itself() -> None:
    assert measure([(0.9, 0.25)]).auc == 0.5


@pytest.mark.parametrize("transform", RISING.values(), ids=RISING)
@given(PAIRS)
def test_auc_stays_under_a_rising_transform(transform: Callable[[float], float], pairs: Pairs) -> None:
    assert measure([(transform(score), value) for score, value in pairs]).auc == measure(pairs).auc


@given(PAIRS)
def test_auc_of_flipped_scores_or_of_flipped_responses_is_what_is_left_to_1(pairs: Pairs) -> None:
    auc = measure(pairs).auc
    for transformed_pairs in (
        [(1 - score, value) for score, value in pairs],
        [(score, 1 - value) for score, value in pairs],
    ):
        transformed_auc = measure(transformed_pairs).auc
        assert (transformed_auc is None) == (auc is None)
        if auc is not None:
            assert transformed_auc == pytest.approx(1 - auc, abs=1e-12)


@given(PAIRS)
def test_calling_likes_dislikes_and_scores_their_opposite_changes_no_measure(pairs: Pairs) -> None:
    metrics, mirror_metrics = measure(pairs), measure([(1 - score, 1 - value) for score, value in pairs])
    assert mirror_metrics.auc == (None if metrics.auc is None else pytest.approx(metrics.auc, abs=1e-12))
    # A score of 1 is clamped to a rounded number: −log(1 − (1 − 1e-15)) is 34.5 to two digits.
    assert mirror_metrics.log_loss == pytest.approx(metrics.log_loss, rel=1e-3, abs=1e-14)
    assert mirror_metrics.brier == pytest.approx(metrics.brier, abs=1e-15)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_the_responses_changes_no_bit(pairs: Pairs, random: Random) -> None:
    permutation = list(pairs)
    random.shuffle(permutation)
    assert measure(permutation) == measure(pairs)


@pytest.mark.parametrize("copies", [2, 5])
def test_every_response_many_times_changes_nothing(copies: int) -> None:
    pairs = [(0.3, 1.0), (0.1, 0.0), (0.7, 0.4), (0.9, 1.0)]
    once, often = measure(pairs), measure(pairs * copies)
    for name in ("auc", "log_loss", "brier", "calibration_error", "accuracy"):
        assert getattr(often, name) == pytest.approx(getattr(once, name), rel=1e-12)


def test_sums_over_many_float32_numbers_lose_no_digits() -> None:
    scores, values = torch.full((1_000_000,), 0.1), torch.zeros(1_000_000)
    score = float(scores[0])
    metrics = evaluate(scores, values)
    assert metrics.brier == pytest.approx(score**2, rel=1e-12)
    assert metrics.log_loss == pytest.approx(-log(1 - score), rel=1e-12)
    assert metrics.calibration_error == pytest.approx(score, rel=1e-9)


def test_results_survive_json() -> None:
    pairs = [(0.25, 1.0), (0.75, 0.0), (0.5, 0.5)]
    results = [measure(pairs), *reliability(*columns(pairs))]
    results.append(evaluate_rankings(torch.tensor([[1, 0]]), held_out_of({0: 1.0})))
    for result in results:
        assert type(result)(**loads(dumps(vars(result)))) == result


def test_nothing_to_evaluate_on_is_refused() -> None:
    for function in (evaluate, reliability):
        with pytest.raises(BadResponsesError, match="no responses"):
            function(torch.empty(0), torch.empty(0))


@pytest.mark.parametrize("number", [nan, inf, -inf, -0.001, 1.001])
def test_a_score_or_response_outside_0_to_1_is_refused(number: float) -> None:
    good, bad = torch.tensor([0.5, 0.5]), torch.tensor([0.5, number])
    with pytest.raises(ValueError, match="score lies outside 0 to 1"):
        evaluate(bad, good)
    with pytest.raises(BadResponsesError, match="response lies outside 0 to 1"):
        evaluate(good, bad)


@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_scores_that_are_not_one_a_response_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one score"):
        evaluate(torch.full(shape, 0.5), torch.full((3,), 0.5))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length", [1, 7, 10, 14])
def test_rankings_are_measured_as_their_definitions_read(seed: int, length: int) -> None:
    held_out = random_responses(seed, users=30, items=25, share=0.3 if seed % 2 else 0.9)
    draws = torch.rand(30, 25, generator=generator(seed + 100))
    rankings = draws.argsort(dim=1)[:, :length]
    rankings[::3, length // 2 :] = -1
    actual, expected = evaluate_rankings(rankings, held_out), rankings_by_loop(rankings.tolist(), held_out)
    assert actual.users == expected.users > 0
    assert actual.ndcg_at_10 == pytest.approx(expected.ndcg_at_10, rel=1e-12)
    assert actual.recall_at_10 == pytest.approx(expected.recall_at_10, rel=1e-12)


def test_the_held_out_likes_first_is_the_perfect_ranking() -> None:
    held_out = held_out_of({3: 1.0, 5: 0.75, 7: 0.0}, {0: 0.5})
    assert evaluate_rankings(torch.tensor([[3, 5, 1], [0, 4, 2]]), held_out) == RankingMetrics(2, 1.0, 1.0)


def test_none_of_the_held_out_likes_is_the_worst_ranking() -> None:
    held_out = held_out_of({3: 1.0, 7: 0.0}, {19: 1.0})
    assert evaluate_rankings(torch.tensor([[7, 1], [0, -1]]), held_out) == RankingMetrics(2, 0.0, 0.0)


def test_a_like_at_the_third_place_counts_half() -> None:
    actual = evaluate_rankings(torch.tensor([[4, 8, 6]]), held_out_of({6: 1.0}))
    assert actual == RankingMetrics(1, 0.5, 1.0)  # 1 / log₂(3 + 1)


def test_a_ranking_of_ten_cannot_recall_twelve_likes() -> None:
    held_out = held_out_of(dict.fromkeys(range(12), 1.0))
    actual = evaluate_rankings(torch.arange(10)[None], held_out)
    assert actual == RankingMetrics(1, 1.0, 10 / 12)  # NDCG's ideal has ten places too


def test_a_response_below_a_half_is_gain_but_no_like() -> None:
    actual = evaluate_rankings(torch.tensor([[1, 0]]), held_out_of({0: 1.0, 1: 0.25}))
    gain, ideal = 0.25 + 1 / log2(3), 1 + 0.25 / log2(3)
    assert actual.ndcg_at_10 == pytest.approx(gain / ideal)
    assert actual.recall_at_10 == 1.0


def test_users_without_a_held_out_like_are_left_out() -> None:
    held_out = held_out_of({0: 0.0}, {1: 1.0}, {2: 0.49}, {}, {3: 1.0})
    rankings = torch.tensor([[0], [1], [2], [3], [0]])
    assert evaluate_rankings(rankings, held_out) == RankingMetrics(2, 0.5, 0.5)


def test_where_no_user_is_left_there_is_no_number() -> None:
    held_out = held_out_of({0: 0.0}, {1: 0.25})
    no_responses = select(held_out, torch.zeros(2, dtype=torch.bool))
    for responses in (held_out, no_responses):
        assert evaluate_rankings(torch.tensor([[0], [1]]), responses) == RankingMetrics(0, None, None)


def test_an_empty_place_is_nobody_s_item() -> None:
    # −1 before a user's first item would be the last item of the user before.
    actual = evaluate_rankings(torch.tensor([[-1, -1], [-1, -1]]), held_out_of({1: 1.0}, {0: 1.0}, items=2))
    assert actual == RankingMetrics(2, 0.0, 0.0)


def test_rankings_of_no_places_recall_nothing() -> None:
    actual = evaluate_rankings(torch.empty(1, 0, dtype=torch.int64), held_out_of({1: 1.0}))
    assert actual == RankingMetrics(1, 0.0, 0.0)


def test_rankings_need_not_be_contiguous() -> None:
    held_out = held_out_of({0: 1.0, 1: 1.0}, {2: 1.0})
    assert evaluate_rankings(torch.tensor([[0, 2], [1, 3]]).T, held_out) == RankingMetrics(2, 1.0, 1.0)


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([[0, 1]], "one ranking"),
        ([[0], [1], [2]], "one ranking"),
        ([0, 1], "one ranking"),
        ([[0, 20], [1, 2]], "row outside 0 to 19"),
        ([[0, -2], [1, 2]], "row outside 0 to 19"),
        ([[0, 1], [2, 2]], "same item twice"),
    ],
)
def test_what_is_no_ranking_for_each_user_is_refused(rankings: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_rankings(torch.tensor(rankings), held_out_of({0: 1.0}, {1: 1.0}))
