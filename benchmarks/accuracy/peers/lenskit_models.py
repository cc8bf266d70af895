"""LensKit's biased matrix factorization: a model of ratings, which are 0 and 1 here.

It takes in new users without training again. Who or what is unknown gets the bias model's prediction, as in
LensKit's own rating pipeline. Does not know that a score is to be a probability: predictions are clipped.
"""

import numpy as np
import pandas as pd
from lenskit.als import BiasedMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.training import TrainingOptions

from benchmarks.accuracy.task import Floats, Task

_LEAST = 1e-3  # a predicted 0 or 1 is not taken at its word


class BiasedMF:
    """Alternating least squares, 50 factors, 10 epochs, bias damping 5."""

    def __init__(self, task: Task) -> None:
        self.task = task
        train = task.train
        columns = {"user_id": train.users, "item_id": train.items, "rating": train.values}  # noqa: PD011 - no frame yet
        self.data = from_interactions_df(pd.DataFrame(columns))
        self.model = BiasedMFScorer()

    def train(self) -> None:
        """Fit."""
        self.model.train(self.data, TrainingOptions(rng=1))

    def scores(self) -> Floats:
        """Return the predictions, clipped to the ratings' scale."""
        result = []
        for user, rows in self.task.asked():
            items, query = ItemList(item_ids=rows), self._query(user)
            own = self.model(query, items).scores()
            biases, _ = self.model.bias.compute_for_items(items, user, query.query_items)
            result.append(np.where(np.isfinite(own), own, biases))
        return np.clip(np.concatenate(result), _LEAST, 1 - _LEAST)

    def _query(self, user: int) -> RecQuery:
        rows, values = self.task.known.of(user)
        return RecQuery(
            user_id=user, history_items=ItemList(item_ids=rows, rating=values) if len(rows) else None
        )
