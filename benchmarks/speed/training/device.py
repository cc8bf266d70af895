"""The trainers on a CUDA device: how far their results lie from the processor's, and both times.

    python -m benchmarks.speed PATH device    # asked for by name: it needs a CUDA device

Compared are the logits of all responses. A machine without a CUDA device leaves the lines empty. Does not
know how a device computes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from app.cli.demo import SEED
from benchmarks.folder import Folder
from benchmarks.speed import catalogs
from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from benchmarks.speed.training.class_training import class_responses
from models.recommender.data import Responses
from models.recommender.trainer import Trainer, TrainingResult
from models.recommender.trainers import make_trainer
from testbed.running import check

_PROCESSOR = "the processor"
_APART = Goal("at most", 1e-4, "of a logit apart, at most")
_TIMES = 3
_MANY, _STEPS = 2_000_000, 6


@dataclass(frozen=True)
class Training:
    """What is learned from, how, and what the line says that it was."""

    responses: Responses
    trainer: str
    options: Mapping[str, object]
    said: str


def measure(movielens: Path) -> Iterator[Line]:
    """Learn with both trainers on both, compare what they learned, then the times."""
    if not torch.cuda.is_available():
        yield missing("all rows", _PROCESSOR, _APART, "this machine has no CUDA device")
        return
    ratings = Folder.read(movielens).responses
    for training in (
        Training(class_responses(), "gradient_descent", {}, "the class training"),
        # At the class's learning rate, steps overshoot on so many responses: rounding says where to.
        Training(
            ratings,
            "gradient_descent",
            {"epochs": 500, "loss": "logistic", "learning_rate": 0.001},
            "gradient_descent, ml-latest-small, 500 epochs, logistic, learning rate 0.001",
        ),
        Training(ratings, "mixed_effects", {}, "mixed_effects, ml-latest-small"),
    ):
        yield _compared(training)
    samples = catalogs.responses(catalogs.drawn(_MANY))
    yield _compared(
        Training(
            samples,
            "mixed_effects",
            {"max_steps": _STEPS},
            f"mixed_effects, {_MANY:,} responses, {_STEPS} steps",
        )
    )


def _compared(training: Training) -> Line:
    there, here = (_logits(training, device) for device in ("cuda", "cpu"))
    check(bool(torch.isfinite(there).all()))
    times = InTurn.of(
        lambda: seconds_of(lambda: _learned(training, "cuda")),
        lambda: seconds_of(lambda: _learned(training, "cpu")),
        _TIMES,
    )
    stale = (
        f"{said(times.ours)} on {torch.cuda.get_device_name()}, "
        f"{said(times.theirs)} on the processor, where torch has {torch.get_num_threads()} threads"
    )
    work = f"{training.said}, on a CUDA device"
    return Line(work, _PROCESSOR, _APART, [float((here - there).abs().max())], stale)


def _learned(training: Training, device: str) -> tuple[Trainer, TrainingResult]:
    trainer = make_trainer(training.trainer, {**training.options, "device": device})
    losses: list[float] = []
    result = trainer.fit(training.responses, SEED, lambda step: losses.append(step.loss))
    check(losses[-1] < losses[0])
    return trainer, result


def _logits(training: Training, device: str) -> Tensor:
    trainer, result = _learned(training, device)
    responses = training.responses
    known = torch.ones(responses.items, dtype=torch.bool)
    model = trainer.restore(result.shared, responses.item_vectors, result.items, known)
    return model.predict_pairs(result.posteriors, responses.user_rows, responses.item_rows).logits
