"""The objective: its gradient by hand against autograd, differences and derivations."""

from math import log, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.recommender.class_model.objective import Objective
from models.recommender.data import Responses
from tests.models.recommender.problems import (
    dense_responses,
    generator,
    gradient_of,
    hessian_of,
    masked_responses,
    one_user_objective,
    random_responses,
)

OBJECTIVES = [
    Objective(loss, penalty, weight)
    for loss in ("squared", "logistic")
    for penalty in ("norm", "squared_norm")
    for weight in (0.2, 3.0)
]
objectives = pytest.mark.parametrize("objective", OBJECTIVES, ids=str)

numbers = st.floats(-1, 1, width=32)
answers = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1, width=32)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Responses, Tensor]:
    """Draw responses with at least one of them, and float64 embeddings with logits of at most 9."""
    users, items, dimensions = (draw(st.integers(1, limit)) for limit in (4, 5, 3))

    def matrix(rows: int, columns: int, elements: st.SearchStrategy[float]) -> Tensor:
        row = st.lists(elements, min_size=columns, max_size=columns)
        return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))

    mask = matrix(users, items, st.sampled_from([0.0, 1.0])) > 0
    mask[draw(st.integers(0, users - 1)), draw(st.integers(0, items - 1))] = True
    responses = masked_responses(matrix(items, dimensions, numbers), matrix(users, items, answers), mask)
    return responses, 3.0 * matrix(users, dimensions, numbers).double()


def differentiate(objective: Objective, embeddings: Tensor, responses: Responses) -> Tensor:
    """Return the gradient of the objective's reference by autograd."""
    point = embeddings.clone().requires_grad_()
    data_loss, penalty = objective.reference(point, responses)
    (gradient,) = torch.autograd.grad(data_loss + penalty, point)
    return gradient


@objectives
@given(problem=problems())
@settings(max_examples=30, deadline=None)
def test_the_gradient_by_hand_is_that_of_autograd(
    objective: Objective, problem: tuple[Responses, Tensor]
) -> None:
    responses, embeddings = problem
    here = objective.value_and_gradient(embeddings, responses)
    data_loss, penalty = objective.reference(embeddings, responses)
    assert here.data_loss == pytest.approx(float(data_loss), abs=1e-10)
    assert here.penalty == pytest.approx(float(penalty), abs=1e-10)
    expected = differentiate(objective, embeddings, responses)
    torch.testing.assert_close(here.gradient, expected, atol=1e-10, rtol=1e-10)


@objectives
def test_the_gradient_is_the_slope_between_two_points_nearby(objective: Objective) -> None:
    responses = random_responses(3, users=3, items=5, dimensions=2)
    embeddings = torch.randn(3, 2, generator=generator(4), dtype=torch.float64)

    def value(point: Tensor) -> float:
        here = objective.value_and_gradient(point, responses)
        return here.data_loss + here.penalty

    gradient = objective.value_and_gradient(embeddings, responses).gradient
    for cell in range(embeddings.numel()):
        step = torch.zeros(6, dtype=torch.float64)
        step[cell] = 1e-5
        slope = (value(embeddings + step.view(3, 2)) - value(embeddings - step.view(3, 2))) / 2e-5
        assert float(gradient.flatten()[cell]) == pytest.approx(slope, abs=1e-8)


@objectives
def test_the_reference_passes_torch_s_own_check_of_gradients(objective: Objective) -> None:
    responses = random_responses(5, users=3, items=4, dimensions=2)
    embeddings = torch.randn(3, 2, generator=generator(6), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda point: objective.reference(point, responses), embeddings)


@pytest.mark.parametrize(
    ("objective", "data_loss", "penalty", "gradient"),
    [  # σ(ln 3) = 3/4; an answer of 0; the derivative of σ there is 3/16
        (Objective("squared", "norm", 0.2), 9 / 16, 0.2 * log(3), 2 * 3 / 4 * 3 / 16 + 0.2),
        (Objective("squared", "squared_norm", 0.2), 9 / 16, 0.2 * log(3) ** 2, 9 / 32 + 0.4 * log(3)),
        (Objective("logistic", "norm", 0.2), log(4), 0.2 * log(3), 3 / 4 + 0.2),
        (Objective("logistic", "squared_norm", 0.2), log(4), 0.2 * log(3) ** 2, 3 / 4 + 0.4 * log(3)),
    ],
)
def test_one_dislike_has_the_loss_and_slope_worked_out_on_paper(
    objective: Objective, data_loss: float, penalty: float, gradient: float
) -> None:
    responses = dense_responses(torch.ones(1, 1), torch.zeros(1, 1))
    here = objective.value_and_gradient(torch.tensor([[log(3)]], dtype=torch.float64), responses)
    assert (here.data_loss, here.penalty) == pytest.approx((data_loss, penalty))
    assert float(here.gradient) == pytest.approx(gradient)


