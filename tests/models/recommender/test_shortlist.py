"""The approximate search: no excluded item, no missing one, exact logits, and its recall."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.recommender import shortlist
from models.recommender.class_model.dot_product import DotProduct
from models.recommender.class_model.objective import Objective
from models.recommender.model import Model, UserPosterior
from models.recommender.shortlist import Recall, Shortlist, each_alone, measure
from tests.models.recommender.problems import generator
from tests.models.recommender.test_models import ITEMS, TRAINED

NOTHING = torch.empty(0, dtype=torch.int64)
EVERYTHING = 10 * ITEMS  # candidates for ten items, also when one is wanted


def made(model: Model, items: int) -> Shortlist:
    index = Shortlist(model, items)
    assert list(index.codes())[-1:] == [items]
    return index


SHORTLISTS: Mapping[str, Shortlist] = {name: made(one.model, ITEMS) for name, one in TRAINED.items()}


def dot_product(vectors: Tensor) -> DotProduct:
    def search(*_: object) -> Tensor:
        raise AssertionError("nobody is folded in here")

    return DotProduct(vectors, search, Objective(), coupled=False)


@pytest.mark.parametrize("choice", TRAINED)
@given(
    user=st.integers(0, 14),
    limit=st.integers(1, ITEMS),
    exclude=st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS),
    least=st.one_of(st.just(-torch.inf), st.floats(-2, 2)),
)
@settings(max_examples=40, deadline=None)
def test_with_all_items_as_candidates_the_best_are_the_models_own(
    choice: str, user: int, limit: int, exclude: set[int], least: float
) -> None:
    model, posterior = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    left_out = torch.tensor(sorted(exclude), dtype=torch.int64)
    right = model.best(posterior, limit, left_out, least)
    actual = SHORTLISTS[choice].best(posterior, limit, left_out, least, EVERYTHING)
    assert (actual is None) == (len(right.rows) < limit)
    if actual is not None:
        assert actual.rows.tolist() == right.rows.tolist()
        torch.testing.assert_close(actual.logits, right.logits, atol=1e-12, rtol=0)
        alone, right = each_alone(model, posterior, actual), each_alone(model, posterior, right)
        assert alone.rows.tolist() == right.rows.tolist()
        assert torch.equal(alone.logits, right.logits)


@pytest.mark.parametrize("choice", TRAINED)
@given(
    user=st.integers(0, 14),
    limit=st.integers(1, 20),
    exclude=st.lists(st.integers(0, ITEMS - 1), max_size=30),
    least=st.one_of(st.just(-torch.inf), st.floats(-2, 2)),
)
@settings(max_examples=40, deadline=None)
def test_with_few_candidates_nothing_is_excluded_missing_or_inexact(
    choice: str, user: int, limit: int, exclude: list[int], least: float
) -> None:
    model, posterior = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    left_out = torch.tensor(exclude, dtype=torch.int64)  # in any order, some twice
    actual = SHORTLISTS[choice].best(posterior, limit, left_out, least, 15)
    if actual is None:
        return
    rows = actual.rows.tolist()
    assert len(set(rows)) == limit
    assert not set(rows) & set(exclude)
    logits = model.predict(posterior, torch.arange(ITEMS)).logits
    torch.testing.assert_close(actual.logits, logits[rows], atol=1e-12, rtol=0)
    assert sorted(rows, key=lambda row: (-float(logits[row]), row)) == rows
    assert float(actual.logits.min()) >= least


def drawn(kind: str, items: int, people: int) -> tuple[Tensor, Tensor]:
    """Draw vectors [items, 24] and embeddings [users, 24]: normal, or clusters with few strong directions."""
    source = generator(7)
    vectors, posteriors = (torch.randn(count, 24, generator=source) for count in (items, people))
    if kind == "clusters":
        centers = torch.randn(50, 24, generator=source)
        strengths = 1.0 / torch.arange(1, 25).sqrt()
        vectors = (0.4 * vectors + centers[torch.randint(0, 50, (items,), generator=source)]) * strengths
        posteriors = (
            posteriors + 2.0 * centers[torch.randint(0, 50, (people,), generator=source)]
        ) * strengths
    return vectors, posteriors


@pytest.mark.parametrize("kind", ["normal", "clusters"])
def test_of_many_items_few_candidates_hold_the_ten_best(kind: str) -> None:
    vectors, embeddings = drawn(kind, 20_000, 120)
    posteriors = [UserPosterior(embedding) for embedding in embeddings]
    model = dot_product(vectors)
    index = made(model, len(vectors))
    recall = measure(index, model, posteriors, lambda: None)
    assert recall is not None
    assert recall.candidates <= 500
    assert recall.users == 60
    assert recall.recall >= 0.99
    hits = 0
    for posterior in posteriors[1::2]:  # those that the candidates were not chosen by
        logits = vectors.double().numpy() @ posterior.embedding.double().numpy()
        best = index.best(posterior, 10, NOTHING, -torch.inf, recall.candidates)
        assert best is not None
        hits += len({*np.argsort(-logits)[:10].tolist()} & {*best.rows.tolist()})
    assert recall.recall == hits / 600


def test_products_of_sides_are_what_the_population_would_score() -> None:
    for choice in ("mixed effects", "mixed effects, named", "mixed effects, learned"):
        model = TRAINED[choice].model
        cold_start, rows = model.cold_start(), torch.arange(ITEMS)
        assert cold_start is not None
        products = model.item_sides(rows) @ model.user_side(cold_start)
        torch.testing.assert_close(
            products.double(), model.predict(cold_start, rows).logits, atol=1e-5, rtol=1e-5
        )


def test_an_item_that_is_as_good_as_the_last_of_the_best_counts_as_one() -> None:
    vectors, embeddings = drawn("normal", 5, 40)
    model = dot_product(vectors.repeat(4000, 1))  # the ten best are those of the alike whose rows come first
    posteriors = [UserPosterior(embedding) for embedding in embeddings]
    recall = measure(made(model, 20_000), model, posteriors, lambda: None)
    assert recall is not None
    assert recall.recall == 1.0


def test_where_no_number_of_candidates_is_enough_there_is_no_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, embeddings = drawn("normal", 20_000, 10)
    model = dot_product(vectors)
    monkeypatch.setattr(shortlist, "_CANDIDATES", (10,))
    posteriors = [UserPosterior(embedding) for embedding in embeddings]
    assert measure(made(model, len(vectors)), model, posteriors, lambda: None) is None


def test_one_user_is_chosen_by_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    training = TRAINED["logistic"]
    monkeypatch.setattr(shortlist, "_CANDIDATES", (EVERYTHING,))
    recall = measure(SHORTLISTS["logistic"], training.model, training.learned.posteriors[:1], lambda: None)
    assert recall == Recall(EVERYTHING, 1.0, 1)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e9])
def test_whatever_the_size_of_the_numbers_a_shortlist_is_right_or_there_is_none(scale: float) -> None:
    for items in (1, 3, 40):
        vectors = scale * torch.randn(items, 3, generator=generator(items))
        model, left_out = dot_product(vectors), NOTHING
        index = made(model, items)
        for length in (0.0, 1e-30, 1.0, 1e9):
            posterior = UserPosterior(length * torch.randn(3, generator=generator(2)))
            best = index.best(posterior, 1, left_out, -torch.inf, EVERYTHING)
            assert best is None or torch.equal(best.rows, model.best(posterior, 1, left_out, -torch.inf).rows)
            assert (best is None) == (length == 0.0)


def test_so_many_excluded_that_it_would_be_no_shortlist_are_not_looked_for() -> None:
    training = TRAINED["logistic"]
    posterior = training.learned.posteriors[0]
    assert SHORTLISTS["logistic"].best(posterior, 10, torch.arange(20_000), -torch.inf, 100) is None
    assert SHORTLISTS["logistic"].best(posterior, 1000, NOTHING, -torch.inf, 300) is None
