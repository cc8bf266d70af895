"""Times of the learning benchmarks: two things in turn, their ratios, and what is said of their times.

Does not know what is timed.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from testbed.running import percentile


@dataclass(frozen=True)
class InTurn:
    """Seconds of two things, one after the other so many times: what is measured, and what beside."""

    ours: list[float]
    theirs: list[float]

    @classmethod
    def of(cls, ours: Callable[[], float], theirs: Callable[[], float], times: int) -> "InTurn":
        """Ask both for their seconds, in turn."""
        pairs = [(ours(), theirs()) for _ in range(times)]
        return cls([pair[0] for pair in pairs], [pair[1] for pair in pairs])

    @property
    def times_faster(self) -> list[float]:
        """How many times as long the other took, a repetition each."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def percentiles(times: Sequence[float]) -> str:
    """Return in words what half, 95 and 99 of hundred take at most."""
    return ", ".join(f"p{percent} {1000 * percentile(times, percent):.1f} ms" for percent in (50, 95, 99))


def said(times: Iterable[float]) -> str:
    """Return the middle one in words: "1.23 s", "45.6 ms"."""
    middle = median(times)
    return f"{middle:.3g} s" if middle >= 1 else f"{1000 * middle:.3g} ms"
