"""scikit-surprise: models of ratings, which are 0 and 1 here. New users need another training.

Does not know that a score is to be a probability: predictions are clipped to the ratings' scale.
"""

from collections.abc import Callable

import numpy as np
import surprise

from benchmarks.accuracy.task import Floats, Task

_LEAST = 1e-3  # a predicted 0 or 1 is not taken at its word


class _Ratings:
    algorithm: Callable[[], surprise.AlgoBase]

    def __init__(self, task: Task) -> None:
        self.task = task
        answers = task.everything
        triples = zip(answers.users.tolist(), answers.items.tolist(), answers.values.tolist(), strict=True)
        rows = [(user, item, value, None) for user, item, value in triples]
        data = surprise.Dataset(surprise.Reader(rating_scale=(0, 1)))
        self.trainset = data.construct_trainset(rows)
        self.model = type(self).algorithm()

    def train(self) -> None:
        """Fit."""
        self.model.fit(self.trainset)

    def scores(self) -> Floats:
        """Return the predictions; the library itself falls back on biases for who or what is unknown."""
        pairs = zip(self.task.asked_users.tolist(), self.task.asked_items.tolist(), strict=True)
        return np.clip([self.model.predict(user, item).est for user, item in pairs], _LEAST, 1 - _LEAST)


class SVD(_Ratings):
    """Biased matrix factorization by stochastic gradient descent, 100 factors, 20 epochs."""

    algorithm = staticmethod(lambda: surprise.SVD(random_state=1))


class SVDpp(_Ratings):
    """SVD++, 20 factors, 20 epochs."""

    algorithm = staticmethod(lambda: surprise.SVDpp(random_state=1))


class KNNBaseline(_Ratings):
    """Forty nearest users by mean squared difference, about baselines."""

    algorithm = staticmethod(lambda: surprise.KNNBaseline(verbose=False))
