"""The mixed-effects model: held to a readable reference, to autograd, to samples, and to known data."""

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from models.recommender.data import Responses
from models.recommender.evaluation import evaluate
from models.recommender.mixed_effects import users
from models.recommender.mixed_effects.fold_in import Normal, fold_in
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import Prior, update_covariance
from models.recommender.mixed_effects.reference import learn_one
from models.recommender.mixed_effects.trainer import Fit, MixedEffects, MixedEffectsOptions
from tests.models.recommender.problems import (
    dense_responses,
    generator,
    masked_responses,
    random_responses,
    rows_of,
    unheard,
)
from tests.models.recommender.test_degenerate_data import DATA

if TYPE_CHECKING:
    from models.recommender.trainer import Step


def fit(responses: Responses, seed: int = 1, **options: object) -> Fit:
    trainer_options = MixedEffectsOptions.model_validate({"learned_dimensions": 3, **options})
    return MixedEffects(trainer_options).learn(responses, seed, unheard)


def scored(predictor: Predictor, normal: Normal, rows: Tensor) -> Tensor:
    return torch.sigmoid(predictor.predict(normal, predictor.items.gather(rows)).logits)


def normal_of(training: Fit, user: int) -> Normal:
    posterior = training.posteriors[user]
    assert posterior.factor is not None
    factor = posterior.factor.double()
    return Normal(posterior.embedding.double(), factor @ factor.T)


pytestmark = pytest.mark.slow

