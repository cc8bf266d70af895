"""docs/benchmarks.md: its tables, written anew from a run's lines; the prose between them stays.

Does not know how anything is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.lines import Line
from testbed.documents import replaced, table


@dataclass(frozen=True)
class Run:
    """When a group's rows were measured, beside which load, for how long, and where if it was not here."""

    group: str
    began: str
    load: str
    seconds: float
    elsewhere: str = ""


def write(
    path: Path, machine: Mapping[str, str], lines: Sequence[tuple[str, Line]], runs: Sequence[Run]
) -> None:
    """Put the lines, each with its group, and the groups' runs in the place of those of the document."""
    tables = {
        "speed": lines_table(lines),
        "runs": runs_table(runs),
        "machine": table(["", ""], machine.items()),
    }
    path.write_text(replaced(path.read_text(), tables))


def lines_table(lines: Sequence[tuple[str, Line]]) -> str:
    """Return the table of the comparisons, each with its group."""
    heads = ["work", "measured against", "goal", "measured", "met", "behind it", "group"]
    return table(heads, [[*_cells(line), group] for group, line in lines])


def runs_table(runs: Sequence[Run]) -> str:
    """Return the table that tells the rows of several runs apart."""
    heads = ["group", "began (UTC)", "other work", "took", "machine and programs, if not those below"]
    rows = [[run.group, run.began, run.load, f"{run.seconds:.0f} s", run.elsewhere] for run in runs]
    return table(heads, rows)


def _cells(line: Line) -> list[str]:
    met = {None: "", True: "yes", False: "**no**"}[line.met]
    return [
        line.work,
        line.against,
        "" if line.goal is None else str(line.goal),
        _ratio(line),
        met,
        line.said,
    ]


def _ratio(line: Line) -> str:
    if line.ratio is None:
        return "-"
    low, high = min(line.ratios), max(line.ratios)
    spread = f" ({low:.3g} to {high:.3g})" if len(line.ratios) > 1 else ""
    return f"{line.ratio:.3g}{spread}"
