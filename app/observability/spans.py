"""What is under way, as named spans of time: the places in the code that a trace shows.

Where nobody traces, a span costs a look at a variable. Attributes are fixed words and counts, never ids,
titles, bodies or keys. Does not know who looks at spans: `app.observability.tracing` does.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token

Attributes = Mapping[str, str | int]
Opener = Callable[[str, Attributes, bool], AbstractContextManager[None]]

_opener: ContextVar[Opener | None] = ContextVar("opener", default=None)


def span(name: str, *, root: bool = False, **attributes: str | int) -> AbstractContextManager[None]:
    """Return the span of a block, within the one around it; without one there is none, unless ``root``."""
    opener = _opener.get()
    return nullcontext() if opener is None else opener(name, attributes, root)


def trace_by(opener: Opener) -> Token[Opener | None]:
    """Let spans of this context, a request's or a worker's, be opened by this."""
    return _opener.set(opener)


def stop_tracing(token: Token[Opener | None]) -> None:
    """Take back what `trace_by` did."""
    _opener.reset(token)
