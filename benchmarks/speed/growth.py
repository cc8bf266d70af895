"""How the cost of mixed_effects grows with responses: synthetic catalogs, 20 named and 8 learned dimensions.

    python -m benchmarks.speed.growth draw COUNT FILE      # a catalog of so many responses, into a file
    python -m benchmarks.speed.growth train FILE STEPS     # learn from it, at most so many steps

Each is learned in a process of its own, from the triples to the users' tastes: the largest to its end, the
others for a few steps. Time grows as it would with the same few steps for all: what the largest took, less
its other steps. Does not know how anything is trained.
"""

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory

import torch

from benchmarks.running import check
from benchmarks.speed import catalogs
from benchmarks.speed.lines import Goal, Line
from models.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.trainer import Step

_COUNTS = (500_000, 2_000_000, 8_000_000, 20_000_000)
_STEPS, _TO_THE_END = 4, 200
_ROOT = Path(__file__).parents[2]
_GIB = 2**30
_THREADS = 1  # as many as a worker on two cores has


@dataclass(frozen=True)
class Growth:
    """A training: seconds in all, seconds of a step after the first, the most resident bytes."""

    responses: int
    users: int
    steps: int
    status: str
    seconds: float
    step: float
    memory: int

    def with_steps(self, steps: int) -> float:
        """Return the seconds that a training of so many steps takes."""
        return self.seconds + (steps - self.steps) * self.step


def measure(_: Path) -> Iterator[Line]:
    """Learn from every size, then fit the slope."""
    found = [_measured(count, _TO_THE_END if count == _COUNTS[-1] else _STEPS) for count in _COUNTS]
    seconds = [each.with_steps(_STEPS) for each in found]
    slope, _at = linear_regression(
        [math.log(each.responses) for each in found], [math.log(each) for each in seconds]
    )
    times = "; ".join(
        f"{one.responses / 1e6:g} M {each:.1f} s" for one, each in zip(found, seconds, strict=True)
    )
    largest = found[-1]
    what = f"mixed_effects, {largest.responses:,} responses of {largest.users:,} users"
    yield Line(
        f"mixed_effects, {_STEPS} steps and what is before and after them, 0.5 M to 20 M responses",
        "itself: the slope of log time over log responses",
        Goal("at most", 1.05, "for 1"),
        [slope],
        f"{times}; one thread",
    )
    yield Line(
        f"{what}, to the end",
        "10 minutes",
        Goal("at most", 1, "of them"),
        [largest.seconds / 600],
        f"{largest.seconds:.0f} s, {largest.steps} steps of {largest.step:.1f} s; one thread",
    )
    yield Line(
        f"{what}, most resident memory",
        "6 GiB",
        Goal("at most", 1, "of them"),
        [largest.memory / (6 * _GIB)],
        f"{largest.memory / _GIB:.2f} GiB",
    )


def _measured(count: int, steps: int) -> Growth:
    with TemporaryDirectory() as name:
        file = str(Path(name) / "catalog.pt")
        _run("draw", str(count), file)
        found = Growth(**json.loads(_run("train", file, str(steps))))
    check(found.responses == count)
    return found


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.speed.growth", *arguments]
    return subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def train(file: str, steps: int) -> Growth:
    """Learn from a catalog, in this process."""
    torch.set_num_threads(_THREADS)
    times, losses = [], []

    def heard(step: Step) -> None:
        times.append(time.perf_counter())
        losses.append(step.loss)

    triples = torch.load(file, mmap=True)
    started = time.perf_counter()
    responses = catalogs.responses(triples)
    del triples
    learned = MixedEffects(MixedEffectsOptions(max_steps=steps)).fit(responses, 1, heard)
    seconds = time.perf_counter() - started
    check(losses[-1] < losses[0] and bool(torch.isfinite(learned.embeddings).all()))
    return Growth(
        responses=len(responses.values),
        users=responses.users,
        steps=len(times),
        status=learned.status,
        seconds=seconds,
        step=(times[-1] - times[0]) / (len(times) - 1),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


if __name__ == "__main__":
    if sys.argv[1] == "draw":
        torch.save(catalogs.drawn(int(sys.argv[2])), sys.argv[3])
    else:
        sys.stdout.write(json.dumps(asdict(train(sys.argv[2], int(sys.argv[3])))) + "\n")
