"""What a trained model answers: predictions, the best, explanations, influences, information gains."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.influence import most_influential
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.recommender.model import Model, Prediction, UserPosterior, UserPosteriors, packed, unpacked
from models.recommender.trainer import Learned
from models.recommender.trainers import make_trainer
from tests.models.recommender.problems import generator, model_of, random_responses, rows_of, unheard
from tests.models.recommender.test_logistic import integrated

CHOICES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "logistic": ("gradient_descent", {"loss": "logistic", "epochs": 200}),
    "squared": ("gradient_descent", {"epochs": 200}),
    "mixed effects": ("mixed_effects", {"learned_dimensions": 3}),
    "mixed effects, named": ("mixed_effects", {"learned_dimensions": 0}),
    "mixed effects, learned": ("mixed_effects", {"learned_dimensions": 4}),
}

ITEMS = 60


@dataclass(frozen=True)
class Trained:
    """A training's model, and what it was learned from."""

    responses: Responses
    learned: Learned
    model: Model

    def others(self, user: int) -> float:
        squares = self.learned.embeddings.double().square().sum(dim=1)
        return float(squares.sum() - squares[user])


def trained(choice: str) -> Trained:
    name, options = CHOICES[choice]
    dimensions = 0 if choice == "mixed effects, learned" else 4
    responses = random_responses(1, users=15, items=ITEMS, dimensions=dimensions, share=0.4)
    trainer = make_trainer(name, options)
    learned = trainer.fit(responses, 2, unheard)
    return Trained(responses, learned, model_of(trainer, learned, responses))


TRAINED = {choice: trained(choice) for choice in CHOICES}


@pytest.fixture(params=list(TRAINED.values()), ids=list(TRAINED))
def one(request: pytest.FixtureRequest) -> Trained:
    """Every model in turn."""
    found: Trained = request.param
    return found


def test_many_pairs_are_predicted_as_one_by_one(one: Trained) -> None:
    count = 2500  # more than are computed at once
    users = torch.randint(0, 15, (count,), generator=generator(3))
    rows = torch.randint(0, ITEMS, (count,), generator=generator(4))
    pairs = one.model.predict_pairs(one.learned.posteriors, users, rows)
    listed = one.model.predict_pairs(list(one.learned.posteriors), users, rows)
    assert torch.equal(listed.mean, pairs.mean)
    assert torch.equal(listed.variance, pairs.variance)
    for place in range(0, count, 61):
        alone = one.model.predict(one.learned.posteriors[int(users[place])], rows[place : place + 1])
        torch.testing.assert_close(pairs.mean[place], alone.mean[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(pairs.variance[place], alone.variance[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("choice", TRAINED)
@given(
    user=st.integers(0, 14),
    limit=st.integers(0, ITEMS + 5),
    excluded=st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS),
    least=st.one_of(st.just(-torch.inf), st.floats(-2, 2)),
)
@settings(max_examples=40, deadline=None)
def test_the_best_are_those_of_sorting_all(
    choice: str, user: int, limit: int, excluded: set[int], least: float
) -> None:
    model, taste = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    found = model.best(taste, limit, torch.tensor(sorted(excluded), dtype=torch.int64), least)
    every = model.predict(taste, torch.arange(ITEMS)).logits
    wanted = [row for row in range(ITEMS) if row not in excluded and float(every[row]) >= least]
    wanted = sorted(wanted, key=lambda row: (-float(every[row]), row))[:limit]
    assert found.rows.tolist() == wanted
    torch.testing.assert_close(found.logits, every[wanted], atol=1e-12, rtol=0)


@pytest.mark.parametrize("choice", TRAINED)
@given(user=st.integers(0, 14), rows=st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=9))
@settings(max_examples=30, deadline=None)
def test_an_explanation_adds_up_to_the_logit(choice: str, user: int, rows: list[int]) -> None:
    model, taste = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    said = model.explain(taste, torch.tensor(rows))
    inner = (said.values * said.weights).sum(dim=1)
    total = said.damping * (said.item_biases + said.user_bias + inner + said.learned)
    logits = model.predict(taste, torch.tensor(rows)).logits
    torch.testing.assert_close(total, logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e6), (1e-3, 1e3)])
