"""Memory that is not needed any more: when to look for it, and that it goes back to the system.

Does not know what the memory was for.
"""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MOMENT = 1.0  # seconds
_ARENA_MAX = -8  # M_ARENA_MAX of mallopt(3)
_soon = threading.Lock()  # taken while it is going to happen


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage in the block, nor ever again among what it made.

    Importing torch and the application makes a million objects that live as long as the process does. The
    collector would go through them again and again while they come, and at each full collection afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        keep_for_ever()
        gc.enable()


@contextmanager
def making_much() -> Iterator[None]:
    """Look for no garbage in the block, which makes thousands of objects and lets them go again.

    The collector would go through them a dozen times and find them all in use. Another thread's block that
    ends lets it look again: to look is never wrong.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keep_for_ever() -> None:
    """Leave all that there is now out of later looks for garbage, of which a full one takes 0.1 s."""
    gc.freeze()


def keep_one_heap() -> None:
    """Let all threads take memory from one heap; to be called before there are any.

    The GNU C library gives threads heaps of their own, and what requests of every size leave behind in each
    stays taken. Threads that wait for Python's lock hardly ever allocate at once. Other libraries cannot be
    asked.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def give_back_soon() -> None:
    """Give freed memory back to the system in a moment, when what is under way has freed its own too.

    The GNU C library keeps it for this process otherwise; others cannot be asked. Whoever asks in that moment
    too is served by the same look, which takes milliseconds.
    """
    if not _soon.acquire(blocking=False):
        return
    timer = threading.Timer(_MOMENT, _give_back)
    timer.daemon = True
    timer.start()


def _give_back() -> None:
    _soon.release()
    with suppress(AttributeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)
