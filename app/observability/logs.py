"""Log lines: one event with its fields a line, on standard error, those of libraries too.

In a terminal for people to read, otherwise JSON. No line has an id, a title, a path, a query or a body:
events are fixed sentences, exceptions come without their messages, and no line has an API key. Does not know
what is worth logging.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import structlog
from structlog.types import EventDict, ExcInfo, Processor

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
    message = error.strerror if isinstance(error, OSError) else None
    if type(error).__module__.startswith(_SQLITE):
        message = str(error)
    return f"{name}: {message}" if message else name


# More is redacted than is a valid key: also what is mistyped, cut short, or encoded for a URL.
_LOOKS_SECRET = re.compile(
    r"(likely(?:_|%5F)[0-9A-Za-z]{1,16})(?:_|%5F)[0-9A-Za-z]{16,}", re.ASCII | re.IGNORECASE
)
_LIBRARIES = logging.WARNING  # what they say below this is about their inside


def configure_logs(level: str) -> None:
    """Show events from this level on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_trace),
        _without_keys,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[*first, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(),
    )
    libraries = _StandardError()
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[_first_line, *first],
        )
    )
    logging.basicConfig(handlers=[libraries], level=max(number, _LIBRARIES), force=True)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _report


def redact(text: str) -> str:
    """Return a text with the secret part of every API key in it left out."""
    return _LOOKS_SECRET.sub(r"\1_...", text)


def _write(line: str) -> None:
    """Write a line to standard error as it is at the time; a line that its disk has no space for is lost."""
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _Lines:
    """What structlog writes lines to, under whichever level."""

    def msg(self, line: str) -> None:
        """Write a line."""
        _write(line)

    debug = info = warning = error = critical = msg


class _StandardError(logging.Handler):
    """What the library `logging` writes lines to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        _write(self.format(record))


def _first_line(_logger: object, _method: str, event: EventDict) -> Mapping[str, Any]:
    """Keep of a library's message what it says itself: behind it asyncio shows what was being worked on."""
    return {**event, "event": str(event["event"]).partition("\n")[0]}


def _trace(exc_info: ExcInfo) -> str:
    return trace(exc_info[1])


def _report(arguments: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error("a thread was ended by an error", exception=trace(arguments.exc_value))


def _without_keys(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}
