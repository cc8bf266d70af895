"""The protocol of a trainer, and the values that it reports and returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from models.recommender.data import Responses
from models.recommender.devices import DeviceName
from models.recommender.model import Model, UserPosteriors


@dataclass(frozen=True)
class Step:
    """The report of one step; loss = data_loss + penalty, all measured before the step's update."""

    step: int
    loss: float
    data_loss: float
    penalty: float


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training, as it is stored.

    posteriors  of the users, by row
    status      a sentence on how the training ended
    items       float32 [items, I]: learned parameters of each item, I = 0 without any
    shared      parameters that all users and items share, by name
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
    """How many numbers are stored: of a user's embedding, of its factor (0 without one), of an item."""

    embedding: int
    factor: int
    item: int


class Trainer(Protocol):
    """Learns users' posteriors from responses.

    The same responses, options and seed give the same bits on the same machine.
    """

    @property
    def device(self) -> DeviceName:
        """The device that it learns on; results are on the processor."""
        ...

    @property
    def steps_total(self) -> int:
        """How many steps `fit` reports at most."""
        ...

    def sizes(self, dimensions: int) -> Sizes:
        """Return the sizes of its parameters, for items with vectors of so many ``dimensions``."""
        ...

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> TrainingResult:
        """Learn from all responses, calling ``report`` after each step; it may raise to stop the training.

        Raises `BadResponsesError` when nothing can be learned, `DivergedError` when numbers overflow,
        `MissingDeviceError` when this machine does not have the device.
        """
        ...

    def restore(
        self, parameters: Mapping[str, Tensor], vectors: Tensor, items: Tensor, trained_items: Tensor
    ) -> Model:
        """Return the model of a training's `TrainingResult`, over the items of ``vectors`` [items, D].

        ``parameters`` are its shared ones; ``items`` float32 [items, I] its items' where ``trained_items``,
        bool [items]; without any its rows may be empty. All other items are predicted from their vectors.
        """
        ...
