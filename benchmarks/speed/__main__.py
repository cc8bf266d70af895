"""Every measurement of speed, one group after the other, each in a process of its own.

    python -m benchmarks.speed PATH [GROUP ...]    # an unpacked MovieLens folder; all groups if none

Writes .bench/speed/GROUP.json and the table of docs/benchmarks.md. A group that fails leaves no lines, and
the run ends with its name. Does not know how anything is measured.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.machine import machine
from benchmarks.speed import document
from benchmarks.speed.groups import GROUPS, measure
from benchmarks.speed.lines import Goal, Line

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / ".bench" / "speed"
_CONSOLE = Console()


@dataclass(frozen=True)
class Measured:
    """What a group came to: its lines, the machine they were measured on, and how long that took."""

    group: str
    machine: dict[str, str]
    seconds: float
    lines: list[Line]

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
        return cls(kept["group"], kept["machine"], kept["seconds"], lines)


def main(movielens: Path, groups: list[str]) -> None:
    """Measure these groups, then write the table of all that was ever measured here."""
    failed = [group for group in groups if not _in_a_process(movielens, group)]
    found = [kept for group in GROUPS if (kept := Measured.read(group)) is not None]
    document.write(
        ROOT / "docs" / "benchmarks.md", machine(), [line for each in found for line in each.lines]
    )
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _in_a_process(movielens: Path, group: str) -> bool:
    _CONSOLE.print(f"[bold]{group}")
    (RESULTS / f"{group}.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.speed", "--one", str(movielens), group]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0  # noqa: S603 - our own command


def _one(movielens: Path, group: str) -> None:
    started = time.perf_counter()
    lines = measure(group, movielens)
    Measured(group, machine(), time.perf_counter() - started, lines).save()
    for line in lines:
        ratio = "-" if line.ratio is None else f"{line.ratio:.3g}"
        said = {None: "", True: "met", False: "NOT MET"}[line.met]
        _CONSOLE.print(
            f"  {line.work} / {line.against}: {ratio} ({line.goal or 'no goal'}) {said} {line.said}"
        )


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        _one(Path(sys.argv[2]), sys.argv[3])
    else:
        main(Path(sys.argv[1]), sys.argv[2:] or list(GROUPS))
