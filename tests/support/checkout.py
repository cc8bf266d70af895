"""A fresh checkout in which README's commands run, as a new user would run them."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from testbed.live import free_port, stop
from tests.support import console

ROOT = Path(__file__).parents[2]
_SET_UP_WITHIN = 600.0
_BEGINS_WITHIN = 60.0

# Ratings of nobody, in MovieLens's layout: README names the folder of the real ones.
_MOVIELENS = {
    "movies.csv": "movieId,title,genres\n"
    + "".join(f"{n},Movie {n},{'Comedy' if n % 2 else 'Drama|War'}\n" for n in range(1, 9)),
    "ratings.csv": "userId,movieId,rating,timestamp\n"
    + "".join(f"{u},{m},{4.5 if (u + m) % 2 else 2.0},{10**9 + m}\n" for u in (1, 2, 3) for m in range(u, 8)),
}


class Checkout:
    """A fresh checkout in which README's first command has been run: the service runs."""

    def __init__(self, folder: Path, started: str, port: int) -> None:
        self.folder, self.started, self.port = folder, started, port
        (folder / "ml-latest-small").mkdir()
        for name, text in _MOVIELENS.items():
            (folder / "ml-latest-small" / name).write_text(text)

    def run(self, line: str) -> str:
        """Run a command as README has it and return what it prints; raises if it fails."""
        if line == "make run":
            return self.started
        if line == "make test":  # this is what runs; here only that the target is there
            self._bash("make --dry-run test")
            return ""
        if line.split()[:2] in (["likely", "serve"], ["likely", "worker"]):
            self._run_for_a_while(line.replace("8000", str(free_port())))
            return ""
        output = self._bash(line)
        if line.startswith("curl") and "/trainings " in line:
            self._wait_for_trainings(line)
        return output

    def _bash(self, line: str) -> str:
        return console.run(line, self.port, self.folder, self._environment())

    def _run_for_a_while(self, line: str) -> None:
        alive = self.folder / "alive"  # a worker touches it, also the one that runs beside a web process
        alive.unlink(missing_ok=True)
        environment = {**self._environment(), "LIKELY_HEARTBEAT_FILE": str(alive)}
        process = subprocess.Popen(line.split(), cwd=self.folder, env=environment, stderr=subprocess.PIPE)
        deadline = time.monotonic() + _BEGINS_WITHIN
        while process.poll() is None and not alive.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=15)
        if process.returncode:
            raise AssertionError(f"{line}\n{said.decode()}")

    def _wait_for_trainings(self, line: str) -> None:
        [path] = re.findall(r"localhost:8000(\S+/trainings)", line)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            items = httpx2.get(f"http://localhost:{self.port}{path}").json()["items"]
            if all(training["status"] == "succeeded" for training in items):
                return
            time.sleep(0.05)
        raise AssertionError(f"still training: {items}")

    def _environment(self) -> dict[str, str]:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("LIKELY_")}
        path = f"{self.folder / '.venv' / 'bin'}:{os.environ['PATH']}"
        return {**bare, "PATH": path, "COLUMNS": "100"}


@contextmanager
def fresh_checkout() -> Iterator[Checkout]:
    """Copy what git tracks into a new folder and run `make run` there until it serves."""
    folder = Path(tempfile.mkdtemp(prefix="likely-readme-"))
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    port = free_port()
    log = folder / "make-run.txt"
    with log.open("wb") as output:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("LIKELY_", "MAKE"))}
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"], cwd=folder, env=bare, stdout=output, stderr=subprocess.DEVNULL
        )
    try:
        _wait_until_ready(process, port, log)
        yield Checkout(folder, log.read_text().strip(), port)
    finally:
        stop(process)
        shutil.rmtree(folder)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SET_UP_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"make run ended:\n{log.read_text()}")
        try:
            if httpx2.get(f"http://localhost:{port}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"make run serves nothing after {_SET_UP_WITHIN:g} s:\n{log.read_text()}")
