"""docs/benchmarks.md: its tables, written anew from a run's lines; the prose between them stays.

Does not know how anything is measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.documents import replaced, table
from benchmarks.speed.lines import Line


def write(path: Path, machine: Mapping[str, str], lines: Sequence[Line]) -> None:
    """Put the lines in the place of those that the document has."""
    tables = {"speed": lines_table(lines), "machine": table(["", ""], machine.items())}
    path.write_text(replaced(path.read_text(), tables))


def lines_table(lines: Sequence[Line]) -> str:
    """Return the table of the comparisons."""
    heads = ["work", "measured against", "goal", "measured", "met", "behind it"]
    return table(heads, [_cells(line) for line in lines])


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
