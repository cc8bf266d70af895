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
from models.recommender.trainer import TrainingResult
from models.recommender.trainers import make_trainer
from tests.models.recommender.mixed_effects.test_logistic import integrated
from tests.models.recommender.problems import generator, model_of, random_responses, rows_of, unheard

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
    learned: TrainingResult
    model: Model

    def others(self, user: int) -> float:
        squares = self.learned.embeddings.double().square().sum(dim=1)
        return float(squares.sum() - squares[user])


def trained(choice: str) -> Trained:
    name, options = CHOICES[choice]
    dimensions = 0 if choice == "mixed effects, learned" else 4
    responses = random_responses(1, users=15, items=ITEMS, dimensions=dimensions, share=0.4)
    trainer = make_trainer(name, options)
    result = trainer.fit(responses, 2, unheard)
    return Trained(responses, result, model_of(trainer, result, responses))


TRAINED = {choice: trained(choice) for choice in CHOICES}


@pytest.fixture(params=list(TRAINED.values()), ids=list(TRAINED))
def training(request: pytest.FixtureRequest) -> Trained:
    """Every model in turn."""
    model: Trained = request.param
    return model


def test_many_pairs_are_predicted_as_one_by_one(training: Trained) -> None:
    count = 2500  # more than are computed at once
    users = torch.randint(0, 15, (count,), generator=generator(3))
    rows = torch.randint(0, ITEMS, (count,), generator=generator(4))
    pairs = training.model.predict_pairs(training.learned.posteriors, users, rows)
    from_list = training.model.predict_pairs(list(training.learned.posteriors), users, rows)
    assert torch.equal(from_list.mean, pairs.mean)
    assert torch.equal(from_list.variance, pairs.variance)
    for place in range(0, count, 61):
        alone = training.model.predict(
            training.learned.posteriors[int(users[place])], rows[place : place + 1]
        )
        torch.testing.assert_close(pairs.mean[place], alone.mean[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(pairs.variance[place], alone.variance[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("choice", TRAINED)
@given(
    user=st.integers(0, 14),
    limit=st.integers(0, ITEMS + 5),
    exclude=st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS),
    least=st.one_of(st.just(-torch.inf), st.floats(-2, 2)),
)
@settings(max_examples=40, deadline=None)
def test_the_best_are_those_of_sorting_all(
    choice: str, user: int, limit: int, exclude: set[int], least: float
) -> None:
    model, posterior = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    actual = model.best(posterior, limit, torch.tensor(sorted(exclude), dtype=torch.int64), least)
    every = model.predict(posterior, torch.arange(ITEMS)).logits
    expected = [row for row in range(ITEMS) if row not in exclude and float(every[row]) >= least]
    expected = sorted(expected, key=lambda row: (-float(every[row]), row))[:limit]
    assert actual.rows.tolist() == expected
    torch.testing.assert_close(actual.logits, every[expected], atol=1e-12, rtol=0)


@pytest.mark.parametrize("choice", TRAINED)
@given(user=st.integers(0, 14), rows=st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=9))
@settings(max_examples=30, deadline=None)
def test_an_explanation_adds_up_to_the_logit(choice: str, user: int, rows: list[int]) -> None:
    model, posterior = TRAINED[choice].model, TRAINED[choice].learned.posteriors[user]
    explanation = model.explain(posterior, torch.tensor(rows))
    inner = (explanation.values * explanation.weights).sum(dim=1)
    total = explanation.damping * (
        explanation.item_biases + explanation.user_bias + inner + explanation.learned
    )
    logits = model.predict(posterior, torch.tensor(rows)).logits
    torch.testing.assert_close(total, logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e6), (1e-3, 1e3)])
