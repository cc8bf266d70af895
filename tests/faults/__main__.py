"""Every harness, one after the other, each in a process of its own.

    python -m tests.faults [HARNESS ...]           # at full length; all harnesses if none
    python -m tests.faults --scale 0.01 [HARNESS ...]

At full length writes docs/track-record/HARNESS.json and the table of docs/track-record.md, otherwise
.bench/faults/HARNESS.json. Does not know how anything is tried.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from testbed.documents import item, replaced
from tests.faults.all_harnesses import HARNESSES, run
from tests.faults.figures import Figure

ROOT = Path(__file__).parents[2]
RESULTS, PARTS = ROOT / "docs" / "track-record", ROOT / ".bench" / "faults"
DEFECTS = "defects"  # kept by `python -m tests.faults.defects`
_CONSOLE = Console(highlight=False)


def main() -> None:
    """Run the harnesses named, then write the table of all that ran here at full length."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults")
    arguments.add_argument("--scale", type=float, default=1.0)
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("harnesses", nargs="*")
    args = arguments.parse_args()
    if args.one:
        _one(args.harnesses[0], args.scale)
        return
    end = {name: _in_a_process(name, args.scale) for name in args.harnesses or HARNESSES}
    if args.scale == 1.0:
        write_table()
    failures = [name for name, held in end.items() if not held]
    if failures:
        raise SystemExit(f"not held, or failed: {', '.join(failures)}")


def _in_a_process(name: str, scale: float) -> bool:
    _CONSOLE.print(f"[bold]{name}")
    command = [sys.executable, "-m", "tests.faults", "--one", "--scale", str(scale), name]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _one(name: str, scale: float) -> None:
    start = time.perf_counter()
    figures = run(name, scale)
    keep(name, scale, time.perf_counter() - start, figures)
    if not all(figure.held for figure in figures):
        sys.exit(1)


def keep(name: str, scale: float, seconds: float, figures: list[Figure]) -> None:
    """Print figures and write them to a file, beside the others when they are of a whole run."""
    for figure in figures:
        _CONSOLE.print(
            f"  {figure.what}: {figure.found} ({'held' if figure.held else 'NOT HELD'})", markup=False
        )
    kept = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "scale": scale,
        "seconds": seconds,
        "figures": [asdict(figure) for figure in figures],
    }
    folder = RESULTS if scale == 1.0 else PARTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def write_table() -> None:
    """Write docs/track-record.md anew from what was kept, the planted defects last."""
    items: list[str] = []
    for name in (*HARNESSES, DEFECTS):
        path = RESULTS / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text())
            part = kept["scale"] < 1.0  # whoever put it here: less than was asked is not what was asked
            figures = [Figure(**figure) for figure in kept["figures"]]
            items += [
                _item(replace(figure, held=figure.held and not part), kept["date"]) for figure in figures
            ]
    document = ROOT / "docs" / "track-record.md"
    document.write_text(replaced(document.read_text(), {"faults": "\n".join([*items, ""])}))


def _item(figure: Figure, date: str) -> str:
    held = "Held" if figure.held else "Not held"
    return item(f"{figure.what}. *Asked:* {figure.asked}. *Found:* {figure.found}. **{held}**, {date}.")


if __name__ == "__main__":
    main()
