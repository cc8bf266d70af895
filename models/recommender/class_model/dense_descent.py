"""Gradient descent of the class model on a small dense table of users × items, in float64.

torch's sparse operations take microseconds each, whatever the size: for the class's nine responses that is
nearly all of an epoch. A dozen NumPy operations on the dense table take a tenth of it. Tests hold it to
`models.recommender.class_model.objective.Objective`, which descends where the table is large.
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
    """Return whether the table of users × items is so small that dense descent is faster."""
    return responses.users * responses.items <= _CELLS and responses.dimensions <= _DIMENSIONS


class DenseDescent:
    """Descends from the embeddings ``start`` [users, dimensions].

    NumPy warns of an overflow unless the caller has silenced it.
    """

    def __init__(self, objective: Objective, responses: Responses, start: Tensor, rate: float) -> None:
        self._objective, self._rate = objective, rate
        self._table = start.double().numpy().copy()
        vectors = responses.item_vectors.double().numpy()
        self._transposed_vectors = np.ascontiguousarray(vectors.T)
        slope = 2.0 if objective.loss == "squared" else 1.0  # of the square, kept out of every epoch
        self._scaled_vectors = slope * rate * vectors
        shape = responses.users, responses.items
        rows, columns = responses.user_rows.numpy(), responses.item_rows.numpy()
        self._answers, self._mask = np.zeros(shape), np.zeros(shape)
        self._answers[rows, columns] = responses.values.numpy()
        self._mask[rows, columns] = 1.0
        self._is_complete = bool(self._mask.all())

    @property
    def embeddings(self) -> Tensor:
        return torch.from_numpy(self._table)

    def step(self) -> tuple[float, float]:
        table = self._table
        data_loss, slopes = self._losses(table @ self._transposed_vectors)
        squared_norm, weight = float(np.vdot(table, table)), self._objective.penalty_weight
        if self._objective.penalty == "norm":
            penalty = weight * sqrt(squared_norm)
            shrinkage = weight / sqrt(squared_norm) if squared_norm > 0 else 0.0
        else:
            penalty, shrinkage = weight * squared_norm, 2.0 * weight
        table *= 1.0 - self._rate * shrinkage
        table -= slopes @ self._scaled_vectors
        return data_loss, penalty

    def _losses(self, logits: Numbers) -> tuple[float, Numbers]:
        """Return the data loss and its slopes by the logits [users, items]; of squares, half of them."""
        scores = np.exp(-logits)
        scores += 1.0
        np.reciprocal(scores, out=scores)
        errors = scores - self._answers
        if not self._is_complete:
            errors *= self._mask
        if self._objective.loss == "logistic":
            losses = np.logaddexp(0.0, logits) - self._answers * logits
            return float(np.vdot(losses, self._mask)), errors
        slopes = 1.0 - scores
        slopes *= scores
        slopes *= errors
        return float(np.vdot(errors, errors)), slopes
