"""scikit-learn's logistic regression, one a user, on the movies' vectors. Does not know other users."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.accuracy.peers.movie_mean import mean_response
from benchmarks.accuracy.task import Floats, Task


class LogisticRegressions:
    """A regression for each user who has liked and disliked; the user's mean for the others."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.means = np.empty(0)
        self.fitted: dict[int, LogisticRegression] = {}

    def train(self) -> None:
        """Fit everybody who is asked about."""
        answers = self.task.everything
        self.means = mean_response(answers, answers.users, self.task.users)
        for user in np.unique(self.task.asked_users):
            items, values = answers.of(user)
            if len(np.unique(values)) > 1:
                self.fitted[user] = LogisticRegression().fit(self.task.vectors[items], values)

    def scores(self) -> Floats:
        """Return the probabilities of a like."""
        result = []
        for user, items in self.task.asked():
            if user in self.fitted:
                result.append(self.fitted[user].predict_proba(self.task.vectors[items])[:, 1])
            else:
                result.append(np.full(len(items), self.means[user]))
        return np.concatenate(result)
