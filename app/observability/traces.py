"""An exception as the log has it: of which class, and where it came from, without what it says.

Messages quote what was being worked on: ids, titles, parts of bodies. What the operating system and SQLite
say is kept, as it names none of these. Knows nothing of the application.
"""

import sys
import traceback
from types import TracebackType

_SQLITE = ("sqlite3", "pysqlite3")


def trace(error: BaseException | None) -> str:
    """Return the classes and places of an exception and of those that it came from, the first one first."""
    parts: list[str] = []
    while error is not None:
        parts.insert(0, "".join(traceback.format_tb(error.__traceback__)) + _name(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nand then\n".join(parts)


def print_trace(_kind: type[BaseException], error: BaseException, _where: TracebackType | None) -> None:
    """Print an exception that ends a process; as `sys.excepthook`."""
    sys.stderr.write(f"{trace(error)}\n")


def _name(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    said = error.strerror if isinstance(error, OSError) else None
    if type(error).__module__.startswith(_SQLITE):
        said = str(error)
    return f"{name}: {said}" if said else name
