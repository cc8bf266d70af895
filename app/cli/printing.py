"""Where commands print: standard output, and a progress bar beside it. Does not know what any of them says.

Needs no torch, which takes seconds to import: a command that only moves files starts at once.
"""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

out = Console(highlight=False)


def progress_bar() -> Progress:
    """Return a progress bar that disappears when it is done; nothing is shown where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
