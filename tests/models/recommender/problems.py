"""Problems that the tests of models/ share, with formulas and plain PyTorch as oracles."""

from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.autograd import functional

from models.recommender.class_model.objective import LossName, PenaltyName
from models.recommender.data import Responses
from models.recommender.model import Model
from models.recommender.trainer import Step, Trainer, TrainingResult

CLASS_VECTORS = ((0.6, 0.4, -0.2), (-0.7, 0.8, -0.7), (0.8, -0.75, 0.9))


def unheard(_: Step) -> None:
    """Report to nobody."""


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def class_responses() -> Responses:
    """Return the notebook's data: user n likes movie n and no other."""
    return dense_responses(torch.tensor(CLASS_VECTORS), torch.eye(3))


def dense_responses(vectors: Tensor, table: Tensor) -> Responses:
    """Return the responses of users who all answered all items; table [users, items]."""
    return masked_responses(vectors, table, torch.ones_like(table, dtype=torch.bool))


def masked_responses(vectors: Tensor, table: Tensor, mask: Tensor) -> Responses:
    """Return the responses of a table [users, items] that stand where ``answered`` is true."""
    user_rows, item_rows = torch.nonzero(mask, as_tuple=True)
    return Responses.from_triples(
        vectors, user_rows, item_rows, table[user_rows, item_rows], users=table.shape[0]
    )


def random_responses(
    seed: int, users: int = 6, items: int = 9, dimensions: int = 3, *, share: float = 0.7, scale: float = 1.0
) -> Responses:
    """Return likes, dislikes and answers between them to a share of the items, whose vectors are normal."""
    source = generator(seed)
    table = torch.rand(users, items, generator=source)
    is_rounded = torch.rand(users, items, generator=source) < 0.7
    mask = torch.rand(users, items, generator=source) < share
    mask[0, 0] = True
    vectors = scale * torch.randn(items, dimensions, generator=source)
    return masked_responses(vectors, torch.where(is_rounded, table.round(), table), mask)


def model_of(trainer: Trainer, result: TrainingResult, responses: Responses) -> Model:
    """Return the model that a training left over the items that it saw."""
    all_items = torch.ones(responses.items, dtype=torch.bool)
    return trainer.restore(result.shared, responses.item_vectors, result.items, all_items)


def rows_of(responses: Responses, user: int) -> tuple[Tensor, Tensor]:
    """Return the item rows [n] and answers [n] of one user."""
    here = slice(int(responses.offsets[user]), int(responses.offsets[user + 1]))
    return responses.item_rows[here], responses.values[here]


def answers_of(responses: Responses, user: int) -> tuple[Tensor, Tensor]:
    """Return the vectors [n, dimensions] and answers [n] of one user."""
    mask = responses.user_rows == user
    return responses.item_vectors[responses.item_rows[mask]], responses.values[mask]


def one_user_objective(
    embedding: Tensor,
    vectors: Tensor,
    answers: Tensor,
    others_squared_norm: float,
    loss: LossName,
    penalty: PenaltyName,
    weight: float,
) -> Tensor:
    """Return one user's objective as the mathematics page writes it, to be differentiated."""
    logits = (vectors * embedding).sum(dim=1)
    if loss == "squared":
        total = ((1 / (1 + torch.exp(-logits)) - answers) ** 2).sum()
    else:
        total = (torch.logaddexp(logits, torch.zeros_like(logits)) - answers * logits).sum()
    squared_norm = others_squared_norm + (embedding * embedding).sum()
    return total + weight * (squared_norm.sqrt() if penalty == "norm" else squared_norm)


def gradient_of(formula: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """Return the formula's gradient [n] at the point [n], by autograd."""
    gradient: Tensor = functional.jacobian(formula, point)  # type: ignore[no-untyped-call]
    return gradient


def hessian_of(formula: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """Return the formula's Hessian [n, n] at the point [n], by autograd."""
    hessian: Tensor = functional.hessian(formula, point)  # type: ignore[no-untyped-call]
    return hessian


def plain_training(
    responses: Responses,
    seed: int,
    epochs: int,
    *,
    loss: LossName,
    penalty: PenaltyName,
    weight: float,
    optimizer: str,
    rate: float,
) -> tuple[Tensor, list[float]]:
    """Train as one writes it in PyTorch, by autograd; return the embeddings and every epoch's loss."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        embedding = nn.Embedding(responses.users, responses.dimensions)
    optimizers = {"sgd": optim.SGD, "adam": optim.Adam}
    descent = optimizers[optimizer](embedding.parameters(), lr=rate)
    vectors = responses.item_vectors[responses.item_rows]
    losses = []
    for _ in range(epochs):
        descent.zero_grad()
        scores = torch.sigmoid((embedding(responses.user_rows) * vectors).sum(dim=1))
        if loss == "squared":
            total = torch.pow(scores - responses.values, 2).sum()
        else:
            total = nn.functional.binary_cross_entropy(scores, responses.values, reduction="sum")
        norm = torch.norm(embedding.weight)
        total = total + weight * (norm if penalty == "norm" else norm**2)
        total.backward()
        losses.append(total.item())
        descent.step()
    return embedding.weight.detach(), losses
