"""implicit: models of likes. ALS takes dislikes too, as negative confidence; the others leave them out.

ALS takes in a new user without training again. Does not know probabilities: the scores only rank.
"""

from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization
from scipy.sparse import csr_matrix

from benchmarks.accuracy.task import Answers, Floats, Task


def _likes(answers: Answers, task: Task) -> csr_matrix:
    """Return 1 where a user likes an item."""
    likes = answers.values >= 0.5  # noqa: PLR2004 - from here on a response is a like
    places = (answers.users[likes], answers.items[likes])
    return csr_matrix((np.ones(likes.sum(), np.float32), places), (task.users, task.items))


def _likes_and_dislikes(answers: Answers, task: Task) -> csr_matrix:
    """Return 1 for a like and −1 for a dislike."""
    signs = np.where(answers.values >= 0.5, 1, -1).astype(np.float32)  # noqa: PLR2004 - likewise
    return csr_matrix((signs, (answers.users, answers.items)), (task.users, task.items))


class _Factors:
    model: Any

    def __init__(self, task: Task) -> None:
        self.task = task
        self.matrix = _likes(task.everything, task)

    def train(self) -> None:
        """Fit."""
        self.model.fit(self.matrix, show_progress=False)

    def scores(self) -> Floats:
        """Return the products of the two sides."""
        users, items = self.model.user_factors, self.model.item_factors
        return (users[self.task.asked_users] * items[self.task.asked_items]).sum(axis=1)


class BPR(_Factors):
    """Bayesian personalized ranking, 100 factors, 100 epochs."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.model = BayesianPersonalizedRanking(num_threads=1, random_state=1)


class LogisticMF(_Factors):
    """Logistic matrix factorization, 30 factors, 30 epochs, 30 negatives a like."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.model = LogisticMatrixFactorization(num_threads=1, random_state=1)


class ALS(_Factors):
    """Alternating least squares, 100 factors, 15 epochs; dislikes weigh as likes do."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.matrix = _likes_and_dislikes(task.train, task)
        self.model = AlternatingLeastSquares(num_threads=1, random_state=1)

    def scores(self) -> Floats:
        """Solve for the new users first."""
        new = np.unique(self.task.known.users)
        if len(new):
            matrix = _likes_and_dislikes(self.task.known, self.task)
            self.model.partial_fit_users(new, matrix[new])
        return super().scores()
