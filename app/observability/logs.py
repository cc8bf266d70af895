"""Logs: an event with its fields on each line of standard error, those of libraries included.

Text in a terminal, otherwise JSON. No line has an id, a title, a path, a query or a body: events are fixed
sentences, exceptions are logged without their messages, and API keys are redacted.
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
    """Return the traceback of an exception and of its causes, the first one first, without messages."""
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


# Wider than valid keys: mistyped, truncated and URL-encoded ones are redacted as well.
_LOOKS_SECRET = re.compile(
    r"(likely(?:_|%5F)[0-9A-Za-z]{1,16})(?:_|%5F)[0-9A-Za-z]{16,}", re.ASCII | re.IGNORECASE
)
_LIBRARIES = logging.WARNING  # below this they log their internals


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
    """Return a text without the secret part of each API key in it."""
    return _LOOKS_SECRET.sub(r"\1_...", text)


def _write(line: str) -> None:
    """Write a line to the current standard error; a line for which its disk has no space is lost."""
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _Lines:
    """The logger that structlog writes lines to, at every level."""

    def msg(self, line: str) -> None:
        """Write a line."""
        _write(line)

    debug = info = warning = error = critical = msg


class _StandardError(logging.Handler):
    """The handler of the standard library's `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        _write(self.format(record))


def _first_line(_logger: object, _method: str, event: EventDict) -> Mapping[str, Any]:
    """Keep the first line of a library's message: asyncio adds values of the running task behind it."""
    return {**event, "event": str(event["event"]).partition("\n")[0]}


def _trace(exc_info: ExcInfo) -> str:
    return trace(exc_info[1])


def _report(arguments: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error("a thread was ended by an error", exception=trace(arguments.exc_value))


def _without_keys(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}
