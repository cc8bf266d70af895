"""A line of the table: what was done, beside what, with which goal, and the ratios that came out.

Does not know how anything is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, median_low
from typing import Literal, TypeVar

Run = TypeVar("Run")


@dataclass(frozen=True)
class Goal:
    """A bound of a ratio; ``of`` says what the ratio is: "times faster", "of its requests a second"."""

    sense: Literal["at least", "at most"]
    bound: float
    of: str

    def holds(self, ratio: float) -> bool:
        """Return whether a ratio keeps to the bound."""
        return ratio >= self.bound if self.sense == "at least" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {self.bound:g} {self.of}"


@dataclass(frozen=True)
class Line:
    """One comparison.

    work      what Likely does
    against   what it is measured against
    goal      None for what is shown beside the others and has no goal
    ratios    one a repetition; empty when the peer is missing, and then the line is not met
    said      the times behind the ratios, or why there are none
    failed    whether something broke: then the run ends with an error
    """

    work: str
    against: str
    goal: Goal | None
    ratios: list[float]
    said: str
    failed: bool = False

    @property
    def ratio(self) -> float | None:
        """The middle ratio; None where nothing was measured."""
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal. What was not measured is not met."""
        if self.goal is None:
            return False if self.failed else None
        return self.ratio is not None and self.goal.holds(self.ratio)


def missing(work: str, against: str, goal: Goal | None, why: str, *, failed: bool = False) -> Line:
    """Return the line of a comparison whose peer is not here, or ``failed`` when it was asked."""
    return Line(work, against, goal, [], f"not measured: {why}", failed)


def middle(runs: Sequence[Run], ratios: Sequence[float]) -> Run:
    """Return the run whose ratio is the median; of an even number of runs, the lower of the middle two."""
    return runs[ratios.index(median_low(ratios))]
