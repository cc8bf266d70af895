"""A shell in which the commands of a page run as a reader would run them, beside a service."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx2

from testbed.live import free_port
from tests.support.documents import console

_STARTS_WITHIN = 60.0
_TRAINS_WITHIN = 30.0

# Ratings of nobody, in MovieLens's layout: the documents name the folder of the real ones.
_MOVIELENS = {
    "movies.csv": "movieId,title,genres\n"
    + "".join(f"{n},Movie {n},{'Comedy' if n % 2 else 'Drama|War'}\n" for n in range(1, 9)),
    "ratings.csv": "userId,movieId,rating,timestamp\n"
    + "".join(f"{u},{m},{4.5 if (u + m) % 2 else 2.0},{10**9 + m}\n" for u in (1, 2, 3) for m in range(u, 8)),
}


class Shell:
    """Runs commands in ``folder``, with the folder ``programs`` on the PATH and the service at ``port``."""

    def __init__(self, folder: Path, port: int, programs: Path) -> None:
        self.folder, self.port = folder, port
        bare = {name: value for name, value in os.environ.items() if not name.startswith("LIKELY_")}
        self.environment = {
            **bare,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        (folder / "ml-latest-small").mkdir()
        for name, text in _MOVIELENS.items():
            (folder / "ml-latest-small" / name).write_text(text)

    def run(self, line: str) -> str:
        """Run a command as a page has it and return what it prints; raises if it fails."""
        if line.split()[:2] in (["likely", "serve"], ["likely", "worker"]):
            self._run_for_a_while(line.replace("8000", str(free_port())))
            return ""
        printed = console.run(line, self.port, self.folder, self.environment)
        if line.startswith("curl") and "/trainings " in line:
            self._wait_for_trainings(line)
        return printed

    def _run_for_a_while(self, line: str) -> None:
        alive = self.folder / "alive"  # a worker touches it, also the one that runs beside a web process
        alive.unlink(missing_ok=True)
        environment = {**self.environment, "LIKELY_HEARTBEAT_FILE": str(alive)}
        process = subprocess.Popen(line.split(), cwd=self.folder, env=environment, stderr=subprocess.PIPE)
        deadline = time.monotonic() + _STARTS_WITHIN
        while process.poll() is None and not alive.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=15)
        if process.returncode:
            raise AssertionError(f"{line}\n{errors.decode()}")

    def _wait_for_trainings(self, line: str) -> None:
        [path] = re.findall(r"localhost:8000(\S+/trainings)", line)
        deadline = time.monotonic() + _TRAINS_WITHIN
        while time.monotonic() < deadline:
            trainings = httpx2.get(f"http://localhost:{self.port}{path}").json()["items"]
            if all(training["status"] == "succeeded" for training in trainings):
                return
            time.sleep(0.05)
        raise AssertionError(f"still training: {trainings}")
