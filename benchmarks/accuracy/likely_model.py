"""Likely's own models, asked as the peers are; the only file here that knows how they are called.

`mixed_effects` takes in new users without training again. Times are of `fit` alone, and of `fold_in` alone.
"""

import time
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.task import Floats, Task
from models.recommender import scoring
from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.data import Responses
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.recommender.model import Model, UserPosterior
from models.recommender.trainer import Step, TrainingResult

_DESCENT = GradientDescentOptions(loss="logistic", optimizer="adam", epochs=100)
_SEED = 1


def _unheard(_: Step) -> None:
    pass


class _Likely:
    """Users with nothing to learn from are no part of the training; ``row`` has the others' rows in it."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(1)
        self.task = task
        users, rows = np.unique(task.train.users, return_inverse=True)
        self.row = {int(user): row for row, user in enumerate(users)}
        self.responses = Responses.from_triples(
            torch.from_numpy(task.vectors),
            torch.from_numpy(rows),
            torch.from_numpy(task.train.items),
            torch.from_numpy(task.train.values),
            len(users),
        )

    def scores(self) -> Floats:
        result = [self.logits(user, torch.from_numpy(items)) for user, items in self.task.asked()]
        return scoring.scores(torch.cat(result)).double().numpy()

    def logits(self, user: int, items: Tensor) -> Tensor:
        raise NotImplementedError


class WithLearnedDimensions(_Likely):
    """`mixed_effects` as it comes, with eight learned dimensions."""

    learned_dimensions = 8

    def train(self) -> None:
        """Fit."""
        options = MixedEffectsOptions(learned_dimensions=self.learned_dimensions)
        self.learned = MixedEffects(options).fit(self.responses, _SEED, _unheard)

    def logits(self, user: int, items: Tensor) -> Tensor:
        """Return the logits of one user's scores."""
        return self._model.predict(self._posterior(user), items).logits

    @cached_property
    def _model(self) -> Model:
        return _restored(self.learned, self.responses)

    def _posterior(self, user: int) -> UserPosterior:
        if user in self.row:
            return self.learned.posteriors[self.row[user]]
        items, values = self.task.known.of(user)
        return self._model.fold_in(torch.from_numpy(items), torch.from_numpy(values), None, 0.0)


class NamedOnly(WithLearnedDimensions):
    """`mixed_effects` without learned dimensions."""

    learned_dimensions = 0


class Descent(_Likely):
    """`gradient_descent` with logistic loss and Adam, 100 epochs; it has nothing to say of a new user."""

    def train(self) -> None:
        """Fit."""
        self.embeddings = GradientDescent(_DESCENT).fit(self.responses, _SEED, _unheard).embeddings

    def logits(self, user: int, items: Tensor) -> Tensor:
        """Return the logits of one user's scores."""
        return scoring.logits(self.embeddings[self.row[user]], self.responses.item_vectors[items])


def relearning_seconds(responses: Responses, fewest: int, maximum: int) -> list[float]:
    """Return what a relearning takes with each user's last response, for users of so many responses."""
    model = _restored(MixedEffects(MixedEffectsOptions()).fit(responses, _SEED, _unheard), responses)
    counts = responses.offsets.diff()
    users = torch.nonzero((counts >= fewest) & (counts <= maximum))[:, 0].tolist()
    return [_relearning(model, responses, user) for user in users]


def _relearning(model: Model, responses: Responses, user: int) -> float:
    own = slice(int(responses.offsets[user]), int(responses.offsets[user + 1]))
    items, values = responses.item_rows[own], responses.values[own]
    before = model.fold_in(items[:-1], values[:-1], None, 0.0)
    start = time.perf_counter()
    model.fold_in(items, values, before, 0.0)
    return time.perf_counter() - start


def _restored(result: TrainingResult, responses: Responses) -> Model:
    """Return the model as the service has it: from what it keeps of a training."""
    known = torch.ones(responses.items, dtype=torch.bool)
    trainer = MixedEffects(MixedEffectsOptions())
    return trainer.restore(result.shared, responses.item_vectors, result.items, known)
