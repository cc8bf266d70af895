"""myFM: a factorization machine with probit link, sampled by Gibbs. New users need another training.

Each of the two is given to the library in the form that it trains faster in: one table of one-hot columns
without genres, relation blocks with them. Does not know that columns stand for users and movies.
"""

import numpy as np
from myfm import MyFMClassifier, RelationBlock
from scipy.sparse import csr_matrix, hstack, identity

from benchmarks.accuracy.task import Floats, Rows, Task

_RANK, _ITERATIONS = 8, 200


def _one_hot(rows: Rows, size: int) -> csr_matrix:
    return csr_matrix((np.ones(len(rows)), (np.arange(len(rows)), rows)), (len(rows), size))


class FactorizationMachine:
    """Users and movies in one-hot columns; rank 8, 200 iterations, a prior for each group of columns."""

    def __init__(self, task: Task) -> None:
        self.task = task
        answers = task.everything
        self.likes = answers.values >= 0.5  # noqa: PLR2004 - from here on a response is a like
        self.columns = self._columns(answers.users, answers.items)
        self.model = MyFMClassifier(rank=_RANK, random_seed=1)

    def _columns(self, users: Rows, items: Rows) -> csr_matrix:
        return hstack([_one_hot(users, self.task.users), _one_hot(items, self.task.items)], format="csr")

    def train(self) -> None:
        """Sample."""
        groups = [self.task.users, self.task.items]
        self.model.fit(self.columns, self.likes, n_iter=_ITERATIONS, group_shapes=groups)

    def scores(self) -> Floats:
        """Return the mean over the samples of the probability of a like."""
        asked = self._columns(self.task.asked_users, self.task.asked_items)
        return self.model.predict_proba(asked, n_workers=1)


class FactorizationMachineWithGenres:
    """The same, where a movie also has a column a genre."""

    def __init__(self, task: Task) -> None:
        self.task = task
        answers = task.everything
        self.likes = answers.values >= 0.5  # noqa: PLR2004 - from here on a response is a like
        self.blocks = self._blocks(answers.users, answers.items)
        self.model = MyFMClassifier(rank=_RANK, random_seed=1)

    def _blocks(self, users: Rows, items: Rows) -> list[RelationBlock]:
        user = identity(self.task.users, format="csr")
        movie = hstack([identity(self.task.items), csr_matrix(self.task.vectors)], format="csr")
        return [RelationBlock(users, user), RelationBlock(items, movie)]

    def train(self) -> None:
        """Sample."""
        groups = [self.task.users, *self.task.vectors.shape]
        self.model.fit(None, self.likes, X_rel=self.blocks, n_iter=_ITERATIONS, group_shapes=groups)

    def scores(self) -> Floats:
        """Return the mean over the samples of the probability of a like."""
        asked = self._blocks(self.task.asked_users, self.task.asked_items)
        return self.model.predict_proba(None, asked, n_workers=1)