@objectives
def test_at_zero_the_gradient_is_finite_and_that_of_autograd(objective: Objective) -> None:
    responses = random_responses(7)
    zero = torch.zeros(responses.users, responses.dimensions, dtype=torch.float64)
    gradient = objective.value_and_gradient(zero, responses).gradient
    assert bool(torch.isfinite(gradient).all())
    torch.testing.assert_close(gradient, differentiate(objective, zero, responses))


@objectives
def test_logits_of_a_quintillion_stay_finite(objective: Objective) -> None:
    vectors = torch.tensor([[1e9], [-1e9]])
    responses = dense_responses(vectors, torch.tensor([[1.0, 1.0]]))
    here = objective.value_and_gradient(torch.tensor([[1e9]]), responses)
    # The first answer is right, the second as wrong as can be: a loss of 1, or the logit itself.
    assert here.data_loss == pytest.approx(1.0 if objective.loss == "squared" else 1e18)
    assert here.penalty == pytest.approx(
        objective.penalty_weight * (1e9 if objective.penalty == "norm" else 1e18)
    )
    assert bool(torch.isfinite(here.gradient).all())


def test_the_logistic_loss_of_large_logits_is_that_of_torch() -> None:
    vectors = torch.linspace(-300, 300, 41)[:, None]
    table = torch.linspace(0, 1, 41)[None]
    point = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    expected = binary_cross_entropy_with_logits(
        (point @ vectors.double().T)[0], table[0].double(), reduction="sum"
    )
    (gradient,) = torch.autograd.grad(expected, point)
    here = Objective("logistic", penalty_weight=0.0).value_and_gradient(
        point.detach(), dense_responses(vectors, table)
    )
    assert here.data_loss == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(here.gradient, gradient)


@objectives
@pytest.mark.parametrize("others_squared_norm", [0.0, 7.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_user_s_curvature_is_that_of_autograd(
    objective: Objective, others_squared_norm: float, seed: int
) -> None:
    source = generator(seed)
    vectors = torch.randn(6, 4, generator=source, dtype=torch.float64)
    mask = torch.rand(6, generator=source, dtype=torch.float64)
    embedding = torch.randn(4, generator=source, dtype=torch.float64)

    def formula(point: Tensor) -> Tensor:
        return one_user_objective(
            point,
            vectors,
            mask,
            others_squared_norm,
            objective.loss,
            objective.penalty,
            objective.penalty_weight,
        )

    here = objective.for_one_user(embedding, vectors, mask, others_squared_norm)
    # The rounding of the kink at zero shows at the twelfth digit.
    assert here.value == pytest.approx(float(formula(embedding)), abs=1e-10)
    gradient = gradient_of(formula, embedding)
    torch.testing.assert_close(here.gradient, gradient, atol=1e-10, rtol=1e-10)
    hessian = hessian_of(formula, embedding)
    torch.testing.assert_close(here.hessian, hessian, atol=1e-10, rtol=1e-10)


@objectives
def test_one_user_s_value_changes_as_the_whole_objective_does(objective: Objective) -> None:
    responses = random_responses(8, share=1.0)
    embeddings = torch.randn(responses.users, responses.dimensions, generator=generator(9)).double()
    changed_table = embeddings.clone()
    changed_table[2] += 0.5
    others_squared_norm = float(embeddings.square().sum() - embeddings[2].square().sum())
    values, alone = [], []
    for table in (embeddings, changed_table):
        here = objective.value_and_gradient(table, responses)
        values.append(here.data_loss + here.penalty)
        alone_value = objective.for_one_user(
            table[2],
            responses.item_vectors.double(),
            responses.values.view(6, 9)[2].double(),
            others_squared_norm,
        )
        alone.append(alone_value.value)
        torch.testing.assert_close(alone_value.gradient, here.gradient[2])
    assert alone[1] - alone[0] == pytest.approx(values[1] - values[0], abs=1e-9)


def test_the_norm_s_kink_is_rounded_off_by_a_millionth_at_most() -> None:
    objective = Objective("squared", "norm", 1.0)
    no_vectors = torch.zeros(0, 2, dtype=torch.float64)
    for length in (0.0, 1e-9, 1e-6, 1e-3, 1.0):
        embedding = torch.tensor([length / sqrt(2)] * 2, dtype=torch.float64)
        here = objective.for_one_user(embedding, no_vectors, no_vectors[:, 0], 0.0)
        assert length <= here.value <= length + 1e-6
        assert bool(torch.isfinite(here.hessian).all())
