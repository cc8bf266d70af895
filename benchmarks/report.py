"""The table that a benchmark ends with: figures beside their goals. Does not know what was measured."""

from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Report:
    """A table, a line a figure, with its goal and whether it is met."""

    table: Table = field(default_factory=lambda: Table("what", "measured", "goal", "met"))

    def add(self, label: str, measurement: str, goal: str = "", *, met: bool | None = None) -> None:
        """Add a figure."""
        said = "" if met is None else "yes" if met else "NO"
        self.table.add_row(label, measurement, goal, said)

    def add_time(self, label: str, seconds: float, at_most: float | None = None) -> None:
        """Add a time, whose goal is to be no longer than ``at_most`` seconds."""
        if at_most is None:
            self.add(label, milliseconds(seconds))
        else:
            self.add(label, milliseconds(seconds), f"≤ {1000 * at_most:.0f} ms", met=seconds <= at_most)


def milliseconds(seconds: float) -> str:
    """Write a time."""
    return f"{1000 * seconds:.1f} ms"
