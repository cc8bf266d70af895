"""docs/benchmarks.md: its tables, written anew from a run's lines; the prose between them stays.

Does not know how anything is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.lines import Line
from testbed.documents import item, replaced, table


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
    """Return the table of the ratios, and below it the comparison of each row in words."""
    heads = ["row", "group", "ratio", "goal", "met"]
    rows = [[str(number), group, *_cells(line)] for number, (group, line) in enumerate(lines, 1)]
    notes = [item(_note(line), f"{number}. ") for number, (_, line) in enumerate(lines, 1)]
    return "\n".join([table(heads, rows), *notes]) + "\n"


def runs_table(runs: Sequence[Run]) -> str:
    """Return when each group was measured, and below it those that ran on another machine."""
    heads = ["group", "started (UTC)", "other work", "took"]
    rows = [[run.group, run.began, run.load, f"{run.seconds:.0f} s"] for run in runs]
    notes = [item(f"{run.group} ran elsewhere: {run.elsewhere}") for run in runs if run.elsewhere]
    return "\n".join([table(heads, rows), *notes, ""]) if notes else table(heads, rows)


def _cells(line: Line) -> list[str]:
    met = {None: "", True: "yes", False: "**no**"}[line.met]
    return [_ratio(line), "" if line.goal is None else str(line.goal), met]


def _note(line: Line) -> str:
    return f"{line.work}, compared with {line.against}" + (f": {line.said}" if line.said else "")


def _ratio(line: Line) -> str:
    if line.ratio is None:
        return "-"
    low, high = min(line.ratios), max(line.ratios)
    spread = f" ({low:.3g} to {high:.3g})" if len(line.ratios) > 1 else ""
    return f"{line.ratio:.3g}{spread}"
