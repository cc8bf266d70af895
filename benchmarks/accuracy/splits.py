"""The tasks: what is learned from, what is asked, and the answers, which no model gets to see.

Does not know any model.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.accuracy.task import Answers, Floats, Rows, Task
from benchmarks.folder import Folder
from models.recommender.data import Responses
from models.recommender.holdout import Holdout, held_out, select

SPLITS = {
    "random": Holdout(last_n=10, by="seed"),
    "time": Holdout(fraction=0.2, by="time"),
}
KNOWN = (0, 1, 3, 5, 10)  # responses of a new user
FOLDS = 5  # of users
_SEED = 1


@dataclass(frozen=True)
class Question:
    """A task, and the responses to what it asks [n]."""

    task: Task
    answers: Floats

    @classmethod
    def of(cls, responses: Responses, mask: torch.Tensor) -> Self:
        """Ask for the responses where ``mask`` [responses] is true; learn from the others."""
        train, asked = _answers(select(responses, ~mask)), _answers(select(responses, mask))
        answers = Answers(asked.users[:0], asked.items[:0], asked.values[:0])
        vectors = responses.item_vectors.double().numpy()
        return cls(Task(responses.users, vectors, train, answers, asked.users, asked.items), asked.values)


def split(folder: Folder, name: str) -> Question:
    """Return one of the two splits."""
    return Question.of(folder.responses, held_out(folder.responses, folder.timestamps, SPLITS[name], _SEED))


def for_scaling(task: Task, name: str) -> Question:
    """Return a question within the training part, of as many responses as the split asks for, but random."""
    holdout = SPLITS[name].model_copy(update={"by": "seed"})
    train = task.train
    responses = Responses.from_triples(
        torch.from_numpy(task.vectors),
        torch.from_numpy(train.users),
        torch.from_numpy(train.items),
        torch.from_numpy(train.values),
        task.users,
    )
    unused = torch.zeros(len(train.values), dtype=torch.float64)  # times: the draw is by seed
    return Question.of(responses, held_out(responses, unused, holdout, _SEED + 1))


def cold_start(folder: Folder, known: int, fold: int) -> Question:
    """Return one fifth of the users as new ones, with ``known`` of a random ten responses known of each.

    The others, which are asked, are the same however many are known. In the five folds everybody is new once.
    """
    contents = _answers(folder.responses)
    generator = np.random.default_rng(_SEED)
    users = folder.responses.users
    new = np.zeros(users, dtype=bool)
    new[np.array_split(generator.permutation(users), FOLDS)[fold]] = True
    theirs, place = new[contents.users], _random_places(contents.users, generator)
    asked = _where(contents, theirs & (place >= max(KNOWN)))
    train, answers = _where(contents, ~theirs), _where(contents, theirs & (place < known))
    vectors = folder.responses.item_vectors.double().numpy()
    return Question(Task(users, vectors, train, answers, asked.users, asked.items), asked.values)


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
