"""The class model gives what the notebook published, epoch by epoch; elsewhere what plain PyTorch gives."""

import pytest
import torch
from torch import Tensor, nn, optim

from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.class_model.objective import LossName, PenaltyName
from models.recommender.data import Responses
from models.recommender.scoring import logits, scores
from models.recommender.trainer import Step, TrainingResult
from tests.models.recommender.problems import (
    CLASS_VECTORS,
    class_responses,
    plain_training,
    random_responses,
)

# As the notebook prints them, section "Embedding layer".
PUBLISHED_EMBEDDINGS = [[0.9887, 0.2676, -0.7881], [-1.7678, 0.1267, -0.4628], [-0.2462, -1.4256, 1.1095]]
PUBLISHED_SCORES = [[0.70, 0.52, 0.47], [0.29, 0.84, 0.13], [0.28, 0.15, 0.87]]


class EmbeddingNetworkModel(nn.Module):
    """The notebook's model, word by word but for the types."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = torch.manual_seed(seed)
        self.embedding = nn.Embedding(3, 3)

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        user_id = x[0]
        item_repr = x[1]
        y = self.embedding(user_id) * item_repr
        y = torch.sum(y)
        return torch.sigmoid(y)


def run_notebook(seed: int, n_epochs: int) -> tuple[Tensor, list[float]]:
    """Train as the notebook does; return its embeddings and its losses."""
    user_ids = [torch.tensor(0), torch.tensor(1), torch.tensor(2)]
    items = [torch.tensor(vector) for vector in CLASS_VECTORS]
    responses = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    data = [(user_ids[user_id], items[item_id]) for user_id in range(3) for item_id in range(3)]
    with torch.random.fork_rng():
        embedding_nn = EmbeddingNetworkModel(seed)
    optimizer = optim.SGD(embedding_nn.parameters(), lr=0.1)
    losses = []
    for _ in range(n_epochs):
        optimizer.zero_grad()
        loss = torch.tensor(0.0)
        for pair, response in zip(data, responses, strict=True):
            loss = loss + torch.pow(embedding_nn(pair) - response, 2)
        for param in embedding_nn.parameters():
            loss += 1 / 5 * torch.norm(param)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        optimizer.step()
    return embedding_nn.embedding.weight.detach(), losses


def fit(responses: Responses, seed: int, **options: object) -> tuple[TrainingResult, list[Step]]:
    steps: list[Step] = []
    trainer = GradientDescent(GradientDescentOptions.model_validate(options))
    return trainer.fit(responses, seed, steps.append), steps


def test_the_published_embeddings_come_out_to_four_decimals() -> None:
    result, _ = fit(class_responses(), 6789)
    assert [[round(number, 4) for number in row] for row in result.embeddings.tolist()] == (
        PUBLISHED_EMBEDDINGS
    )


def test_the_published_scores_come_out_to_two_decimals() -> None:
    result, _ = fit(class_responses(), 6789)
    table = [scores(logits(row, torch.tensor(CLASS_VECTORS))).tolist() for row in result.embeddings]
    assert [[round(score, 2) for score in row] for row in table] == PUBLISHED_SCORES


def test_every_epoch_has_the_loss_that_the_notebook_s_own_loop_has() -> None:
    embeddings, losses = run_notebook(6789, 1000)
    result, steps = fit(class_responses(), 6789)
    assert len(steps) == 1000
    assert [step.loss for step in steps] == pytest.approx(losses, abs=1e-5)
    torch.testing.assert_close(result.embeddings, embeddings, atol=1e-5, rtol=0)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("seed", [1, 2])
def test_other_data_and_options_train_as_plain_pytorch_does(
    loss: LossName, penalty: PenaltyName, optimizer: str, seed: int
) -> None:
    responses = random_responses(seed, users=2 + 5 * seed, items=4 * seed, dimensions=1 + 2 * seed)
    embeddings, losses = plain_training(
        responses, seed, 60, loss=loss, penalty=penalty, weight=0.3, optimizer=optimizer, rate=0.05
    )
    result, steps = fit(
        responses,
        seed,
        loss=loss,
        penalty=penalty,
        penalty_weight=0.3,
        optimizer=optimizer,
        learning_rate=0.05,
        epochs=60,
    )
    assert [step.loss for step in steps] == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(result.embeddings, embeddings, atol=1e-4, rtol=0)
