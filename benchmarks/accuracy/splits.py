"""The tasks: what is learned from, what is asked, and the answers, which no model gets to see.

Does not know any model.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.accuracy.folder import Folder
from benchmarks.accuracy.task import Answers, Floats, Rows, Task
from models.holdout import Holdout, held_out, kept
from models.responses import Responses

SPLITS = {
    "random": Holdout(last_n=10, by="seed"),
    "time": Holdout(fraction=0.2, by="time"),
}
KNOWN = (0, 1, 3, 5, 10)  # responses of a new user
_SEED = 1
_NEW_USERS = 0.2  # of all users
_FOR_SCALING = Holdout(fraction=0.1, by="seed")


@dataclass(frozen=True)
class Question:
    """A task, and the responses to what it asks [n]."""

    task: Task
    answers: Floats

    @classmethod
    def of(cls, responses: Responses, mask: torch.Tensor) -> Self:
        """Ask for the responses where ``mask`` [responses] is true; learn from the others."""
        train, asked = _answers(kept(responses, ~mask)), _answers(kept(responses, mask))
        nothing = Answers(asked.users[:0], asked.items[:0], asked.values[:0])
        vectors = responses.item_vectors.double().numpy()
        return cls(Task(responses.users, vectors, train, nothing, asked.users, asked.items), asked.values)


def split(folder: Folder, name: str) -> Question:
    """Return one of the two splits."""
    return Question.of(folder.responses, held_out(folder.responses, folder.timestamps, SPLITS[name], _SEED))


def for_scaling(task: Task) -> Question:
    """Return a tenth of each user's training part as a question of its own, to scale scores by."""
    train = task.train
    responses = Responses.from_triples(
        torch.from_numpy(task.vectors),
        torch.from_numpy(train.users),
        torch.from_numpy(train.items),
        torch.from_numpy(train.values),
        task.users,
    )
    unused = torch.zeros(len(train.values), dtype=torch.float64)  # times: the draw is by seed
    return Question.of(responses, held_out(responses, unused, _FOR_SCALING, _SEED + 1))


def cold_start(folder: Folder) -> dict[int, Question]:
    """Return, for each number of known responses, a fifth of the users as new ones.

    What is asked is the same in all: the new users' responses but a random ten, which become known in turn.
    """
    everything = _answers(folder.responses)
    generator = np.random.default_rng(_SEED)
    users = folder.responses.users
    new = np.zeros(users, dtype=bool)
    new[generator.permutation(users)[: int(_NEW_USERS * users)]] = True
    theirs = new[everything.users]
    place = _random_places(everything.users, generator)
    asked = _where(everything, theirs & (place >= max(KNOWN)))
    train, vectors = _where(everything, ~theirs), folder.responses.item_vectors.double().numpy()
    return {
        count: Question(
            Task(
                users, vectors, train, _where(everything, theirs & (place < count)), asked.users, asked.items
            ),
            asked.values,
        )
        for count in KNOWN
    }


def _answers(responses: Responses) -> Answers:
    return Answers(
        responses.user_rows.numpy(), responses.item_rows.numpy(), responses.values.double().numpy()
    )


def _where(answers: Answers, mask: npt.NDArray[np.bool_]) -> Answers:
    return Answers(answers.users[mask], answers.items[mask], answers.values[mask])


def _random_places(users: Rows, generator: np.random.Generator) -> Rows:
    """Return each response's place among its user's in a random order, from 0; ``users`` ascending [n]."""
    order = np.lexsort([generator.random(len(users)), users])
    _, starts, counts = np.unique(users, return_index=True, return_counts=True)
    places = np.empty_like(users)
    places[order] = np.arange(len(users)) - np.repeat(starts, counts)
    return places
