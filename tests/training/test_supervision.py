"""When the worker beside the web starts: once the web is ready, and never where it does not get there."""

import io
import threading
import time
from typing import Any

import pytest

from app.database.database import Database
from app.training import supervisor
from app.training.supervisor import Supervisor


class Running:
    """A worker that runs until it is stopped."""

    def __init__(self) -> None:
        self.stdin, self.returncode = io.BytesIO(), None

    def poll(self) -> None:
        """Say that it runs."""

    def terminate(self) -> None:
        """Stop."""

    def wait(self, _seconds: float) -> int:
        """Say how it ended."""
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Running]:
    """The workers started so far."""
    workers: list[Running] = []

    def start(*_: Any, **__: Any) -> Running:  # noqa: ANN401 - as Popen takes them
        workers.append(Running())
        return workers[-1]

    monkeypatch.setattr("app.training.supervisor.subprocess.Popen", start)
    monkeypatch.setattr(supervisor, "_POLL_SECONDS", 0.001)
    return workers


def test_the_worker_starts_once_the_web_is_ready(database: Database, started: list[Running]) -> None:
    asked, ready = threading.Semaphore(0), threading.Event()

    def is_ready() -> bool:
        asked.release()
        return ready.is_set()

    with Supervisor(database, is_ready):
        for _ in range(3):
            assert asked.acquire(timeout=10)
        assert not started
        ready.set()
        deadline = time.monotonic() + 10
        while not started and time.monotonic() < deadline:
            time.sleep(0.001)
    assert len(started) == 1


def test_a_web_that_is_never_ready_has_no_worker(database: Database, started: list[Running]) -> None:
    with Supervisor(database, lambda: False):
        pass
    assert not started
