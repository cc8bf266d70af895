"""The harnesses by name, each a module with `run`, in the order of docs/track-record.md.

`run(scale)` tries so large a share of the whole: 1 is what the figures ask for, tests take a hundredth or so.
A harness draws everything from a seed of its own, so a run is the same again. Does not know what they do.
"""

from collections.abc import Callable
from importlib import import_module

from tests.faults.figures import Figure

Run = Callable[[float], list[Figure]]

HARNESSES: tuple[str, ...] = (
    "kills",
    "failpoints",
    "clients",
    "hosts",
    "races",
    "deletions",
    "disks",
    "backups",
    "soak",
    "hostile",
    "disconnects",
    "overload",
    "credentials",
    "contract",
)


def run(harness: str, scale: float) -> list[Figure]:
    """Return a harness's figures; raises `KeyError` for one that there is not."""
    if harness not in HARNESSES:
        raise KeyError(harness)
    return list(import_module(f"tests.faults.harnesses.{harness}").run(scale))
