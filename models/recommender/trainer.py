"""What every trainer does, and the values that it reports and returns.

Does not know any trainer; `models.recommender.class_model.gradient_descent` is one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from models.recommender.data import Responses
from models.recommender.devices import DeviceName
from models.recommender.model import Model, UserPosteriors


@dataclass(frozen=True)
class Step:
    """What is reported after one step; loss = data_loss + penalty, all measured before the step's update."""

    step: int
    loss: float
    data_loss: float
    penalty: float


@dataclass(frozen=True)
class Learned:
    """The result of a training, as it is kept.

    tastes  of the users, by row
    status  a sentence on how the training ended
    items   float32 [items, I]: what was learned of each item, I = 0 where that is nothing
    shared  what users have in common, and items, by name
    """

    posteriors: UserPosteriors
    status: str
    items: Tensor
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def embeddings(self) -> Tensor:
        """The users' embeddings, float32 [users, P]."""
        return self.posteriors.embeddings


@dataclass(frozen=True)
class Sizes:
    """How many numbers are kept: of a user's embedding, of its factor (0 without one), of an item."""

    embedding: int
    factor: int
    item: int


class Trainer(Protocol):
    """Learns user embeddings from responses.

    The same responses, options and seed give the same bits on the same machine.
    """

    @property
    def device(self) -> DeviceName:
        """Where it learns; results are on the processor."""
        ...

    @property
    def steps_total(self) -> int:
        """How many steps `fit` reports at most."""
        ...

    def sizes(self, dimensions: int) -> Sizes:
        """Return how large what it learns is, over items with vectors of so many dimensions."""
        ...

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Learned:
        """Learn all users' embeddings, calling ``report`` after each step; it may raise to stop the training.

        Raises `BadResponsesError` when nothing can be learned, `DivergedError` when numbers overflow,
        `MissingDeviceError` when this machine does not have the device.
        """
        ...

    def restore(self, shared: Mapping[str, Tensor], vectors: Tensor, items: Tensor, known: Tensor) -> Model:
        """Return the model that a training of this trainer left, over the items of ``vectors`` [items, D].

        ``items`` float32 [items, I] holds what was learned of those that are ``known``, bool [items]; the
        others no training saw. Without its items a training is restored from ``vectors`` and ``shared``.
        """
        ...
