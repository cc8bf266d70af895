"""Garbage while much is imported or made: nothing is looked at meanwhile. And threads with one heap."""

import ctypes
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from app.processes import garbage_collection
from app.processes.garbage_collection import gc_paused, gc_paused_then_frozen, release_memory_soon
from tests.support.documents.checkout import ROOT


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.freeze()  # all that was collected before the first test stays out of later looks
    gc.enable()


def test_nothing_is_collected_while_something_is_imported_and_all_of_it_is_frozen() -> None:
    with gc_paused_then_frozen():
        assert not gc.isenabled()
        made = [[]]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert not any(each is made for each in gc.get_objects())  # the frozen are not among them


def test_garbage_is_collected_again_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), gc_paused_then_frozen():
        raise ImportError
    assert gc.isenabled()


def test_nothing_is_collected_while_much_is_made_nor_because_of_it_when_it_is_gone() -> None:
    looks: list[str] = []

    def look(phase: str, _: dict[str, int]) -> None:
        looks.append(phase)

    gc.collect()
    gc.callbacks.append(look)
    try:
        with gc_paused():
            made = [[each] for each in range(10_000)]
            assert len(made) == 10_000
            del made
        assert looks == []
        kept = [[each] for each in range(10_000)]  # as it is otherwise
        assert len(kept) == 10_000
        assert looks
    finally:
        gc.callbacks.remove(look)


def test_garbage_is_collected_again_after_a_body_that_could_not_be_read() -> None:
    with pytest.raises(ValueError, match="not so plain"), gc_paused():
        raise ValueError("not so plain")
    assert gc.isenabled()


def test_what_is_freed_goes_back_once_for_all_who_ask_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Callable[[], None]] = []

    class Timer:
        def __init__(self, _seconds: float, look: Callable[[], None]) -> None:
            self.start = lambda: looks.append(look)

    assert garbage_collection._scheduled.acquire(timeout=10)  # noqa: SLF001 - an earlier test's moment may not be over
    garbage_collection._scheduled.release()  # noqa: SLF001 - likewise
    monkeypatch.setattr(threading, "Timer", Timer)
    for rounds in (1, 2):
        for _ in range(5):
            release_memory_soon()
        assert len(looks) == rounds
        looks[-1]()


_THREADS = """
import ctypes, sys, threading
from app.processes.garbage_collection import use_single_malloc_arena
if sys.argv[1] == "one":
    use_single_malloc_arena()
together = threading.Barrier(8)
def allocate():
    together.wait()
    kept = [bytes(1000 + number) for number in range(1000)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="another C library has no such heaps"
)
@pytest.mark.parametrize(("how", "one"), [("one", True), ("many", False)])
def test_threads_share_one_heap_where_they_are_told_to(how: str, *, one: bool) -> None:
    process = subprocess.run(
        [sys.executable, "-c", _THREADS, how], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (process.stderr.count("Arena ") == 1) is one
