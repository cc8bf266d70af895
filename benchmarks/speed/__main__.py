"""Every measurement of speed, one group after the other, each in a process of its own.

    python -m benchmarks.speed PATH [GROUP ...]    # PATH is an unpacked MovieLens folder

Without a group, all but those that are asked for by name.
Writes docs/benchmarks/GROUP.json and the tables of docs/benchmarks.md. A group that fails keeps the lines
that it had and says that the others are missing, and the run ends with its name. Does not know how anything
is measured.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.machine import LOAD, machine
from benchmarks.speed import document
from benchmarks.speed.groups import BY_NAME, GROUPS, measure
from benchmarks.speed.lines import Goal, Line, missing

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "benchmarks"
_CONSOLE = Console()


@dataclass(frozen=True)
class Measured:
    """What a group came to: its lines, when it began and on which machine then, and how long it took."""

    group: str
    machine: dict[str, str]
    seconds: float
    lines: list[Line]
    began: str = ""

    def save(self) -> None:
        """Keep it as JSON."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (RESULTS / f"{self.group}.json").write_text(text + "\n")

    @classmethod
    def read(cls, group: str) -> "Measured | None":
        """Return what is kept of a group, None where nothing is."""
        path = RESULTS / f"{group}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        lines = [
            Line(**{**line, "goal": Goal(**line["goal"]) if line["goal"] else None}) for line in kept["lines"]
        ]
        return cls(kept["group"], kept["machine"], kept["seconds"], lines, kept.get("began", ""))


def main(movielens: Path, groups: list[str]) -> None:
    """Measure these groups, then write the tables of all that was ever measured here."""
    here = machine()  # before anything runs: its load is that of others
    failures = [group for group in groups if not _in_a_process(movielens, group)]
    result = [kept for group in (*GROUPS, *BY_NAME) if (kept := Measured.read(group)) is not None]
    document.write(
        ROOT / "docs" / "benchmarks.md",
        {name: value for name, value in here.items() if name != LOAD},
        [(item.group, line) for item in result for line in item.lines],
        [
            document.Run(
                item.group,
                item.began,
                item.machine.get(LOAD, ""),
                item.seconds,
                elsewhere(item.machine, here),
            )
            for item in result
        ],
    )
    if failures:
        raise SystemExit(f"failed: {', '.join(failures)}")


def elsewhere(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return how a machine and its programs differ from this one's, in words; "" if they do not."""
    return ", ".join(
        f"{name} {value}" for name, value in there.items() if name != LOAD and value != here.get(name)
    )


def _in_a_process(movielens: Path, group: str) -> bool:
    _CONSOLE.print(f"[bold]{group}")
    before = Measured.read(group)
    (RESULTS / f"{group}.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.speed", "--one", str(movielens), group]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own command
    if status:
        say_what_is_missing(group, status)
    elif group in BY_NAME and before is not None:
        keep_what_was_measured(before)
    return status == 0


def keep_what_was_measured(before: Measured) -> None:
    """Save what was measured where there was what it needs, if nothing could be measured here."""
    now = Measured.read(before.group)
    if now is None or not any(line.ratios for line in now.lines):
        before.save()


def say_what_is_missing(group: str, status: int) -> None:
    """Add a line for those that a group did not come to, unless one says already what failed."""
    kept = Measured.read(group) or Measured(group, {}, 0.0, [])
    if not any(line.failed for line in kept.lines):
        rest = "all other rows" if kept.lines else "all rows"
        why = f"the group ended with exit status {status}"
        replace(kept, lines=[*kept.lines, missing(rest, "", None, why, failed=True)]).save()


def measure_one(movielens: Path, group: str) -> bool:
    """Measure a group in this process, keeping each line as it comes; return whether nothing failed."""
    started, began, here = time.perf_counter(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), machine()
    measurement = Measured(group, here, 0.0, [], began)
    measurement.save()
    for line in measure(group, movielens):
        lines = [*measurement.lines, line]
        measurement = replace(measurement, seconds=time.perf_counter() - started, lines=lines)
        measurement.save()
        ratio = "-" if line.ratio is None else f"{line.ratio:.3g}"
        said = {None: "", True: "met", False: "NOT MET"}[line.met]
        _CONSOLE.print(
            f"  {line.work} / {line.against}: {ratio} ({line.goal or 'no goal'}) {said} {line.said}"
        )
    _CONSOLE.print(f"  {group}: {time.perf_counter() - started:.0f} s")
    return not any(line.failed for line in measurement.lines)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        sys.exit(not measure_one(Path(sys.argv[2]), sys.argv[3]))
    else:
        main(Path(sys.argv[1]), sys.argv[2:] or list(GROUPS))
