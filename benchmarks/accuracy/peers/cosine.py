"""What vector databases offer: a movie's cosine with the mean of the likes less that of the dislikes.

Does not know other users, nor how sure it may be.
"""

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.task import Floats, Rows, Task


class Cosine:
    """A user is the mean vector of the likes less the mean vector of the dislikes."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.wanted = np.empty(0)

    def train(self) -> None:
        """Take the means; of no likes, or no dislikes, it is the zero vector."""
        answers = self.task.everything
        likes = answers.values >= 0.5  # noqa: PLR2004 - from here on a response is a like
        self.wanted = self._means(answers.users, answers.items, likes)
        self.wanted -= self._means(answers.users, answers.items, ~likes)

    def _means(self, users: Rows, items: Rows, choice: npt.NDArray[np.bool_]) -> Floats:
        sums = np.zeros((self.task.users, self.task.vectors.shape[1]))
        np.add.at(sums, users[choice], self.task.vectors[items[choice]])
        counts = np.bincount(users[choice], minlength=self.task.users)
        return sums / np.maximum(counts, 1)[:, None]

    def scores(self) -> Floats:
        """Return the cosines; 0 where a vector is zero."""
        target, vectors = self.wanted[self.task.asked_users], self.task.vectors[self.task.asked_items]
        lengths = np.linalg.norm(target, axis=1) * np.linalg.norm(vectors, axis=1)
        return (target * vectors).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