def test_an_explanation_adds_up_whatever_the_scale_of_the_vectors(scale: float, shift: float) -> None:
    data = random_responses(6, users=12, items=30, dimensions=3)
    responses = Responses(data.item_vectors * scale + shift, data.offsets, data.item_rows, data.values)
    trainer = make_trainer("mixed_effects", {"learned_dimensions": 2})
    result = trainer.fit(responses, 1, unheard)
    model = model_of(trainer, result, responses)
    for user in range(3):
        explanation = model.explain(result.posteriors[user], torch.arange(30))
        inner = explanation.values @ explanation.weights
        total = explanation.damping * (
            explanation.item_biases + explanation.user_bias + inner + explanation.learned
        )
        logits = model.predict(result.posteriors[user], torch.arange(30)).logits
        torch.testing.assert_close(total, logits, atol=1e-6, rtol=0)


def test_first_order_influences_point_where_leaving_answers_out_leads(training: Trained) -> None:
    rows, answers = rows_of(training.responses, 0)
    targets, others_squared_norm = torch.arange(6), training.others(0)
    posterior = training.model.fold_in(rows, answers, training.learned.posteriors[0], others_squared_norm)
    estimates = training.model.influences(posterior, rows, answers, targets, others_squared_norm)
    exact = torch.stack(
        [
            _moved(training, posterior, rows, answers, targets, others_squared_norm, place)
            for place in range(len(rows))
        ],
        dim=1,
    )
    agreement = torch.corrcoef(torch.stack([estimates.flatten(), exact.flatten()]))[0, 1]
    assert float(agreement) > (0.3 if training is TRAINED["squared"] else 0.9)  # that loss has several minima


def _moved(
    training: Trained,
    posterior: UserPosterior,
    rows: Tensor,
    answers: Tensor,
    targets: Tensor,
    others_squared_norm: float,
    place: int,
) -> Tensor:
    mask = torch.arange(len(rows)) != place
    without = training.model.fold_in(rows[mask], answers[mask], posterior, others_squared_norm)
    return training.model.predict(posterior, targets).mean - training.model.predict(without, targets).mean


def left_out(training: Trained, posterior: UserPosterior, user: int, target: int) -> list[float]:
    """Return the target's logit without each of the user's answers."""
    rows, answers = rows_of(training.responses, user)
    logits = []
    for place in range(len(rows)):
        mask = torch.arange(len(rows)) != place
        without = training.model.fold_in(rows[mask], answers[mask], posterior, training.others(user))
        logits.append(float(training.model.predict(without, torch.tensor([target])).logits))
    return logits


@pytest.mark.parametrize("few", [True, False], ids=["all answers tried", "the likeliest tried"])
def test_the_most_influential_answers_are_exact_and_the_strongest_first(
    training: Trained, monkeypatch: pytest.MonkeyPatch, *, few: bool
) -> None:
    if not few:
        monkeypatch.setattr("models.recommender.influence._MOST_FOLD_INS", 10)
    rows, answers = rows_of(training.responses, 1)
    targets, others_squared_norm = torch.tensor([0, 7]), training.others(1)
    posterior = training.model.fold_in(rows, answers, training.learned.posteriors[1], others_squared_norm)
    logits = training.model.predict(posterior, targets).logits.tolist()
    rankings = most_influential(
        training.model, posterior, rows, answers, targets, others_squared_norm, limit=4
    )
    for target, logit, influences in zip(targets.tolist(), logits, rankings, strict=True):
        exact = left_out(training, posterior, 1, target)
        strongest = sorted(range(len(rows)), key=lambda at: -abs(logit - exact[at]))[:4]
        places = [influence.position for influence in influences]
        for influence in influences:
            assert influence.logit_without == pytest.approx(exact[influence.position], abs=1e-5)
        if few:
            assert places == strongest
        elif training is not TRAINED["squared"]:  # whose first order says little where it curves down
            assert places[0] == strongest[0]


