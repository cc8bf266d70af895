"""The class training, 1,000 epochs, beside the notebook's own loop; the losses of every epoch must agree.

Both in this process, with one thread, in turn. Does not know what a service adds to a training.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from app.cli.demo import MOVIES, RESPONSES, SEED
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.notebook import EmbeddingNetwork, pairs, train
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.data import Responses
from testbed.running import check

_EPOCHS, _TIMES, _SAME = 1000, 5, 1e-5
_GOAL = Goal("at least", 40, "times faster")


def measure(_: Path) -> Iterator[Line]:
    """Compare every epoch's loss, then the times."""
    torch.set_num_threads(1)
    responses = class_responses()
    ours, theirs = _losses(responses), _notebook(responses)
    check(len(ours) == len(theirs) == _EPOCHS)
    check(max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) <= _SAME)
    times = InTurn.of(
        lambda: seconds_of(lambda: _losses(responses)),
        lambda: seconds_of(lambda: _notebook(responses)),
        _TIMES,
    )
    yield Line(
        "the class training, 1,000 epochs, same losses to 1e-5",
        "the notebook's own loop",
        _GOAL,
        times.times_faster,
        f"{said(times.ours)} for {said(times.theirs)}, one thread",
    )


def class_responses() -> Responses:
    """Return the class example: three movies, three users, nine responses."""
    users, movies = len(RESPONSES), len(MOVIES)
    return Responses.from_triples(
        torch.tensor(list(MOVIES.values())),
        torch.arange(users).repeat_interleave(movies),
        torch.arange(movies).repeat(users),
        torch.tensor(list(RESPONSES.values()), dtype=torch.float32).flatten(),
        users,
    )


def _losses(responses: Responses) -> list[float]:
    losses: list[float] = []
    trainer = GradientDescent(GradientDescentOptions(epochs=_EPOCHS))
    trainer.fit(responses, SEED, lambda step: losses.append(step.loss))
    return losses


def _notebook(responses: Responses) -> list[float]:
    network = EmbeddingNetwork(responses.users, responses.dimensions, SEED)
    return train(network, pairs(responses), _EPOCHS)
