"""Fold-in of one user gives what a training of all users ends with, the others held fixed."""

from functools import partial

import pytest
import torch
from torch import Tensor

from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.class_model.newton import minimise
from models.recommender.class_model.objective import LossName, Objective, PenaltyName
from models.recommender.data import Responses
from models.recommender.trainer import Trainer
from tests.models.recommender.problems import (
    answers_of,
    class_responses,
    generator,
    gradient_of,
    hessian_of,
    model_of,
    one_user_objective,
    random_responses,
    rows_of,
    unheard,
)

# Below, twelve vectors of this size have Σ‖x‖² < 5, and (σ(z) − r)² has no curvature below −2/13: together
# above −1, which a squared norm of weight 0.5 outweighs. So each user's objective is convex.
CONVEX_SCALE = 0.3


def convex_data(users: int = 8) -> Responses:
    responses = random_responses(1, users=users, items=12, dimensions=3, scale=CONVEX_SCALE)
    assert float(responses.item_vectors.square().sum()) < 5
    return responses


def squared_norm_of_others(embeddings: Tensor, user: int) -> float:
    squares = embeddings.double().square().sum(dim=1)
    return float(squares.sum() - squares[user])


def first_users(responses: Responses, users: int) -> Responses:
    """Return the responses of the first users only."""
    mask = responses.user_rows < users
    return Responses.from_triples(
        responses.item_vectors,
        responses.user_rows[mask],
        responses.item_rows[mask],
        responses.values[mask],
        users,
    )


def test_the_squared_loss_curves_down_by_two_thirteenths_at_most() -> None:
    """Hold the bound that CONVEX_SCALE rests on."""
    logits = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    scores = torch.sigmoid(logits)
    for answer in torch.linspace(0, 1, 21).tolist():
        slope = scores * (1 - scores)
        curvature = 2 * slope * (slope + (scores - answer) * (1 - 2 * scores))
        assert float(curvature.min()) > -2 / 13


