"""The service's processes, forked from one that has imported everything: hundreds can be killed in minutes.

A web process is `create_app` under uvicorn and a worker is `app.training.worker.Worker`, as `likely serve`
has them; only the seconds in which Python imports torch are left out. `Whole` is `likely serve` itself. Does
not know when anything is killed, nor what is asked.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from app.database.urls import open_database, open_migrated
from app.training import leases
from testbed.live import children_of
from tests.faults.client import Client, Lost
from tests.faults.commits import Armed, arm
from tests.faults.importers import dying_importers

READY_WITHIN = 60.0

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "app.catalogs.imports.store",
        "app.main",
        "app.training.worker",
        "uvicorn",
        "tests.faults.processes",
    ]
)


@dataclass
class Processes:
    """Web and worker processes on the database of a folder; all that run are killed in the end."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    started: list[ForkServerProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the database's URL: a file in the folder, unless another was given."""
        return self.address or f"sqlite:///{self.folder}/likely.db"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the processes read their settings from."""
        return {
            "LIKELY_DATABASE_URL": self.url,
            "LIKELY_COMPUTE_PROCESSES": "0",
            "LIKELY_DRAWING_PROCESSES": "0",
            "LIKELY_IMPORT_PROCESSES": "0",  # one starts for seconds; harnesses that kill it set this to 1
            "LIKELY_POLL_SECONDS": "0.02",
            "LIKELY_TRAINING_ATTEMPTS": "1000000",
            **{f"LIKELY_{name}": value for name, value in self.settings.items()},
        }

    @property
    def log(self) -> Path:
        """Return where the processes write what they have to say."""
        return self.folder / "service.log"

    def web(self, port: int, armed: Armed | None = None, beside: Armed | None = None) -> ForkServerProcess:
        """Start a web process; ``beside`` arms the process that imports for it instead."""
        return self._start(_serve, port, armed, beside)

    def worker(self, name: str, armed: Armed | None = None) -> ForkServerProcess:
        """Start a worker."""
        return self._start(_work, name, armed)

    def run(
        self, work: Callable[..., None], *arguments: object, armed: Armed | None = None
    ) -> ForkServerProcess:
        """Start a process of a harness's own, with the settings of the others."""
        return self._start(_run, work, arguments, armed)

    def bury(self, name: str) -> None:
        """End the leases of a worker that was killed, as the service does that started it."""
        database = open_database(self.url)
        with database.writing() as connection:
            leases.expire(connection, name)
        database.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> ForkServerProcess:
        process = _FORKS.Process(target=run, args=(self.environment, self.log, *arguments))
        process.start()
        self.started.append(process)
        return process


@contextmanager
def processes(folder: Path, address: str | None = None, **settings: str) -> Iterator[Processes]:
    """Have processes to start on the database in ``folder``, or at an address, and none left over."""
    first = _FORKS.Process(target=_nothing)
    first.start()
    first.join()  # whoever is measured later finds everything imported
    started = Processes(folder, settings, address)
    try:
        yield started
    finally:
        for process in started.started:
            kill(process)


def kill(process: ForkServerProcess) -> None:
    """Kill a process at once, and wait until it is gone."""
    if process.is_alive():
        process.kill()
    process.join()


def wait_until_ready(port: int, began: float) -> float:
    """Wait for /readyz and return the seconds since ``began``."""
    with Client(port) as client:
        while time.monotonic() < began + READY_WITHIN:
            try:
                if client.ask("GET", "/readyz").done:
                    return time.monotonic() - began
            except Lost:
                time.sleep(0.01)
    raise RuntimeError(f"the service was not ready after {READY_WITHIN} s")


class Whole:
    """`likely serve` as a person starts it, with all its processes."""

    def __init__(self, processes: Processes, port: int, *flags: str) -> None:
        with processes.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", "serve", "--port", str(port), *flags],
                env={**os.environ, **processes.environment},
                stdout=log,
                stderr=log,
            )

    def tree(self) -> list[int]:
        """Return the service's processes, itself first."""
        result = [self._process.pid]
        for pid in result:
            result += children_of(pid) if Path(f"/proc/{pid}").exists() else []
        return result

    def kill(self, *, which: slice = slice(None)) -> None:
        """Kill these of its processes at once, all if not said."""
        for pid in self.tree()[which]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def wait(self) -> None:
        """Wait until the first process is gone."""
        self._process.wait()

    @property
    def ended(self) -> bool:
        """Whether the first process is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._process.terminate()
        self._process.wait()


def _nothing() -> None:
    """Do nothing."""


def _serve(
    environment: Mapping[str, str], log: Path, port: int, armed: Armed | None, beside: Armed | None
) -> None:
    import uvicorn

    from app.cli.main import server_options
    from app.main import create_app
    from app.observability.logs import configure_logs
    from app.settings import Settings

    _begin(environment, log, armed)
    settings = Settings()
    configure_logs(settings.log_level)
    app = create_app(settings)
    with nullcontext() if beside is None else dying_importers(app, beside):
        uvicorn.run(app, **{**server_options(settings), "port": port})


def _work(environment: Mapping[str, str], log: Path, name: str, armed: Armed | None) -> None:
    from app.observability.logs import configure_logs
    from app.settings import Settings
    from app.training.worker import Worker

    _begin(environment, log, armed)
    settings = Settings()
    configure_logs(settings.log_level)
    worker = Worker(open_migrated(settings.database_url, settings.busy_seconds), settings, name)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())
    worker.run()


def _run(
    environment: Mapping[str, str],
    log: Path,
    work: Callable[..., None],
    arguments: tuple[object, ...],
    armed: Armed | None,
) -> None:
    _begin(environment, log, armed)
    work(*arguments)


def _begin(environment: Mapping[str, str], log: Path, armed: Armed | None) -> None:
    """Make a forked process the one that it is to be."""
    os.environ.update(environment)
    with log.open("ab") as written:
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
    if armed is not None:
        arm(armed)
