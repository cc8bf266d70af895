"""The trainers on a CUDA device: how far their results lie from the processor's, and both times.

Compared are the logits of all responses of ml-latest-small. A machine without a CUDA device leaves the lines
empty. Does not know how a device computes.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.folder import Folder
from benchmarks.running import check
from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from models.responses import Responses
from models.trainers import make_trainer

_TRAININGS = {
    "gradient_descent": {"epochs": 500, "loss": "logistic"},
    "mixed_effects": {"learned_dimensions": 8},
}
_PROCESSOR = "the processor"
_APART = Goal("at most", 1e-4, "of a logit apart, at most")
_TIMES = 3


def measure(movielens: Path) -> Iterator[Line]:
    """Learn with both trainers on both, compare what they learned, then the times."""
    responses = Folder.read(movielens).responses
    for trainer, options in _TRAININGS.items():
        work = f"{trainer} on a CUDA device, ml-latest-small"
        if not torch.cuda.is_available():
            yield missing(work, _PROCESSOR, _APART, "this machine has no CUDA device")
            continue
        learned = {device: _logits(responses, trainer, options, device) for device in ("cpu", "cuda")}
        apart = float((learned["cpu"] - learned["cuda"]).abs().max())
        check(bool(torch.isfinite(learned["cuda"]).all()))
        times = InTurn.of(
            lambda: seconds_of(lambda: _logits(responses, trainer, options, "cuda")),  # noqa: B023 - called at once
            lambda: seconds_of(lambda: _logits(responses, trainer, options, "cpu")),  # noqa: B023 - likewise
            _TIMES,
        )
        device = torch.cuda.get_device_name()
        behind = f"{said(times.ours)} on {device}, {said(times.theirs)} on the processor"
        yield Line(work, _PROCESSOR, _APART, [apart], behind)


def _logits(responses: Responses, trainer: str, options: dict[str, object], device: str) -> Tensor:
    chosen = make_trainer(trainer, {**options, "device": device})
    learned = chosen.fit(responses, 1, lambda _: None)
    known = torch.ones(responses.items, dtype=torch.bool)
    model = chosen.restore(learned.shared, responses.item_vectors, learned.items, known)
    return model.predict_pairs(learned.tastes, responses.user_rows, responses.item_rows).logits
