"""Keeps one worker process running alongside the web: starts it, restarts it when it dies, stops it.

The worker's standard input is a pipe from here. Nothing is ever written to it: when this process dies, even
by SIGKILL, the pipe closes and the worker ends. The worker comes after the web is ready: it imports as much,
and would take the cores that the web needs to get there. Does not know what a worker does.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Self

import structlog

from app.database.database import Database
from app.errors import Unavailable
from app.training import leases

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_STOP_SECONDS = 5.0
_PARENT_SECONDS = 1.0


def end_with_parent() -> None:
    """End this process, in an orderly way, when the process that started it has died."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


@contextmanager
def measuring_together() -> Iterator[None]:
    """Give the web processes that this one starts a folder, in which they put together what they measure."""
    with TemporaryDirectory(prefix="likely-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # as app/observability/metrics.py says
        yield


class Supervisor:
    """A context in which a worker runs, from when ``ready`` says yes."""

    def __init__(self, database: Database, ready: Callable[[], bool]) -> None:
        self._database, self._ready = database, ready
        self._stopping = threading.Event()
        self._started = 0
        self._worker: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._worker is None:
            return
        self._worker.terminate()
        try:
            self._worker.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._worker.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started += 1
        self._name = f"{socket.gethostname()}:{os.getpid()}:{self._started}"
        command = [
            sys.executable,
            "-m",
            "app.cli.main",
            "worker",
            "--name",
            self._name,
            "--until-stdin-closes",
        ]
        # A session of its own, so that Ctrl-C reaches only this process, which then stops the worker.
        return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            if self._worker is None:
                if not self._ready():
                    continue
            elif self._worker.poll() is None:
                continue
            else:
                log.warning("the worker died and is started again", exit_code=self._worker.returncode)
                self._expire_leases()
            try:
                self._worker = self._start()
            except OSError as error:
                log.warning("the worker could not be started, and is tried again", error=str(error))

    def _expire_leases(self) -> None:
        try:
            with self._database.writing_fenced() as connection:
                leases.expire(connection, self._name)
        except Unavailable:
            log.warning("the dead worker's training waits until its lease ends")