@pytest.mark.parametrize("has_start", [True, False], ids=["from the previous", "from the prior"])
def test_fold_in_gives_what_training_ended_with(patient_trainer: Trainer, has_start: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    responses = convex_data()
    result = patient_trainer.fit(responses, 2, unheard)
    model = model_of(patient_trainer, result, responses)
    for user in range(responses.users):
        start = result.posteriors[user] if has_start else None
        others_squared_norm = squared_norm_of_others(result.embeddings, user)
        posterior = model.fold_in(*rows_of(responses, user), start, others_squared_norm)
        # Less than 1e-4 is left of the way: see PATIENT_TRAINERS. The rest is for float32 gradients.
        torch.testing.assert_close(posterior.embedding, result.embeddings[user], atol=1e-3, rtol=0)


def test_a_user_folded_into_a_training_gets_what_a_training_with_them_gives() -> None:
    # The squared norm is a sum over users, so that others do not move when somebody joins.
    trainer = GradientDescent(GradientDescentOptions(loss="logistic", penalty="squared_norm"))
    responses = convex_data()
    new_user = responses.users - 1
    without = trainer.fit(first_users(responses, new_user), 3, unheard).embeddings
    with_them = trainer.fit(responses, 4, unheard).embeddings
    torch.testing.assert_close(with_them[:new_user], without, atol=1e-3, rtol=0)
    posterior = trainer.fold_in(*answers_of(responses, new_user), None, float(without.square().sum()))
    torch.testing.assert_close(posterior, with_them[new_user], atol=1e-3, rtol=0)


def test_fold_in_of_the_class_model_s_users_ends_no_worse_than_training() -> None:
    trainer, responses = GradientDescent(GradientDescentOptions()), class_responses()
    embeddings = trainer.fit(responses, 6789, unheard).embeddings
    for user in range(3):
        vectors, answers = answers_of(responses, user)
        others_squared_norm = squared_norm_of_others(embeddings, user)
        posterior = trainer.fold_in(vectors, answers, embeddings[user], others_squared_norm)
        before, after = (
            one_user_objective(
                candidate.double(),
                vectors.double(),
                answers.double(),
                others_squared_norm,
                "squared",
                "norm",
                0.2,
            )
            for candidate in (embeddings[user], posterior)
        )
        assert float(after) < float(before)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_no_slope_is_left_after_fold_in(loss: LossName, penalty: PenaltyName, scale: float) -> None:
    trainer = GradientDescent(GradientDescentOptions(loss=loss, penalty=penalty))
    for user in range(6):
        vectors, answers = answers_of(random_responses(5, scale=scale, share=0.9), user)
        start = torch.randn(3, generator=generator(user)) / scale
        posterior = trainer.fold_in(vectors, answers, start, 4.0).double()

        formula = partial(
            one_user_objective,
            vectors=vectors.double(),
            answers=answers.double(),
            others_squared_norm=4.0,
            loss=loss,
            penalty=penalty,
            weight=0.2,
        )
        # The result is rounded to float32, by 2⁻²⁴ of each coordinate at most: that is the slope it may have.
        hessian = hessian_of(formula, posterior).abs()
        rounding = hessian @ posterior.abs() * 2.0**-24
        solver = 1e-6 * hessian.diagonal().clamp(min=1.0).sqrt()
        assert bool((gradient_of(formula, posterior).abs() <= 2 * rounding + solver).all())


@pytest.mark.parametrize(("likes", "dislikes"), [(3, 2), (5, 1)], ids=["from zero", "from where they were"])
def test_of_two_minima_the_lower_is_found(likes: int, dislikes: int) -> None:
    # Likes pull e up, dislikes of a vector ten times as long pull it down; σ is flat where one has lost.
    vectors = torch.tensor([[1.0]] * likes + [[10.0]] * dislikes)
    answers = torch.tensor([1.0] * likes + [0.0] * dislikes)
    everywhere = torch.linspace(-20, 20, 2001, dtype=torch.float64)
    values = [
        float(one_user_objective(e[None], vectors.double(), answers.double(), 9.0, "squared", "norm", 0.2))
        for e in everywhere
    ]
    lowest = float(everywhere[values.index(min(values))])
    start = everywhere[values.index(min(values[1050:]))].float()  # the minimum above 0.5
    posterior = GradientDescent(GradientDescentOptions()).fold_in(vectors, answers, start[None], 9.0)
    assert float(posterior) == pytest.approx(lowest, abs=0.02)


def test_the_order_of_the_responses_changes_no_bit_of_fold_in(trainer: Trainer) -> None:
    responses = random_responses(6, users=5, items=40, dimensions=4)
    result = trainer.fit(responses, 7, unheard)
    model = model_of(trainer, result, responses)
    rows, answers = torch.arange(40), torch.rand(40, generator=generator(8))
    for before in (result.posteriors[0], None):
        expected = model.fold_in(rows, answers, before, 3.0)
        for seed in range(3):
            order = torch.randperm(40, generator=generator(seed))
            again = model.fold_in(rows[order], answers[order], before, 3.0)
            assert torch.equal(again.embedding, expected.embedding)


def test_fold_in_gives_float32_the_same_bits_twice_and_leaves_its_data(trainer: Trainer) -> None:
    responses = random_responses(9)
    result = trainer.fit(responses, 10, unheard)
    model, start = model_of(trainer, result, responses), result.posteriors[1]
    rows, answers = rows_of(responses, 0)
    copies = (rows.clone(), answers.clone(), start.embedding.clone())
    first, second = (model.fold_in(rows, answers, start, 3.0) for _ in range(2))
    assert first.embedding.dtype == torch.float32
    assert torch.equal(first.embedding, second.embedding)
    pairs = zip((rows, answers, start.embedding), copies, strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_liking_a_movie_more_raises_its_logit(penalty: PenaltyName) -> None:
    # The minimum of a convex f(e) − r · (x · e) has an x · e that grows with r.
    trainer = GradientDescent(GradientDescentOptions(loss="logistic", penalty=penalty))
    vectors, answers = torch.randn(10, 4, generator=generator(10)), torch.rand(10, generator=generator(11))
    logits = []
    for answer in (0.0, 0.3, 0.7, 1.0):
        answers[4] = answer
        logits.append(float(trainer.fold_in(vectors, answers, None, 3.0) @ vectors[4]))
    assert logits == sorted(set(logits))


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e6])
def test_the_only_user_with_weak_data_is_folded_in_to_zero_under_the_norm(size: float) -> None:
    # The data pull with 2 · ½ · ¼ · ‖x‖ < 0.03 at most, the norm holds with 0.2.
    trainer = GradientDescent(GradientDescentOptions())
    vectors, answers = torch.tensor([[0.1, 0.05]]), torch.ones(1)
    for start in (None, size * torch.ones(2), torch.zeros(2)):
        assert float(trainer.fold_in(vectors, answers, start, 0.0).norm()) < 1e-5


def test_without_responses_only_the_penalty_is_left_and_its_minimum_is_zero() -> None:
    for penalty in ("norm", "squared_norm"):
        trainer = GradientDescent(GradientDescentOptions(penalty=penalty))
        posterior = trainer.fold_in(torch.empty(0, 3), torch.empty(0), torch.ones(3), 2.0)
        torch.testing.assert_close(posterior, torch.zeros(3), atol=1e-8, rtol=0)


def test_a_few_responses_with_many_dimensions_are_searched_among_the_answered_vectors() -> None:
    """The minimum lies in their span; what a search in all dimensions finds is the same point."""
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(5, 60, generator=generator)
    answers = torch.tensor([1.0, 0.0, 1.0, 0.3, 0.0])
    for loss in ("squared", "logistic"):
        options = GradientDescentOptions.model_validate({"loss": loss})
        objective = Objective(options.loss, options.penalty, options.penalty_weight)
        embedding = GradientDescent(options).fold_in(vectors, answers, None, 3.0)
        everywhere = minimise(
            lambda point, objective=objective: objective.for_one_user(  # type: ignore[misc]
                point, vectors.double(), answers.double(), 3.0
            ),
            torch.zeros(60, dtype=torch.float64),
        )
        torch.testing.assert_close(embedding, everywhere.point.float(), atol=1e-5, rtol=0)


def test_without_a_penalty_what_no_response_speaks_of_stays_where_it_is() -> None:
    vectors, answers = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0.5])
    trainer = GradientDescent(GradientDescentOptions(penalty_weight=0.0))
    embedding = trainer.fold_in(vectors, answers, torch.tensor([2.0, -3.0, 4.0]), 1.0)
    torch.testing.assert_close(embedding, torch.tensor([0.0, -3.0, 4.0]), atol=1e-5, rtol=0)
