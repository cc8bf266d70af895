"""A fresh checkout in which README's commands run, as a new user would run them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from testbed.live import free_port, stop
from tests.support.documents.shell import Shell

ROOT = Path(__file__).parents[3]
_SET_UP_WITHIN = 600.0


class Checkout(Shell):
    """A fresh checkout in which README's first command has been run: the service runs."""

    def __init__(self, folder: Path, started: str, port: int) -> None:
        super().__init__(folder, port, folder / ".venv" / "bin")
        self.started = started

    def run(self, line: str) -> str:
        """Run a command as README has it and return what it prints; raises if it fails."""
        if line == "make run":
            return self.started
        return super().run("make --dry-run test > /dev/null" if line == "make test" else line)


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
