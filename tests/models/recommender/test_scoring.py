"""Scoring: logits against exact sums, the best items against sorting all of them."""

from math import fsum, inf, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.recommender.scoring import Bound, Floats, Rows, best, best_of, logits, scores
from tests.models.recommender.problems import generator

NOTHING = torch.tensor([], dtype=torch.int64)


def largest_norm(vectors: Tensor) -> float:
    norms = torch.linalg.vector_norm(vectors.double(), dim=1)
    return float(norms.max()) if norms.numel() else 0.0


def sort_all(
    embedding: Tensor, vectors: Tensor, limit: int, exclude: Tensor, min_logit: float
) -> tuple[list[int], list[float]]:
    """Return rows and logits as `best` must: all logits in float64, sorted, equal ones by row."""
    every = logits(embedding, vectors).tolist()
    left_out = set(exclude.tolist())
    rows = [row for row, logit in enumerate(every) if row not in left_out and logit >= min_logit]
    rows = sorted(rows, key=lambda row: (-every[row], row))[:limit]
    return rows, [every[row] for row in rows]


def agrees(
    embedding: Tensor, vectors: Tensor, limit: int, exclude: Tensor = NOTHING, min_logit: float = -inf
) -> bool:
    actual = best(embedding, vectors, largest_norm(vectors), limit, exclude, min_logit)
    expected = sort_all(embedding, vectors, limit, exclude, min_logit)
    return (actual.rows.tolist(), actual.logits.tolist()) == expected


@pytest.mark.parametrize("dimensions", [1, 3, 20, 257])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_a_logit_is_the_exact_sum_of_its_products(dimensions: int, scale: float) -> None:
    embedding = torch.randn(dimensions, generator=generator(1))
    vectors = scale * torch.randn(50, dimensions, generator=generator(2))
    for vector, logit in zip(vectors.tolist(), logits(embedding, vectors).tolist(), strict=True):
        terms = [a * b for a, b in zip(embedding.tolist(), vector, strict=True)]  # exact: 48 bits
        # Adding n numbers in float64 loses at most n half-digits of their absolute sum.
        assert abs(logit - fsum(terms)) <= dimensions * 2.0**-53 * fsum(map(abs, terms))


def test_a_logit_is_the_same_alone_among_many_and_in_pairs() -> None:
    embedding = torch.randn(20, generator=generator(3))
    vectors = torch.randn(3000, 20, generator=generator(4))
    together = logits(embedding, vectors)
    assert torch.equal(torch.cat([logits(embedding, vectors[[row]]) for row in range(3000)]), together)
    assert torch.equal(logits(embedding.expand(3000, 20), vectors), together)