def test_without_their_only_answer_a_user_is_a_cold_start_user(training: Trained) -> None:
    posterior = training.model.fold_in(torch.tensor([3]), torch.ones(1), None, 1.0)
    [[influence]] = most_influential(
        training.model, posterior, torch.tensor([3]), torch.ones(1), torch.tensor([3]), 1.0, limit=5
    )
    cold_start = training.model.cold_start()
    target = torch.tensor([3])
    expected = 0.0 if cold_start is None else float(training.model.predict(cold_start, target).logits)
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
    training = TRAINED[choice]
    model, posterior = training.model, training.model.cold_start()
    assert posterior is not None
    assert posterior.factor is not None
    gains = model.expected_information_gain(posterior)
    all_rows = torch.arange(ITEMS)
    before = model.predict(posterior, all_rows)
    probable = torch.sigmoid(before.logits)
    weights = (probable * (1 - probable)).square()
    # The part of each variance that the user's covariance is to blame for: without it the rest is left.
    certain = UserPosterior(posterior.embedding, 1e-12 * posterior.factor)
    covariance = posterior.factor.double() @ posterior.factor.double().T
    features = _features(training)
    user_variances = torch.einsum("ip,pq,iq->i", features, covariance, features)
    noise = before.variance - user_variances
    assert float((noise - model.predict(certain, all_rows).variance).min()) > -1e-9
    counts = torch.bincount(training.responses.item_rows, minlength=ITEMS).double()
    for row in range(0, ITEMS, 13):
        [weight] = integrated("slope", before.mean[row, None], before.variance[row, None]).tolist()
        precision = torch.linalg.inv(covariance)
        information = 1 / (1 / weight + float(noise[row]))
        precision += information * torch.outer(features[row], features[row])
        after = torch.einsum("ip,pq,iq->i", features, torch.linalg.inv(precision), features)
        reduction = float((weights * (user_variances - after)).sum() / (weights * user_variances).sum())
        chance = float((counts[row] + 1) / (training.responses.users + 2))
        assert float(gains[row]) == pytest.approx(chance * reduction, rel=1e-4)


def _features(training: Trained) -> Tensor:
    """Return E[φ] = [1, x, q] from what is kept of the items, x standardised."""
    vectors = training.responses.item_vectors.double()
    inside = (vectors - vectors.mean(0)) / (vectors - vectors.mean(0)).square().mean(0).sqrt()
    result = len(training.learned.shared["spread"]) - 1
    constant = torch.ones(ITEMS, 1, dtype=torch.float64)
    return torch.cat([constant, inside, training.learned.items[:, 1 : 1 + result].double()], dim=1)


def test_an_answer_teaches_something_and_never_more_than_all() -> None:
    for choice in ("mixed effects", "mixed effects, named", "mixed effects, learned"):
        training = TRAINED[choice]
        gains = training.model.expected_information_gain(training.learned.posteriors[0])
        assert bool(((gains > 0) & (gains < 1)).all())


def test_what_no_training_saw_is_scored_by_its_vector_and_less_surely() -> None:
    training = TRAINED["mixed effects"]
    trainer = MixedEffects(MixedEffectsOptions(learned_dimensions=3))
    vectors = torch.cat([training.responses.item_vectors, training.responses.item_vectors[:1]])
    states = torch.cat([training.learned.items, torch.zeros(1, training.learned.items.shape[1])])
    trained_items = torch.arange(ITEMS + 1) < ITEMS
    model = trainer.restore(training.learned.shared, vectors, states, trained_items)
    old, new = torch.tensor([0]), torch.tensor([ITEMS])
    posterior = training.learned.posteriors[0]
    assert float(model.predict(posterior, new).variance) > float(model.predict(posterior, old).variance)
    before = training.model.predict(posterior, old)
    torch.testing.assert_close(model.predict(posterior, old).mean, before.mean, atol=1e-12, rtol=0)


def test_factors_are_packed_and_unpacked_without_loss() -> None:
    factors = torch.randn(5, 7, 7, generator=generator(8)).triu()
    assert torch.equal(unpacked(packed(factors), 7), factors)
    posteriors = UserPosteriors(torch.randn(5, 7), packed(factors))
    for place, posterior in enumerate(posteriors[1:4]):
        assert posterior.factor is not None
        assert torch.equal(posterior.factor, factors[place + 1])
