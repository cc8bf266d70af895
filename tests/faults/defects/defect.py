"""A defect: a place of a file changed, and the tests that must then fail. Does not know how it is planted.

Tests of a harness take a part of it, more of it where a defect needs that to be found.
"""

import os
from dataclasses import dataclass

TIMES = "FAULTS_TIMES"


@dataclass(frozen=True)
class Defect:
    """A bug that somebody could make.

    what   in words: "the lease is not renewed"
    file   of the project
    right  text that stands there exactly once
    wrong  what stands there instead
    tests  pytest's arguments; at least one of these tests must fail
    times  how many times the part of a harness that its test takes by itself is wanted to find it
    """

    what: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    times: float = 1.0


def times() -> float:
    """Return how many times the tests' part is wanted: 1 unless the environment says more."""
    return float(os.environ.get(TIMES, "1"))


def part(scale: float) -> float:
    """Return the share of a harness that a test is to take, which takes ``scale`` by itself."""
    return min(1.0, scale * times())
