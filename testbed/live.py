"""The service as a person starts it: `likely serve` in a process of its own, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from testbed.databases import url_for

STARTED_WITHIN = 60.0


class Service:
    """A running `likely serve` and a client for it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log
        self.http = httpx2.Client(base_url=url, timeout=30)

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"not ready after {STARTED_WITHIN} s:\n{self.log.read_text()}")

    def worker_pids(self) -> list[int]:
        """Return the worker processes that this service has started and that still run."""
        return [pid for pid in children_of(self.process.pid) if "app.cli.main worker" in command_of(pid)]

    def compute_pids(self) -> set[int]:
        """Return the compute processes that this service has started and that still run."""
        return compute_processes_of(self.process.pid)

    def send(self, path: str, body: bytes) -> socket.socket:
        """Post a JSON body and return the connection, open, without waiting for an answer."""
        url = httpx2.URL(self.url)
        connection = socket.create_connection((url.host, url.port))
        head = f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return connection

    def training(self, path: str) -> dict[str, Any]:
        """Return a training as the API shows it."""
        result: dict[str, Any] = self.http.get(path).json()
        return result

    def wait_for(self, path: str, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a training has one of these statuses, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            training = self.training(path)
            if training["status"] in statuses:
                return training
            time.sleep(0.02)
        raise AssertionError(
            f"training still {training['status']} after {seconds} s:\n{self.log.read_text()}"
        )


@contextmanager
def serving(folder: Path, environment: Mapping[str, str] | None = None, *flags: str) -> Iterator[Service]:
    """Run `likely serve` on the database in ``folder``; ends it with SIGTERM.

    Without processes that compute or draw, unless the environment says how many: most tests need none, and
    each costs the seconds that torch or altair take to be imported.
    """
    variables = {
        **os.environ,
        "LIKELY_DATABASE_URL": url_for(folder),
        "LIKELY_COMPUTE_PROCESSES": "0",
        "LIKELY_DRAWING_PROCESSES": "0",
        **(environment or {}),
    }
    command = [sys.executable, "-m", "app.cli.main", "serve", *flags]
    with started(command, Path.cwd(), variables, folder / "service.log") as service:
        yield service


@contextmanager
def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path | None = None
) -> Iterator[Service]:
    """Run a command that serves in ``folder``, on a free port, until it is ready; ends it with SIGTERM."""
    port, log = free_port(), log or folder / "service.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=environment, stdout=output, stderr=output
        )
    service = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.http.close()
        stop(process)


def wait_until_warm(service: Service, processes: int) -> None:
    """Wait until so many compute processes have computed their first and wait for a task (Linux)."""
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline:
        if sum(map(is_warm, service.compute_pids())) == processes:
            return
        time.sleep(0.005)
    raise AssertionError(
        f"not {processes} warm processes after {STARTED_WITHIN} s:\n{service.log.read_text()}"
    )


def is_warm(pid: int) -> bool:
    """Return whether a compute process reads tasks: in a thread that it starts when it is warm (Linux)."""
    try:
        return threads_of(pid) > 1
    except FileNotFoundError:
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with SIGTERM, and with SIGKILL if that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def compute_processes_of(pid: int) -> set[int]:
    """Return the compute processes that a process has started and that still run."""
    return {child for child in children_of(pid) if "app.compute.process" in command_of(child)}


def threads_of(pid: int) -> int:
    """Return how many threads a process has (Linux)."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def children_of(pid: int) -> list[int]:
    """Return the processes started by a process, by whichever of its threads (Linux)."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in _read(task / "children").split()
    ]


def descendants_of(pid: int) -> list[int]:
    """Return the processes started by a process, and those that these have started, and so on (Linux)."""
    try:
        own = children_of(pid)
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return []
    return own + [below for child in own for below in descendants_of(child)]


def command_of(pid: int) -> str:
    """Return the command line of a process, empty when it is gone (Linux)."""
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def _read(file: Path) -> str:
    """Return what the kernel says of a process or a thread: nothing when it has ended since it was listed."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