def test_an_explanation_adds_up_whatever_the_scale_of_the_vectors(scale: float, shift: float) -> None:
    data = random_responses(6, users=12, items=30, dimensions=3)
    responses = Responses(data.item_vectors * scale + shift, data.offsets, data.item_rows, data.values)
    trainer = make_trainer("mixed_effects", {"learned_dimensions": 2})
    learned = trainer.fit(responses, 1, unheard)
    model = model_of(trainer, learned, responses)
    for user in range(3):
        said = model.explain(learned.posteriors[user], torch.arange(30))
        inner = said.values @ said.weights
        total = said.damping * (said.item_biases + said.user_bias + inner + said.learned)
        logits = model.predict(learned.posteriors[user], torch.arange(30)).logits
        torch.testing.assert_close(total, logits, atol=1e-6, rtol=0)


def test_first_order_influences_point_where_leaving_answers_out_leads(one: Trained) -> None:
    rows, answers = rows_of(one.responses, 0)
    targets, others = torch.arange(6), one.others(0)
    taste = one.model.fold_in(rows, answers, one.learned.posteriors[0], others)
    guessed = one.model.influences(taste, rows, answers, targets, others)
    exact = torch.stack(
        [_moved(one, taste, rows, answers, targets, others, place) for place in range(len(rows))], dim=1
    )
    agreement = torch.corrcoef(torch.stack([guessed.flatten(), exact.flatten()]))[0, 1]
    assert float(agreement) > (0.3 if one is TRAINED["squared"] else 0.9)  # that loss has several minima


def _moved(
    one: Trained,
    taste: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others: float,
    place: int,
) -> Tensor:
    kept = torch.arange(len(rows)) != place
    without = one.model.fold_in(rows[kept], answers[kept], taste, others)
    return one.model.predict(taste, targets).mean - one.model.predict(without, targets).mean


def left_out(one: Trained, taste: UserPosterior, user: int, target: int) -> list[float]:
    """Return the target's logit without each of the user's answers."""
    rows, answers = rows_of(one.responses, user)
    found = []
    for place in range(len(rows)):
        kept = torch.arange(len(rows)) != place
        without = one.model.fold_in(rows[kept], answers[kept], taste, one.others(user))
        found.append(float(one.model.predict(without, torch.tensor([target])).logits))
    return found


@pytest.mark.parametrize("few", [True, False], ids=["all answers tried", "the likeliest tried"])
def test_the_most_influential_answers_are_exact_and_the_strongest_first(
    one: Trained, monkeypatch: pytest.MonkeyPatch, *, few: bool
) -> None:
    if not few:
        monkeypatch.setattr("models.recommender.influence._MOST_FOLD_INS", 10)
    rows, answers = rows_of(one.responses, 1)
    targets, others = torch.tensor([0, 7]), one.others(1)
    taste = one.model.fold_in(rows, answers, one.learned.posteriors[1], others)
    logits = one.model.predict(taste, targets).logits.tolist()
    found = most_influential(one.model, taste, rows, answers, targets, others, limit=4)
    for target, logit, influences in zip(targets.tolist(), logits, found, strict=True):
        exact = left_out(one, taste, 1, target)
        strongest = sorted(range(len(rows)), key=lambda at: -abs(logit - exact[at]))[:4]
        places = [influence.position for influence in influences]
        for influence in influences:
            assert influence.logit_without == pytest.approx(exact[influence.position], abs=1e-5)
        if few:
            assert places == strongest
        elif one is not TRAINED["squared"]:  # whose first order says little where it curves down
            assert places[0] == strongest[0]


def test_without_their_only_answer_a_user_is_a_newcomer(one: Trained) -> None:
    taste = one.model.fold_in(torch.tensor([3]), torch.ones(1), None, 1.0)
    [[influence]] = most_influential(
        one.model, taste, torch.tensor([3]), torch.ones(1), torch.tensor([3]), 1.0, limit=5
    )
    newcomer = one.model.cold_start()
    known = newcomer is not None
    expected = float(one.model.predict(newcomer, torch.tensor([3])).logits) if known and newcomer else 0.0
    assert influence.logit_without == pytest.approx(expected)


