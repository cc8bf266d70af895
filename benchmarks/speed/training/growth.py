"""How the cost of mixed_effects grows with responses: synthetic catalogs, 20 named and 8 learned dimensions.

    python -m benchmarks.speed.training.growth draw COUNT FILE      # a catalog of so many responses, into a
    file python -m benchmarks.speed.training.growth train FILE STEPS     # learn from it, at most so many
    steps

Each is learned in a process of its own, from the triples to the users' tastes, all for the same few steps and
the largest once more to its end. The slope is of the processor's time, which other processes hardly change;
to the end it is a clock's. What was learned must be near the tastes that the catalog was drawn by. Does not
know how anything is trained.
"""

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from statistics import linear_regression, median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.speed import catalogs
from benchmarks.speed.lines import Goal, Line
from models.recommender.data import Responses
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.recommender.trainer import Step, TrainingResult
from testbed.running import check

_TIMES = {500_000: 3, 2_000_000: 3, 8_000_000: 1, 20_000_000: 1}  # how often each is learned
_STEPS, _TO_THE_END = 4, 200
_ASKED = 100_000  # responses whose true logits are compared with the learned
_LEAST = 0.6  # of their correlation, which was 0.70 and more; what all users agree on has 0.5 alone
_ROOT = Path(__file__).parents[3]
_GIB = 2**30
_THREADS = 1  # as many as a worker on two cores has


@dataclass(frozen=True)
class Growth:
    """A training: seconds of a clock and of the processor, of a step after the first, most resident bytes.

    ``correlation`` is that of learned and true logits.
    """

    responses: int
    users: int
    steps: int
    status: str
    seconds: float
    processor: float
    step: float
    memory: int
    correlation: float


def measure(_: Path) -> Iterator[Line]:
    """Learn from every size, fit the slope, then learn from the largest to the end."""
    *smaller, maximum = _TIMES
    result = [_measured(count, [_STEPS] * _TIMES[count]) for count in smaller]
    *few, largest = _measured(maximum, [*[_STEPS] * _TIMES[maximum], _TO_THE_END])
    result.append(few)
    least = min(item.correlation for item in chain(*result))
    yield Line(
        f"mixed_effects, {_STEPS} steps and what is before and after, 0.5 M to 20 M responses",
        "itself: the slope of log time over log responses",
        Goal("at most", 1.05, "for 1"),
        slopes(result),
        f"{'; '.join(map(_said, result))}; processor time of one thread; learned and true logits correlate "
        f"{least:.2f} at least",
    )
    label = f"mixed_effects, {largest.responses:,} responses of {largest.users:,} users"
    yield Line(
        f"{label}, to the end",
        "10 minutes",
        Goal("at most", 1, "of them"),
        [largest.seconds / 600],
        f"{largest.seconds:.0f} s, {largest.steps} steps of {largest.step:.1f} s, by the clock; one thread",
    )
    yield Line(
        f"{label}, most resident memory",
        "6 GiB",
        Goal("at most", 1, "of them"),
        [largest.memory / (6 * _GIB)],
        f"{largest.memory / _GIB:.2f} GiB",
    )


def slopes(result: Sequence[Sequence[Growth]]) -> list[float]:
    """Return the slope of each repetition; a size with fewer of them has its own more than once."""
    return [
        linear_regression(
            [math.log(item[0].responses) for item in result],
            [math.log(item[number % len(item)].processor) for item in result],
        ).slope
        for number in range(max(map(len, result)))
    ]


def _said(result: Sequence[Growth]) -> str:
    times = sorted(item.processor for item in result)
    spread = f" ({times[0]:.1f} to {times[-1]:.1f})" if len(times) > 1 else ""
    return f"{result[0].responses / 1e6:g} M {median(times):.1f} s{spread}"


def _measured(count: int, steps: Sequence[int]) -> list[Growth]:
    """Draw a catalog, and learn from it once for each of these most steps."""
    with TemporaryDirectory() as name:
        file = str(Path(name) / "catalog.pt")
        _run("draw", str(count), file)
        result = [Growth(**json.loads(_run("train", file, str(step)))) for step in steps]
    for item, step in zip(result, steps, strict=True):
        check(item.responses == count and step in {item.steps, _TO_THE_END})
        check(item.correlation >= _LEAST)
    return result


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.speed.training.growth", *arguments]
    return subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def train(file: str, steps: int) -> Growth:
    """Learn from a catalog, in this process."""
    torch.set_num_threads(_THREADS)
    times, losses = [], []

    def heard(step: Step) -> None:
        times.append(time.perf_counter())
        losses.append(step.loss)

    triples = torch.load(file, mmap=True)
    started, worked = time.perf_counter(), time.process_time()
    responses = catalogs.responses(triples)
    del triples
    trainer = MixedEffects(MixedEffectsOptions(max_steps=steps))
    result = trainer.fit(responses, 1, heard)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    check(losses[-1] < losses[0] and bool(torch.isfinite(result.embeddings).all()))
    return Growth(
        responses=len(responses.values),
        users=responses.users,
        steps=len(times),
        status=result.status,
        seconds=seconds,
        processor=processor,
        step=(times[-1] - times[0]) / (len(times) - 1),
        memory=memory,
        correlation=_correlation(trainer, result, responses, torch.load(file, mmap=True)),
    )


def _correlation(
    trainer: MixedEffects, result: TrainingResult, responses: Responses, triples: dict[str, Tensor]
) -> float:
    """Return how learned and true logits correlate, over some responses of all users."""
    choice = slice(None, None, max(1, len(responses.values) // _ASKED))
    known = torch.ones(responses.items, dtype=torch.bool)
    model = trainer.restore(result.shared, responses.item_vectors, result.items, known)
    users, rows = (triples[name][choice] for name in ("users", "items"))
    asked, places = torch.unique(users, return_inverse=True)
    posteriors = [result.posteriors[user] for user in asked.tolist()]
    results = model.predict_pairs(posteriors, places, rows).logits
    return float(torch.corrcoef(torch.stack([results, triples["logits"][choice].double()]))[0, 1])


if __name__ == "__main__":
    if sys.argv[1] == "draw":
        torch.save(catalogs.drawn(int(sys.argv[2])), sys.argv[3])
    else:
        sys.stdout.write(json.dumps(asdict(train(sys.argv[2], int(sys.argv[3])))) + "\n")
