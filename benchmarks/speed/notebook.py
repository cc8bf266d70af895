"""The class notebook's own training loop, section "Embedding layer", for any users, movies and responses.

What the notebook does is kept: one forward pass a response, losses added up one by one, the norm of the
embeddings, SGD. Does not know how Likely learns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim

from models.recommender.data import Responses

_RATE, _PENALTY = 0.1, 1 / 5


@dataclass(frozen=True)
class Pair:
    """A user's number, a movie's vector, and the response of the one to the other."""

    user: Tensor
    movie: Tensor
    response: float


def pairs(responses: Responses) -> list[Pair]:
    """Return the data as the notebook has it: a tensor a user and one a movie, met in each pair."""
    users = [torch.tensor(number) for number in range(responses.users)]
    movies = list(responses.item_vectors)
    rows = zip(
        responses.user_rows.tolist(), responses.item_rows.tolist(), responses.values.tolist(), strict=True
    )
    return [Pair(users[user], movies[item], value) for user, item, value in rows]


class EmbeddingNetwork(nn.Module):
    """The notebook's model: an embedding for each user, whose score is σ of its product with the movie."""

    def __init__(self, users: int, dimensions: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(users, dimensions)

    def forward(self, user: Tensor, movie: Tensor) -> Tensor:
        """Return the score of one movie for one user."""
        return torch.sigmoid(torch.sum(self.embedding(user) * movie))


def train(network: EmbeddingNetwork, data: Sequence[Pair], epochs: int) -> list[float]:
    """Train as the notebook does; return the loss of each epoch, before its step."""
    optimizer = optim.SGD(network.parameters(), lr=_RATE)
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        for number, pair in enumerate(data):
            score = network(pair.user, pair.movie)
            if number == 0:
                loss = torch.pow(score - pair.response, 2)
            else:
                loss += torch.pow(score - pair.response, 2)
        for parameter in network.parameters():
            loss += _PENALTY * torch.norm(parameter)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        optimizer.step()
    return losses
