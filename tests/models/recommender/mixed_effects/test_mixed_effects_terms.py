"""The mixed-effects model's terms for requests, held to the readable formula of its predictor."""

import math

import pytest
import torch
from torch import Tensor

from models.recommender.mixed_effects.fold_in import Normal
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.standardisation import Standardisation
from models.recommender.mixed_effects.terms import ItemTerms, UserTerms
from models.recommender.model import Prediction, UserPosterior

ITEMS, NAMED, LEARNED = 500, 4, 3


def _drawn(seed: int, scale: float) -> tuple[Items, UserPosterior]:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    factors = normal(ITEMS, LEARNED + 1, LEARNED + 1)
    constants = torch.cat([torch.ones(ITEMS, 1, dtype=torch.float64), normal(ITEMS, NAMED - 1)], dim=1)
    items = Items(constants, scale * normal(ITEMS, LEARNED + 1), factors @ factors.mT / 4)
    size = NAMED + LEARNED
    return items, UserPosterior((scale * normal(size)).float(), (scale * normal(size, size)).triu().float())


def _reference(items: Items, posterior: UserPosterior) -> Prediction:
    empty = torch.empty(0, dtype=torch.float64)
    assert posterior.factor is not None
    factor = posterior.factor.double()
    user = Normal(posterior.embedding.double(), factor @ factor.T)
    prior = Prior(empty, empty)
    return Predictor(Standardisation(empty, empty), items, prior, empty, empty).predict(user, items)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [0, 124, 125, 400])
def test_a_few_items_are_predicted_as_all_are(count: int, seed: int, scale: float) -> None:
    items, posterior = _drawn(seed, scale)
    rows = torch.tensor([3, 499, 0, 3, *range(count)])
    actual = ItemTerms.of(items).predict(UserTerms.of(posterior, LEARNED), rows)
    right = _reference(items, posterior)
    torch.testing.assert_close(actual.mean, right.mean[rows], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(actual.variance, right.variance[rows], rtol=1e-10, atol=1e-12)
    alone = ItemTerms.of(items).logits(UserTerms.of(posterior, LEARNED), rows.numpy())
    assert torch.equal(torch.from_numpy(alone), actual.logits)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_logit_is_above_its_bound(seed: int, scale: float) -> None:
    items, posterior = _drawn(seed, scale)
    logits = _reference(items, posterior).logits
    first, last = [
        (torch.from_numpy(upper.copy()).double(), error, floor)
        for upper, error, floor in ItemTerms.of(items).bounds(UserTerms.of(posterior, LEARNED))
    ]
    for upper, error, floor in (first, last):
        assert bool((logits.clamp(min=floor) <= (upper + error).clamp(min=floor)).all())
    assert first[2] == 0.0
    assert last[2] == -math.inf
    above = logits > 0
    assert bool((last[0] <= first[0] + first[1])[above].all())  # the dearer ones are finer
    assert bool((logits < 0).any())
    assert bool((logits > 0).any())


@pytest.mark.parametrize("posteriors", [1, 128, 129, 300])
def test_pairs_of_any_number_of_users_are_predicted_as_one_by_one(posteriors: int) -> None:
    items, _ = _drawn(0, 1.0)
    users_posteriors = [_drawn(seed, 1.0)[1] for seed in range(posteriors)]
    users = torch.tensor(
        [posteriors - 1, 0, *[posteriors // 2] * 300, posteriors - 1]
    )  # nearly all have no pair
    rows = torch.arange(len(users)) % ITEMS
    actual = ItemTerms.of(items).predict_pairs(users_posteriors, users, rows)
    for place, (user, row) in enumerate(zip(users.tolist(), rows.tolist(), strict=True)):
        right = _reference(items, users_posteriors[user])
        torch.testing.assert_close(actual.mean[place], right.mean[row], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(actual.variance[place], right.variance[row], rtol=1e-10, atol=1e-12)


def test_no_pairs_are_none_and_a_user_without_a_posterior_is_refused() -> None:
    items, posterior = _drawn(0, 1.0)
    no_rows = torch.tensor([], dtype=torch.int64)
    assert len(ItemTerms.of(items).predict_pairs([posterior], no_rows, no_rows).mean) == 0
    with pytest.raises(IndexError, match="1 posteriors"):
        ItemTerms.of(items).predict_pairs([posterior], torch.tensor([1]), torch.tensor([0]))
