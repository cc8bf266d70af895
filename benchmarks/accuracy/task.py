"""What a model is asked: responses to learn from, and pairs of a user and an item to score.

A task travels as a file, because a model may live in an environment of its own, so only numpy is needed
here. It holds no response to what is asked: no model can see the answers. Does not know who is asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Responses: user and item rows, and values in [0, 1], each [n]."""

    users: Rows
    items: Rows
    values: Floats

    def of(self, user: int) -> tuple[Rows, Floats]:
        """Return one user's item rows and values."""
        own = self.users == user
        return self.items[own], self.values[own]

    def and_then(self, others: "Answers") -> "Answers":
        """Return these and the others."""
        return Answers(
            np.concatenate([self.users, others.users]),
            np.concatenate([self.items, others.items]),
            np.concatenate([self.values, others.values]),
        )


@dataclass(frozen=True)
class Task:
    """Responses to learn from, those ``known`` of users that ``train`` has nothing of, and pairs to score.

    vectors [items, dimensions]; asked_users and asked_items [n], the users ascending.
    """

    users: int
    vectors: Floats
    train: Answers
    known: Answers
    asked_users: Rows
    asked_items: Rows

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.vectors)

    @property
    def everything(self) -> Answers:
        """All responses, for a model that cannot take in a new user without training again."""
        return self.train.and_then(self.known)

    def asked(self) -> Iterator[tuple[int, Rows]]:
        """Yield each user who is asked about with the items, in the order of the pairs."""
        users, starts = np.unique(self.asked_users, return_index=True)
        for user, items in zip(users, np.split(self.asked_items, starts[1:]), strict=True):
            yield int(user), items

    def save(self, path: Path) -> None:
        """Write the task to a file."""
        columns = {
            f"{part}_{name}": getattr(answers, name)
            for part, answers in (("train", self.train), ("known", self.known))
            for name in ("users", "items", "values")
        }
        np.savez(
            path,
            allow_pickle=False,
            size=np.array(self.users),
            vectors=self.vectors,
            asked_users=self.asked_users,
            asked_items=self.asked_items,
            **columns,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a task from its file."""
        with np.load(path) as result:
            train, known = (
                Answers(result[f"{part}_users"], result[f"{part}_items"], result[f"{part}_values"])
                for part in ("train", "known")
            )
            return cls(
                int(result["size"]),
                result["vectors"],
                train,
                known,
                result["asked_users"],
                result["asked_items"],
            )


class Model(Protocol):
    """A model is made from a task, brings it into its own form, is trained, and scores the pairs asked."""

    def __init__(self, task: Task) -> None: ...

    def train(self) -> None:
        """Learn; this alone is timed."""

    def scores(self) -> Floats:
        """Return a score a pair, taking in first what is known of new users."""
