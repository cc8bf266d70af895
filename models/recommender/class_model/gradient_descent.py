"""The class model: every user's embedding by full-batch gradient descent over all responses at once.

Embeddings start from N(0, 1), drawn as `torch.nn.Embedding` draws them after `torch.manual_seed(seed)`, and
follow the gradient for a fixed number of epochs. With its defaults this is the training of the class
notebook, section "Embedding layer", vectorised.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from models.errors import DivergedError
from models.options import Options
from models.recommender.class_model.dense_descent import DenseDescent, is_small
from models.recommender.class_model.dot_product import DotProduct
from models.recommender.class_model.newton import Curvature, minimise
from models.recommender.class_model.objective import LossName, Objective, PenaltyName
from models.recommender.data import BadResponsesError, Responses
from models.recommender.devices import DEVICE, DeviceName, find_device
from models.recommender.model import UserPosteriors
from models.recommender.trainer import Sizes, Step, TrainingResult

_LARGEST = torch.finfo(torch.float32).max  # the result is float32


class GradientDescentOptions(Options):
    """The choices of the class model; the defaults are the notebook's."""

    loss: LossName = Field("squared", description="squared error of the score, or logistic loss")
    penalty: PenaltyName = Field("norm", description="norm of all embeddings together, or its square")
    penalty_weight: float = Field(0.2, ge=0, le=1e6, description="factor of the penalty")
    learning_rate: float = Field(0.1, gt=0, le=1e3, description="step length along the gradient")
    epochs: int = Field(1000, ge=1, le=100_000, description="steps; each sees every response once")
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="torch.optim.SGD or torch.optim.Adam")
    device: DeviceName = DEVICE


class GradientDescent:
    """The trainer of the class model."""

    def __init__(self, options: GradientDescentOptions) -> None:
        self.options = options
        self._objective = Objective(options.loss, options.penalty, options.penalty_weight)

    @property
    def device(self) -> DeviceName:
        return self.options.device

    @property
    def steps_total(self) -> int:
        return self.options.epochs

    def sizes(self, dimensions: int) -> Sizes:
        return Sizes(embedding=dimensions, factor=0, item=0)

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> TrainingResult:
        if responses.dimensions == 0:
            raise BadResponsesError("gradient_descent learns a weight a dimension, and the movies have none")
        start = _initial_embeddings(responses.users, responses.dimensions, seed)
        descent = self._descent(responses, start)
        with np.errstate(all="ignore"):  # the loss shows an overflow
            for epoch in range(1, self.options.epochs + 1):
                data_loss, penalty = descent.step()
                loss = data_loss + penalty
                if not -_LARGEST <= loss <= _LARGEST:
                    raise DivergedError(
                        f"the loss left the finite numbers at epoch {epoch}; lower learning_rate"
                    )
                report(Step(epoch, loss, data_loss, penalty))
        embeddings = descent.embeddings.float().cpu()
        if not bool(torch.isfinite(embeddings).all()):
            raise DivergedError(
                f"the embeddings left the finite numbers at epoch {self.options.epochs}; lower learning_rate"
            )
        items = embeddings.new_empty(responses.items, 0)
        return TrainingResult(UserPosteriors(embeddings), f"ran all {self.options.epochs} epochs", items)

    def restore(
        self,
        parameters: Mapping[str, Tensor],  # noqa: ARG002 - embeddings are all that is learned
        vectors: Tensor,
        items: Tensor,  # noqa: ARG002 - likewise
        trained_items: Tensor,  # noqa: ARG002 - likewise
    ) -> DotProduct:
        is_coupled = self.options.penalty == "norm" and self.options.penalty_weight > 0
        return DotProduct(vectors, self.fold_in, self._objective, is_coupled)

    def fold_in(
        self, vectors: Tensor, answers: Tensor, start: Tensor | None, others_squared_norm: float
    ) -> Tensor:
        """Minimise the objective over one user's embedding, all other users held fixed.

        vectors float32 [responses, dimensions] and answers [responses] are all of the user's; ``start`` is
        the user's previous embedding, or None; ``others_squared_norm`` is the sum of squares of all other
        users' embeddings. Returns float32 [dimensions].

        The squared loss is not convex, so it is minimised from the previous embedding and from zero, and the
        lower minimum is taken; of equal ones, that from the previous embedding. Zero is tried too when a
        search from far out, where every slope is flat, did not converge.
        """
        answers = answers.double()
        # The data loss does not depend on directions outside the span of the answered vectors, so the search
        # is in coordinates of that span: as many as responses, where these are fewer than dimensions.
        basis: Tensor = torch.linalg.qr(vectors.double().T).Q
        vectors = vectors.double() @ basis

        def problem(point: Tensor) -> Curvature:
            return self._objective.for_one_user(point, vectors, answers, others_squared_norm)

        zero = torch.zeros(vectors.shape[1], dtype=torch.float64)
        previous = torch.zeros(basis.shape[0], dtype=torch.float64) if start is None else start.double()
        coordinates = basis.T @ previous
        minimum = minimise(problem, coordinates)
        if start is not None and (self.options.loss == "squared" or not minimum.converged):
            minimum = min(minimum, minimise(problem, zero), key=lambda candidate: candidate.value)
        # A penalty draws the part outside the span to zero; without one it stays as it was.
        embedding = basis @ minimum.point
        if self.options.penalty_weight == 0:
            embedding += previous - basis @ coordinates
        return embedding.float()

    def _descent(self, responses: Responses, start: Tensor) -> "_Descent":
        device = find_device(self.options.device)
        if self.options.optimizer == "sgd" and device.type == "cpu" and is_small(responses):
            return DenseDescent(self._objective, responses, start, self.options.learning_rate)
        return SparseDescent(self._objective, responses.to(device), start.to(device), self.options)


class _Descent(Protocol):
    """Takes steps of gradient descent."""

    @property
    def embeddings(self) -> Tensor:
        """The present embeddings, float64 [users, dimensions]."""
        ...

    def step(self) -> tuple[float, float]:
        """Take a step; return data loss and penalty before it."""
        ...


class SparseDescent:
    """Descends by sparse products, whatever the number of responses."""

    def __init__(
        self, objective: Objective, responses: Responses, start: Tensor, options: GradientDescentOptions
    ) -> None:
        self._objective, self._responses, self._rate = objective, responses, options.learning_rate
        # Steps are summed in float64: a thousand float32 roundings would move the published fourth decimals.
        self.embeddings = start.double()
        # torch.optim.SGD does the same as `add_`, after a second of imports
        adam = options.optimizer == "adam"
        self._adam = torch.optim.Adam([self.embeddings], lr=self._rate) if adam else None

    def step(self) -> tuple[float, float]:
        evaluation = self._objective.value_and_gradient(self.embeddings.float(), self._responses)
        if self._adam is None:
            self.embeddings.add_(evaluation.gradient, alpha=-self._rate)
        else:
            self.embeddings.grad = evaluation.gradient.double()
            self._adam.step()
        return evaluation.data_loss, evaluation.penalty


def _initial_embeddings(users: int, dimensions: int, seed: int) -> Tensor:
    """Draw N(0, 1) [users, dimensions] as `torch.nn.Embedding` does after `torch.manual_seed(seed)`.

    A generator of its own draws the same numbers without touching torch's shared random state.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(users, dimensions).normal_(generator=generator)