@st.composite
def catalogs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw an embedding and vectors: small whole numbers, so with ties, at any scale, some nearly equal."""
    dimensions, items = draw(st.integers(1, 4)), draw(st.integers(0, 25))
    source = generator(draw(st.integers(0, 2**32)))
    embedding, *vectors = torch.randint(-2, 3, (items + 1, dimensions), generator=source).float()
    table = torch.stack(vectors) if vectors else torch.empty(0, dimensions)
    if draw(st.booleans()):
        table = table + 2.0**-22 * torch.randint(-2, 3, table.shape, generator=source)
    scales = st.integers(-110, 60)
    return embedding * 2.0 ** draw(scales) * 1.1, table * 2.0 ** draw(scales) * 1.3


@given(
    catalog=catalogs(),
    limit=st.integers(0, 40),
    left_out=st.sets(st.integers(0, 24)),
    min_logit=st.sampled_from([-inf, inf, 0.0]) | st.floats(-5, 5),
)
@settings(max_examples=300, deadline=None)
def test_the_best_are_those_of_sorting_all_logits(
    catalog: tuple[Tensor, Tensor], limit: int, left_out: set[int], min_logit: float
) -> None:
    embedding, vectors = catalog
    rows = [row for row in sorted(left_out) if row < len(vectors)]
    assert agrees(embedding, vectors, limit, torch.tensor(rows, dtype=torch.int64), min_logit)


@pytest.mark.parametrize("size", [1e-25, 1e-3, 1.0, 1e15, 1e25])
def test_the_best_of_nearly_equal_movies_are_right_whatever_the_embedding_s_size(size: float) -> None:
    source = generator(5)
    for _ in range(20):
        vectors = torch.randn(1, 8, generator=source) + 1e-7 * torch.randn(400, 8, generator=source)
        assert agrees(size * torch.randn(8, generator=source), vectors, limit=5)


def test_logits_that_overflow_float32_are_still_sorted() -> None:
    vectors = torch.tensor([[1e19, 1e19], [1.0, 0.0], [1e14, -1e14], [-1e19, 1e19]])
    actual = best(torch.tensor([1e25, -1e25]), vectors, largest_norm(vectors), 3, NOTHING, -inf)
    assert actual.rows.tolist() == [2, 1, 0]


def test_logits_below_float32_are_still_sorted() -> None:
    # In units of the embedding's coordinates, 1.2 and 1.8; float32 rounds each product and finds 2 and 1.
    vectors = torch.tensor([[0.6, 0.6], [1.4, 0.4]])
    actual = best(torch.full((2,), 2.0**-149), vectors, largest_norm(vectors), 1, NOTHING, -inf)
    assert actual.rows.tolist() == [1]


def test_the_best_of_ten_thousand_are_those_of_sorting_all() -> None:
    vectors = torch.randn(10_000, 20, generator=generator(6))
    embedding = torch.randn(20, generator=generator(7))
    exclude = torch.randperm(10_000, generator=generator(8))[:2000]
    for limit in (1, 10, 9_999, 20_000):
        assert agrees(embedding, vectors, limit, exclude, min_logit=0.5)


def test_few_of_a_hundred_thousand_are_computed_exactly() -> None:
    """A guard on counted work, since unit tests take no times."""
    every = torch.randn(100_000, generator=generator(9)).double().numpy()
    looks = []

    def exact(rows: Rows) -> Floats:
        looks.append(len(rows))
        return np.asarray(every[rows])

    best_of([Bound(every + 0.01, 0.001)], exact, 10, NOTHING.numpy(), -inf)
    assert len(looks) == 2
    assert sum(looks) < 100


def test_equal_movies_come_in_the_order_of_their_rows() -> None:
    actual = best(torch.ones(2), torch.ones(6, 2), largest_norm(torch.ones(1, 2)), 3, torch.tensor([1]), -inf)
    assert (actual.rows.tolist(), actual.logits.tolist()) == ([0, 2, 3], [2.0, 2.0, 2.0])


def test_nothing_is_best_where_everything_is_excluded() -> None:
    assert best(torch.ones(2), torch.ones(3, 2), 1.5, 2, torch.tensor([0, 1, 2]), -inf).rows.tolist() == []


def test_a_score_is_the_sigmoid_of_its_logit() -> None:
    sure = torch.tensor([0.0, log(3), -log(3), log(99)], dtype=torch.float64)
    assert scores(sure).tolist() == pytest.approx([0.5, 0.75, 0.25, 0.99])


def test_no_score_is_0_or_1_and_a_larger_logit_never_has_a_smaller_score() -> None:
    ascending = torch.tensor([-1e300, -1e18, -800.0, -50.0, 0.0, 36.0, 37.0, 50.0, 1e18, 1e300]).double()
    actual = scores(torch.cat([ascending, torch.tensor([-inf, inf])])).tolist()
    assert all(0.0 < score < 1.0 for score in actual)
    assert actual[:-2] == sorted(actual[:-2])


@settings(deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=300),
    st.floats(-3, 3),
    st.integers(1, 12),
    st.floats(-3, 3),
)
def test_a_bound_of_those_above_a_floor_loses_none_below_it(
    exact: list[float], floor: float, limit: int, min_logit: float
) -> None:
    every = np.array(exact)
    coarse = np.where(every >= floor, every + 0.5, floor - 1.0)  # says nothing of how far below they are
    bounds = [Bound(coarse, 0.0, floor), Bound(every.copy(), 0.0)]
    actual = best_of(bounds, lambda rows: every[rows], limit, NOTHING.numpy(), min_logit)
    order = np.argsort(-every, kind="stable")
    assert actual.rows.tolist() == [row for row in order if every[row] >= min_logit][:limit]


def test_bounds_that_say_nothing_of_what_is_to_be_reached_are_an_error() -> None:
    every = np.array([-1.0, -2.0])
    with pytest.raises(ValueError, match="no floor"):
        best_of([Bound(every.copy(), 0.0, 0.0)], lambda rows: every[rows], 1, NOTHING.numpy(), -inf)
