"""Gradient descent: its start, what derivations say of its path, and its message when it diverges."""

import pytest
import torch
from torch import Tensor, nn

from models.errors import DivergedError
from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.data import Responses
from models.recommender.trainer import Step, TrainingResult
from tests.models.recommender.problems import class_responses, dense_responses, unheard


def fit(responses: Responses, seed: int, **options: object) -> tuple[TrainingResult, list[Step]]:
    steps: list[Step] = []
    trainer = GradientDescent(GradientDescentOptions.model_validate(options))
    return trainer.fit(responses, seed, steps.append), steps


def start_of(users: int, dimensions: int, seed: int) -> Tensor:
    """Return where torch's own layer starts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Embedding(users, dimensions).weight.detach()


def nothing_to_learn(users: int, dimensions: int) -> Responses:
    """Return responses to a movie whose vector is zero: every score is ½, whatever the embedding."""
    return dense_responses(torch.zeros(1, dimensions), torch.ones(users, 1))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 5), (4, 4), (7, 11), (100, 33)])
def test_embeddings_start_where_torch_s_embedding_layer_starts(shape: tuple[int, int]) -> None:
    users, dimensions = shape
    result, _ = fit(nothing_to_learn(users, dimensions), 42, epochs=1, penalty_weight=0)
    assert torch.equal(result.embeddings, start_of(users, dimensions, 42))


def test_without_anything_to_learn_the_squared_norm_shrinks_embeddings_geometrically() -> None:
    start = start_of(4, 3, 5)
    result, steps = fit(nothing_to_learn(4, 3), 5, epochs=20, penalty="squared_norm", penalty_weight=0.5)
    torch.testing.assert_close(result.embeddings, start * 0.9**20)  # 1 − 2 · 0.5 · 0.1
    assert [step.data_loss for step in steps] == pytest.approx([4 * 0.25] * 20)  # every score is ½
    first = 0.5 * float(start.double().square().sum())
    assert [step.penalty for step in steps] == pytest.approx([first * 0.81**n for n in range(20)], rel=1e-5)


def test_training_leaves_torch_s_shared_random_state_as_it_was() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        GradientDescent(GradientDescentOptions(epochs=2)).fit(class_responses(), 6789, unheard)
        assert torch.equal(torch.rand(3), expected)


def test_without_anything_to_learn_the_norm_shortens_all_embeddings_by_one_length_a_step() -> None:
    start = start_of(4, 3, 6)
    length = float(start.norm())
    result, steps = fit(nothing_to_learn(4, 3), 6, epochs=10)
    torch.testing.assert_close(result.embeddings, start * (1 - 10 * 0.1 * 0.2 / length))
    assert [step.penalty for step in steps] == pytest.approx([0.2 * (length - 0.02 * n) for n in range(10)])


def test_a_rate_too_large_is_reported_with_the_epoch_and_what_to_change() -> None:
    # A step multiplies embeddings by 1 − 2 · 1 · 100 = −199, until their squared norm exceeds float32.
    largest = torch.finfo(torch.float32).max
    squared_norm, epoch = float(start_of(3, 2, 7).double().square().sum()), 1
    while squared_norm <= largest:
        squared_norm, epoch = squared_norm * 199.0**2, epoch + 1
    reports: list[Step] = []
    trainer = GradientDescent(
        GradientDescentOptions(penalty="squared_norm", penalty_weight=1.0, learning_rate=100.0)
    )
    with pytest.raises(DivergedError, match=f"at epoch {epoch}; lower learning_rate"):
        trainer.fit(nothing_to_learn(3, 2), 7, reports.append)
    assert len(reports) == epoch - 1


def test_a_rate_too_large_is_reported_even_when_only_the_last_step_overflows() -> None:
    # Both answers cannot be right: the gradient has the size of the vectors, and times 1,000 it overflows.
    responses = dense_responses(torch.tensor([[1e37], [1e37]]), torch.tensor([[0.0, 1.0]]))
    with pytest.raises(DivergedError, match="at epoch 1; lower learning_rate"):
        fit(responses, 8, loss="logistic", learning_rate=1000, epochs=1)
