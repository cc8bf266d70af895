"""The terminal: its console, lines that are printed as they are, and progress bars."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

out = Console(highlight=False)


def print_line(text: str) -> None:
    """Print a line as it is: no markup, and not wrapped where a path or a digest would be cut."""
    out.print(text, markup=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a progress bar that disappears when it is done; without a terminal nothing is shown."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
