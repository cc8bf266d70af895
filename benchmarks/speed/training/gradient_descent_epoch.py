"""One epoch of gradient_descent on MovieLens, beside the notebook's loop on a sample of it, scaled up.

The notebook's epoch takes as long as it has responses: its sample, some responses of all users at random, is
scaled by their number. That a longer sample scales so, a second line shows. What the notebook does once,
whatever the sample is (the network, the pairs), is outside of the clock; ours is inside. Both in this
process, with one thread, in turn. Does not know what a service adds to a training.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.folder import Folder
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.notebook import EmbeddingNetwork, pairs, train
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.data import Responses
from testbed.running import check

_SEED, _SAMPLE, _EPOCHS, _TIMES = 1, 2000, 200, 5
_SAME = 1e-5  # of a loss
_GOAL = Goal("at least", 3000, "times faster")


def measure(movielens: Path) -> Iterator[Line]:
    """Compare the sample's losses, then the times of an epoch."""
    torch.set_num_threads(1)
    responses = Folder.read(movielens).responses
    count = len(responses.values)
    for sample, goal in ((_SAMPLE, _GOAL), (2 * _SAMPLE, None)):
        times = _compared(responses, sampled(responses, sample))
        yield Line(
            f"gradient_descent on ml-latest-small, an epoch of {count:,} responses",
            f"the notebook's loop, {sample:,} of the responses, scaled up",
            goal,
            times.times_faster,
            f"{said(times.ours)} for {said(times.theirs)}, one thread; ours over {_EPOCHS} epochs",
        )


def _compared(responses: Responses, some: Responses) -> InTurn:
    ours, theirs = _losses(some, 3), _notebook(some, 3)
    check(all(abs(one / other - 1) <= _SAME for one, other in zip(ours, theirs, strict=True)))
    scale = len(responses.values) / len(some.values)
    return InTurn.of(
        lambda: seconds_of(lambda: _losses(responses, _EPOCHS)) / _EPOCHS,
        lambda: _notebook_epoch(some) * scale,
        _TIMES,
    )


def sampled(responses: Responses, count: int) -> Responses:
    """Return so many of the responses, drawn at random; the users are as many as before."""
    choice = torch.randperm(len(responses.values), generator=torch.Generator().manual_seed(_SEED))[:count]
    return Responses.from_triples(
        responses.item_vectors,
        responses.user_rows[choice],
        responses.item_rows[choice],
        responses.values[choice],
        responses.users,
    )


def _losses(responses: Responses, epochs: int) -> list[float]:
    losses: list[float] = []
    trainer = GradientDescent(GradientDescentOptions(epochs=epochs))
    trainer.fit(responses, _SEED, lambda step: losses.append(step.loss))
    return losses


def _notebook(responses: Responses, epochs: int) -> list[float]:
    network = EmbeddingNetwork(responses.users, responses.dimensions, _SEED)
    return train(network, pairs(responses), epochs)


def _notebook_epoch(responses: Responses) -> float:
    """Return the seconds of one epoch alone."""
    network, data = EmbeddingNetwork(responses.users, responses.dimensions, _SEED), pairs(responses)
    return seconds_of(lambda: train(network, data, 1))
