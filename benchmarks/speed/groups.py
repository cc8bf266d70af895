"""The groups of measurements, each a module with `measure`, in the order of the table.

Each runs in a process of its own, so that none inherits another's memory or threads.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.speed.lines import Line

Measure = Callable[[Path], Iterator[Line]]  # takes an unpacked MovieLens folder

GROUPS: tuple[str, ...] = (
    "class_training",
    "gradient_descent_epoch",
    "mixed_effects",
    "growth",
    "inner_loop",
    "scores",
    "recommendations",
    "batch",
    "top_ten",
    "movie_index",
    "interference",
    "start",
    "relearning",
    "imports",
    "copying",
)
# One takes minutes of the half hour that all others have together, the other needs a CUDA device.
BY_NAME = ("cluster", "device")

# Those in benchmarks/speed/training/; the others are in serving/.
_TRAINING = frozenset(
    {"class_training", "gradient_descent_epoch", "mixed_effects", "growth", "inner_loop", *BY_NAME}
)


def measure(group: str, movielens: Path) -> Iterator[Line]:
    """Yield the lines of a group as they come; raises `KeyError` for one that there is not."""
    if group not in (*GROUPS, *BY_NAME):
        raise KeyError(group)
    folder = "training" if group in _TRAINING else "serving"
    yield from import_module(f"benchmarks.speed.{folder}.{group}").measure(movielens)
