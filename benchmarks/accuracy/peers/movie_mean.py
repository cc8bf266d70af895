"""The movie's mean: the least that a model has to beat. Does not know users."""

import numpy as np

from benchmarks.accuracy.task import Answers, Floats, Rows, Task


def mean_response(answers: Answers, rows: Rows, size: int) -> Floats:
    """Return each row's mean response [size], drawn to everybody's mean by the weight of one response."""
    sums = np.bincount(rows, answers.values, size) + answers.values.mean()
    means: Floats = sums / (np.bincount(rows, minlength=size) + 1)
    return means


class MovieMean:
    """Everybody gets the mean of the movie's responses."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.means = np.empty(0)

    def train(self) -> None:
        """Take the means."""
        answers = self.task.everything
        self.means = mean_response(answers, answers.items, self.task.items)

    def scores(self) -> Floats:
        """Look the movie up."""
        return self.means[self.task.asked_items]
