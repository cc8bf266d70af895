"""What every trainer does, and the values that it reports and returns.

Does not know any trainer; `models.gradient_descent` is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from models.responses import Responses


class DivergedError(ArithmeticError):
    """The training left the finite numbers; the message says at which step and what to change."""


@dataclass(frozen=True)
class Step:
    """What is reported after one step; loss = data_loss + penalty, all measured before the step's update."""

    step: int
    loss: float
    data_loss: float
    penalty: float


@dataclass(frozen=True)
class Learned:
    """The result of a training: embeddings float32 [users, dimensions], and a sentence on how it ended."""

    embeddings: Tensor
    status: str


class Trainer(Protocol):
    """Learns user embeddings from responses.

    The same responses, options and seed give the same bits on the same machine.
    """

    @property
    def steps_total(self) -> int:
        """How many steps `fit` reports."""
        ...

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Learned:
        """Learn all users' embeddings, calling ``report`` after each step; it may raise to stop the training.

        Raises `BadResponsesError` when nothing can be learned, `DivergedError` when numbers overflow.
        """
        ...

    def relearn(
        self, vectors: Tensor, answers: Tensor, start: Tensor | None, others_squared_norm: float
    ) -> Tensor:
        """Learn one user's embedding anew from all their responses, everybody else held where they are.

        vectors float32 [responses, dimensions] and answers [responses] are the user's; ``start`` is the
        embedding that they had, or None; ``others_squared_norm`` is the sum of squares of all other users'
        embeddings. Returns float32 [dimensions].
        """
        ...
