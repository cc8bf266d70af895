"""When Python's garbage collection (GC) runs, and when freed memory goes back to the system."""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MOMENT = 1.0  # seconds
_ARENA_MAX = -8  # M_ARENA_MAX of mallopt(3)
_scheduled = threading.Lock()  # held from the first request to release memory until that happens


@contextmanager
def gc_paused_then_frozen() -> Iterator[None]:
    """Pause GC in the block, then freeze all objects that exist: later collections skip them.

    Importing torch and the application makes a million objects that live as long as the process does. The
    collector would traverse them again and again while they are made, and in each full collection afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause GC in the block, which makes thousands of objects and drops them again.

    The collector would traverse them a dozen times and find them all in use. When another thread's block
    ends, GC runs again in this one too, which is slower, never wrong.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def use_single_malloc_arena() -> None:
    """Let all threads allocate from a single malloc arena; call this before any thread starts.

    The GNU C library gives each thread an arena, and each stays as large as its largest requests made it.
    Threads that wait for Python's global lock hardly ever allocate at the same time, so one arena is enough.
    Other C libraries have no such setting.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def release_memory_soon() -> None:
    """Return freed memory to the system in a second, when what is under way has freed its memory too.

    The GNU C library keeps it for this process otherwise; other C libraries have no `malloc_trim`. Calls
    within that second share one release, which takes milliseconds.
    """
    if not _scheduled.acquire(blocking=False):
        return
    timer = threading.Timer(_MOMENT, _release_memory)
    timer.daemon = True
    timer.start()


def _release_memory() -> None:
    _scheduled.release()
    with suppress(AttributeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)