DATA_SETS = {
    "named and learned": (random_responses(1, users=12, items=30, dimensions=4), 3),
    "only named": (random_responses(2, users=12, items=30, dimensions=4), 0),
    "only learned": (random_responses(3, users=12, items=30, dimensions=0), 3),
    "neither": (random_responses(4, users=12, items=30, dimensions=0), 0),
    "a text embedding": (random_responses(5, users=4, items=30, dimensions=128), 2),
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_bound_ends_at_its_highest_and_never_falls_far(name: str) -> None:
    responses, learned_dimensions = DATA_SETS[name]
    steps: list[Step] = []
    options = MixedEffectsOptions(learned_dimensions=learned_dimensions)
    MixedEffects(options).fit(responses, 1, steps.append)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.loss == step.data_loss + step.penalty for step in steps)
    losses = [step.loss for step in steps]
    # The common covariances' step looks at the step before: it may give back a little in the first steps.
    assert losses[-1] == min(losses)
    assert all(later <= earlier + 0.02 * abs(earlier) for earlier, later in pairwise(losses))


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_user_learned_alone_response_by_response_is_the_same_to_1e_8(name: str) -> None:
    responses, learned_dimensions = DATA_SETS[name]
    training = fit(responses, learned_dimensions=learned_dimensions)
    for user in range(2):
        rows, answers = rows_of(responses, user)
        mean, covariance = learn_one(
            training.predictor.items.gather(rows), answers, training.predictor.population
        )
        posterior = training.predictor.fold_in(rows, answers)
        torch.testing.assert_close(posterior.mean, mean, atol=1e-8, rtol=0)
        torch.testing.assert_close(posterior.covariance, covariance, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", DATA_SETS)
def test_fold_in_equals_what_the_training_ended_with(name: str) -> None:
    responses, learned_dimensions = DATA_SETS[name]
    training = fit(responses, learned_dimensions=learned_dimensions)
    for user in range(responses.users):
        posterior = training.predictor.fold_in(*rows_of(responses, user))
        trained_posterior = normal_of(training, user)
        torch.testing.assert_close(posterior.mean, trained_posterior.mean, atol=1e-6, rtol=0)
        torch.testing.assert_close(posterior.covariance, trained_posterior.covariance, atol=1e-6, rtol=0)


def bound_of_one(mean: Tensor, root: Tensor, items: Items, answers: Tensor, population: Prior) -> Tensor:
    """Return the bound as a function of a user's posterior N(mean, root·rootᵀ), by the trapezoidal rule."""
    steps = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    density = torch.exp(-(steps**2) / 2)
    density = density / density.sum()
    covariance = root @ root.T
    size, named_size = mean.shape[0], items.named_size
    total = torch.zeros((), dtype=torch.float64)
    for number, answer in enumerate(answers.double()):
        # z = w · g with w = [b, φ] and g = [1, e]: E[z²] = ⟨E[wwᵀ], E[ggᵀ]⟩
        phi = torch.cat([items.means[number, :1], items.constants[number], items.means[number, 1:]])
        spread = torch.zeros(size + 1, size + 1, dtype=torch.float64)
        at = torch.tensor([0, *range(1 + named_size, size + 1)])
        spread[at[:, None], at] = items.covariances[number]
        g = torch.cat([torch.ones(1, dtype=torch.float64), mean])
        squares = torch.outer(g, g) + torch.nn.functional.pad(covariance, (1, 0, 1, 0))
        variance = ((torch.outer(phi, phi) + spread) * squares).sum() - (phi @ g) ** 2
        logits = phi @ g + variance.sqrt() * steps
        total = total + density @ (answer * logits - torch.logaddexp(logits, torch.zeros_like(logits)))
    posterior = MultivariateNormal(mean, covariance)
    divergence: Tensor = kl_divergence(posterior, MultivariateNormal(population.mean, population.covariance))
    return total - divergence


def test_no_slope_of_the_bound_is_left_where_fold_in_ends() -> None:
    responses = random_responses(6, users=8, items=30, dimensions=3)
    predictor = fit(responses).predictor
    rows, answers = rows_of(responses, 0)
    normal = predictor.fold_in(rows, answers)
    mean = normal.mean.clone().requires_grad_()
    root = torch.linalg.cholesky(normal.covariance).requires_grad_()
    bound = bound_of_one(mean, root.tril(), predictor.items.gather(rows), answers, predictor.population)
    slopes = torch.autograd.grad(bound, [mean, root])
    assert all(float(slope.abs().max()) < 1e-5 for slope in slopes)


def test_logits_and_their_variance_are_those_of_samples() -> None:
    training = fit(random_responses(7, users=10, items=20, dimensions=2))
    normal, items = normal_of(training, 0), training.predictor.items.gather(torch.tensor([3]))
    torch.manual_seed(1)
    users = MultivariateNormal(normal.mean, normal.covariance).sample((400_000,))
    sides = MultivariateNormal(items.means[0], items.covariances[0]).sample((400_000,))
    phi = torch.cat([items.constants.expand(400_000, -1), sides[:, 1:]], dim=1)
    logits = sides[:, 0] + (users * phi).sum(1)
    prediction = training.predictor.predict(normal, items)
    assert float(prediction.mean) == pytest.approx(float(logits.mean()), abs=0.01)
    assert float(prediction.variance) == pytest.approx(float(logits.var()), rel=0.02)
    expected = float(torch.sigmoid(logits).mean())
    assert float(torch.sigmoid(prediction.logits)) == pytest.approx(expected, abs=0.01)


def test_the_next_covariance_stays_where_expectation_maximisation_stands_still() -> None:
    root = torch.randn(4, 4, dtype=torch.float64, generator=generator(8))
    covariance = root @ root.T + torch.eye(4, dtype=torch.float64)
    posterior = 0.4 * covariance
    torch.testing.assert_close(update_covariance(covariance, posterior, covariance - posterior), covariance)


def test_fold_in_ends_at_one_point_wherever_it_starts() -> None:
    training = fit(random_responses(19, users=10, items=40, dimensions=3))
    predictor, all_rows = training.predictor, torch.arange(40)
    answers = torch.rand(40, generator=generator(20))
    fresh = predictor.fold_in(all_rows, answers)
    order = torch.randperm(40, generator=generator(21))
    for user in range(10):
        again = predictor.fold_in(all_rows[order], answers[order], normal_of(training, user))
        torch.testing.assert_close(again.mean, fresh.mean, atol=1e-8, rtol=0)
        torch.testing.assert_close(again.covariance, fresh.covariance, atol=1e-8, rtol=0)


@pytest.mark.parametrize("answer", [1.0, 0.5])
def test_posteriors_far_from_the_prior_are_found_too(answer: float) -> None:
    # Far too wide a population, and nothing but likes: Newton's step goes too far from where it starts.
    source = generator(22)
    vectors = torch.randn(40, 3, generator=source, dtype=torch.float64)
    sides = torch.randn(40, 2, generator=source, dtype=torch.float64)
    items = Items(
        torch.cat([torch.ones_like(vectors[:, :1]), vectors], dim=1),
        sides,
        0.1 * torch.eye(2, dtype=torch.float64).expand(40, -1, -1),
    )
    population = Prior(torch.full((5,), -4, dtype=torch.float64), 9 * torch.eye(5, dtype=torch.float64))
    answers = torch.full((40,), answer)
    mean, covariance = learn_one(items, answers, population)
    actual = fold_in(items, answers, population)
    # Beside so wide a population it is felt that the mixture of normals is the logistic function to 2e-9.
    torch.testing.assert_close(actual.mean, mean, atol=1e-7, rtol=0)
    torch.testing.assert_close(actual.covariance, covariance, atol=1e-7, rtol=0)


def test_fold_in_without_answers_gives_the_prior() -> None:
    predictor = fit(random_responses(23)).predictor
    normal = predictor.fold_in(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    torch.testing.assert_close(normal.mean, predictor.population.mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(normal.covariance, predictor.population.covariance, atol=1e-12, rtol=0)


def test_the_order_of_the_responses_and_a_second_run_change_no_bit() -> None:
    data = random_responses(9, users=10, items=20)
    order = torch.randperm(data.values.numel(), generator=generator(10))
    permutation = Responses.from_triples(
        data.item_vectors, data.user_rows[order], data.item_rows[order], data.values[order], data.users
    )
    first, second = fit(data, 3), fit(permutation, 3)
    assert torch.equal(first.posteriors.embeddings, second.posteriors.embeddings)
    assert torch.equal(first.predictor.items.means, second.predictor.items.means)


def test_two_threads_learn_what_one_learns() -> None:
    responses = random_responses(11, users=600, items=100, dimensions=10, share=0.5)
    means = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        means.append(fit(responses, max_steps=8).predictor.items.means)
    torch.testing.assert_close(means[0], means[1], atol=1e-8, rtol=0)


def test_users_too_long_for_float32_are_learned_as_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_responses(24, users=12, items=30, dimensions=3)
    in_float32 = fit(data, max_steps=8)
    monkeypatch.setattr(users, "_MOST_IN_FLOAT32", 0)
    in_float64 = fit(data, max_steps=8)
    torch.testing.assert_close(
        in_float32.posteriors.embeddings, in_float64.posteriors.embeddings, atol=1e-4, rtol=0
    )
    assert not torch.equal(in_float32.posteriors.embeddings, in_float64.posteriors.embeddings)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_the_vectors_changes_no_score(scale: float) -> None:
    data = random_responses(12, users=12, items=30, dimensions=3)
    scaled_data = Responses(data.item_vectors * scale, data.offsets, data.item_rows, data.values)
    rows = torch.arange(30)
    first, second = fit(data), fit(scaled_data)
    for user in range(data.users):
        here, there = (
            scored(training.predictor, normal_of(training, user), rows) for training in (first, second)
        )
        torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


@pytest.mark.parametrize("learned_dimensions", [0, 3])
@pytest.mark.parametrize("name", DATA)
def test_degenerate_data_are_learned_in_finite_numbers(name: str, learned_dimensions: int) -> None:
    responses = DATA[name]
    training = fit(responses, learned_dimensions=learned_dimensions)
    for user in range(min(3, responses.users)):
        for normal in (normal_of(training, user), training.predictor.cold_start()):
            actual = scored(training.predictor, normal, torch.arange(responses.items))
            assert bool(torch.isfinite(actual).all())


def test_ten_thousand_responses_of_one_user_are_learned() -> None:
    vectors = torch.randn(10_000, 3, generator=generator(13))
    answers = (vectors[:, :1].T > 0).float()
    training = fit(dense_responses(vectors, answers), max_steps=10)
    actual = evaluate(scored(training.predictor, normal_of(training, 0), torch.arange(10_000)), answers[0])
    assert actual.auc is not None
    assert actual.auc > 0.99


def test_preferences_known_by_construction_are_recovered_without_any_vectors() -> None:
    # Even users like even items, odd users odd ones; half of the answers are never seen.
    likes = (torch.arange(60)[:, None] + torch.arange(80)) % 2 == 0
    seen_mask = torch.rand(60, 80, generator=generator(14)) < 0.5
    training = fit(masked_responses(torch.empty(80, 0), likes.float(), seen_mask))
    for user in range(60):
        rows = torch.nonzero(~seen_mask[user])[:, 0]
        actual = evaluate(
            scored(training.predictor, normal_of(training, user), rows), likes[user, rows].double()
        )
        assert actual.accuracy > 0.95


def test_scores_are_calibrated_on_answers_drawn_from_the_model_itself() -> None:
    draw = generator(15)
    vectors = torch.randn(200, 2, generator=draw)
    logits = 0.7 * torch.randn(200, generator=draw) + (0.3 + torch.randn(300, 2, generator=draw)) @ vectors.T
    likes = (torch.rand(300, 200, generator=draw) < torch.sigmoid(logits)).float()
    seen_mask = torch.rand(300, 200, generator=draw) < 0.3
    training = fit(masked_responses(vectors, likes, seen_mask))
    all_rows = torch.arange(200)
    actual = torch.stack(
        [scored(training.predictor, normal_of(training, user), all_rows) for user in range(300)]
    )
    truth = evaluate(torch.sigmoid(logits)[~seen_mask], likes[~seen_mask])
    metrics = evaluate(actual[~seen_mask], likes[~seen_mask])
    assert metrics.calibration_error < 0.02
    assert metrics.log_loss < truth.log_loss + 0.03


def test_a_cold_start_user_has_the_prior_and_one_answer_moves_it() -> None:
    likes = (torch.rand(40, 30, generator=generator(16)) < torch.linspace(0.1, 0.9, 30)).float()
    predictor = fit(dense_responses(torch.linspace(-1, 1, 30)[:, None], likes)).predictor
    all_rows = torch.arange(30)
    before = scored(predictor, predictor.cold_start(), all_rows)
    assert float(torch.corrcoef(torch.stack([before, likes.mean(0).double()]))[0, 1]) > 0.9
    after = scored(predictor, predictor.fold_in(torch.tensor([15]), torch.zeros(1)), all_rows)
    assert float(after[15]) < float(before[15])


def test_items_that_no_training_saw_are_scored_by_their_vectors_less_surely() -> None:
    vectors, biases = torch.linspace(-1, 1, 40)[:, None], torch.randn(40, generator=generator(18))
    likes = (torch.rand(50, 40, generator=generator(17)) < torch.sigmoid(3 * vectors[:, 0] + biases)).float()
    predictor = fit(dense_responses(vectors, likes)).predictor
    new = predictor.predict(predictor.cold_start(), predictor.prior_items(torch.tensor([[-0.9], [0.9]])))
    seen_prediction = predictor.predict(predictor.cold_start(), predictor.items.gather(torch.tensor([2, 37])))
    assert float(new.mean[0]) < 0 < float(new.mean[1])
    assert bool((new.variance > seen_prediction.variance).all())


def test_options_outside_their_range_are_refused() -> None:
    for options in ({"learned_dimensions": -1}, {"tolerance": 0.0}, {"max_steps": 0}, {"epochs": 3}):
        with pytest.raises(ValidationError):
            MixedEffectsOptions.model_validate(options)