def test_an_interval_holds_its_share_of_the_logits() -> None:
    prediction = Prediction(torch.tensor([0.3], dtype=torch.float64), torch.tensor([4.0]).double())
    lower, upper = prediction.interval(0.9)
    draws = 0.3 + 2.0 * torch.randn(200_000, generator=generator(7), dtype=torch.float64)
    assert float((draws < lower).double().mean()) == pytest.approx(0.05, abs=0.003)
    assert float((draws > upper).double().mean()) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("choice", ["mixed effects", "mixed effects, named", "mixed effects, learned"])
def test_an_information_gain_is_the_share_of_the_variance_that_an_answer_takes_away(choice: str) -> None:
    """Held to a posterior whose precision gains what one answer adds, the item's own part held."""
    one = TRAINED[choice]
    model, taste = one.model, one.model.cold_start()
    assert taste is not None
    assert taste.factor is not None
    gains = model.expected_information_gain(taste)
    everything = torch.arange(ITEMS)
    before = model.predict(taste, everything)
    probable = torch.sigmoid(before.logits)
    weights = (probable * (1 - probable)).square()
    # The part of each variance that the user's covariance is to blame for: without it the rest is left.
    sure = UserPosterior(taste.embedding, 1e-12 * taste.factor)
    covariance = taste.factor.double() @ taste.factor.double().T
    features = _features(one)
    own = torch.einsum("ip,pq,iq->i", features, covariance, features)
    noise = before.variance - own
    assert float((noise - model.predict(sure, everything).variance).min()) > -1e-9
    counts = torch.bincount(one.responses.item_rows, minlength=ITEMS).double()
    for row in range(0, ITEMS, 13):
        [weight] = integrated("slope", before.mean[row, None], before.variance[row, None]).tolist()
        precision = torch.linalg.inv(covariance)
        gained = 1 / (1 / weight + float(noise[row]))
        precision += gained * torch.outer(features[row], features[row])
        after = torch.einsum("ip,pq,iq->i", features, torch.linalg.inv(precision), features)
        fallen = float((weights * (own - after)).sum() / (weights * own).sum())
        chance = float((counts[row] + 1) / (one.responses.users + 2))
        assert float(gains[row]) == pytest.approx(chance * fallen, rel=1e-4)


def _features(one: Trained) -> Tensor:
    """Return E[φ] = [1, x, q] from what is kept of the items, x standardised."""
    vectors = one.responses.item_vectors.double()
    inside = (vectors - vectors.mean(0)) / (vectors - vectors.mean(0)).square().mean(0).sqrt()
    learned = len(one.learned.shared["spread"]) - 1
    ones = torch.ones(ITEMS, 1, dtype=torch.float64)
    return torch.cat([ones, inside, one.learned.items[:, 1 : 1 + learned].double()], dim=1)


def test_an_answer_teaches_something_and_never_more_than_all() -> None:
    for choice in ("mixed effects", "mixed effects, named", "mixed effects, learned"):
        one = TRAINED[choice]
        gains = one.model.expected_information_gain(one.learned.posteriors[0])
        assert bool(((gains > 0) & (gains < 1)).all())


def test_what_no_training_saw_is_scored_by_its_vector_and_less_surely() -> None:
    one = TRAINED["mixed effects"]
    trainer = MixedEffects(MixedEffectsOptions(learned_dimensions=3))
    vectors = torch.cat([one.responses.item_vectors, one.responses.item_vectors[:1]])
    states = torch.cat([one.learned.items, torch.zeros(1, one.learned.items.shape[1])])
    known = torch.arange(ITEMS + 1) < ITEMS
    model = trainer.restore(one.learned.shared, vectors, states, known)
    old, new = torch.tensor([0]), torch.tensor([ITEMS])
    taste = one.learned.posteriors[0]
    assert float(model.predict(taste, new).variance) > float(model.predict(taste, old).variance)
    before = one.model.predict(taste, old)
    torch.testing.assert_close(model.predict(taste, old).mean, before.mean, atol=1e-12, rtol=0)


def test_factors_are_packed_and_unpacked_without_loss() -> None:
    factors = torch.randn(5, 7, 7, generator=generator(8)).triu()
    assert torch.equal(unpacked(packed(factors), 7), factors)
    kept = UserPosteriors(torch.randn(5, 7), packed(factors))
    for place, taste in enumerate(kept[1:4]):
        assert taste.factor is not None
        assert torch.equal(taste.factor, factors[place + 1])
