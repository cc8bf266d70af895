"""Plain gradient descent of the class model on a small table of users × items, all in float64.

torch's sparse operations take microseconds each, whatever the size: for the class's nine responses that is
nearly all of an epoch. A dozen NumPy operations on the whole table take a tenth of it. Held to
`models.recommender.class_model.objective.Objective` by tests, which
`models.recommender.class_model.gradient_descent` follows where the table is large. Does not know when to
stop.
"""

from math import sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recommender.class_model.objective import Objective
from models.recommender.data import Responses

_CELLS = 1024  # users × items
_DIMENSIONS = 64

Numbers = npt.NDArray[np.float64]


def is_small(responses: Responses) -> bool:
    """Return whether the table of users × items is so small that this is the faster way."""
    return responses.users * responses.items <= _CELLS and responses.dimensions <= _DIMENSIONS


class DenseDescent:
    """Embeddings [users, dimensions] on their way down, from ``start``.

    Where a number overflows NumPy warns, unless the caller has silenced it.
    """

    def __init__(self, objective: Objective, responses: Responses, start: Tensor, rate: float) -> None:
        self._objective, self._rate = objective, rate
        self._table = start.double().numpy().copy()
        vectors = responses.item_vectors.double().numpy()
        self._across = np.ascontiguousarray(vectors.T)
        slope = 2.0 if objective.loss == "squared" else 1.0  # of the square, left out of every epoch
        self._descending = slope * rate * vectors
        shape = responses.users, responses.items
        rows, columns = responses.user_rows.numpy(), responses.item_rows.numpy()
        self._answers, self._answered = np.zeros(shape), np.zeros(shape)
        self._answers[rows, columns] = responses.values.numpy()
        self._answered[rows, columns] = 1.0
        self._everything = bool(self._answered.all())

    @property
    def embeddings(self) -> Tensor:
        """The embeddings as they are, float64."""
        return torch.from_numpy(self._table)

    def step(self) -> tuple[float, float]:
        """Take a step down; return data loss and penalty before it."""
        table = self._table
        data_loss, slopes = self._losses(table @ self._across)
        squared, weight = float(np.vdot(table, table)), self._objective.penalty_weight
        if self._objective.penalty == "norm":
            penalty = weight * sqrt(squared)
            shrinking = weight / sqrt(squared) if squared > 0 else 0.0
        else:
            penalty, shrinking = weight * squared, 2.0 * weight
        table *= 1.0 - self._rate * shrinking
        table -= slopes @ self._descending
        return data_loss, penalty

    def _losses(self, logits: Numbers) -> tuple[float, Numbers]:
        """Return the responses' loss, and its slopes by the logits [users, items], of squares the half."""
        scores = np.exp(-logits)
        scores += 1.0
        np.reciprocal(scores, out=scores)
        errors = scores - self._answers
        if not self._everything:
            errors *= self._answered
        if self._objective.loss == "logistic":
            losses = np.logaddexp(0.0, logits) - self._answers * logits
            return float(np.vdot(losses, self._answered)), errors
        slopes = 1.0 - scores
        slopes *= scores
        slopes *= errors
        return float(np.vdot(errors, errors)), slopes
