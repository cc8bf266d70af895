"""The descent on a small table is that of the sparse one, and takes no operation of torch a step."""

import pytest
import torch

from models.recommender.class_model.dense_descent import DenseDescent, is_small
from models.recommender.class_model.gradient_descent import (
    GradientDescent,
    GradientDescentOptions,
    SparseDescent,
)
from models.recommender.class_model.objective import LossName, Objective, PenaltyName
from models.recommender.data import Responses
from tests.models.recommender.problems import generator, random_responses

SMALL = random_responses(1, users=8, items=20, dimensions=4)


@pytest.mark.parametrize("responses", [SMALL, random_responses(2, users=6, items=9, share=1.0)])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_every_step_is_that_of_the_sparse_descent(
    responses: Responses, loss: LossName, penalty: PenaltyName
) -> None:
    objective = Objective(loss, penalty, 0.1)
    start = torch.randn(responses.users, responses.dimensions, generator=generator(3))
    dense = DenseDescent(objective, responses, start, 0.05)
    sparse = SparseDescent(objective, responses, start, GradientDescentOptions(learning_rate=0.05))
    for _ in range(50):
        assert dense.step() == pytest.approx(sparse.step(), rel=1e-6)
    torch.testing.assert_close(dense.embeddings, sparse.embeddings, rtol=0, atol=1e-5)


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_a_step_from_zero_is_finite(penalty: PenaltyName) -> None:
    start = torch.zeros(SMALL.users, SMALL.dimensions)
    descent = DenseDescent(Objective("squared", penalty, 0.1), SMALL, start, 0.1)
    assert descent.step()[1] == 0
    assert bool(torch.isfinite(descent.embeddings).all())


def test_the_start_is_not_moved() -> None:
    start = torch.ones(SMALL.users, SMALL.dimensions)
    DenseDescent(Objective(), SMALL, start, 0.1).step()
    assert torch.equal(start, torch.ones_like(start))


def test_a_small_table_is_learned_without_an_operation_of_torch_a_step() -> None:
    def operations(epochs: int) -> int:
        trainer = GradientDescent(GradientDescentOptions(epochs=epochs))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            trainer.fit(SMALL, 1, lambda _: None)
        return sum(event.count for event in profile.key_averages())

    assert is_small(SMALL)
    assert operations(100) == operations(1)
