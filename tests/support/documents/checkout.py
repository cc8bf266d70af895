"""A fresh checkout in which README's commands run, as a new user would run them."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from testbed.live import free_port, stop
from tests.support.documents.shell import Shell

ROOT = Path(__file__).parents[3]

# Stands for python3: a virtual environment that it makes finds the dependencies where the tests have them, so
# pip, asked for them, has nothing to do. Of the .pth files there, an editable checkout's too, none is read.
_LINKING_PYTHON = f"""#!/bin/sh
"{sys.executable}" "$@" || exit
if test "$1 $2" = "-m venv"; then
    for packages in .venv/lib/python*/site-packages; do
        echo "{sysconfig.get_path("purelib")}" > "$packages/dependencies.pth"
    done
fi
"""
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
    """Copy what git tracks into a new folder and run `make run` there until it serves.

    Its set-up is that of a new user, but for the dependencies, which `make test` has just downloaded.
    """
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
    python = folder / "linking-python"
    python.write_text(_LINKING_PYTHON)
    python.chmod(0o755)
    port = free_port()
    log = folder / "make-run.txt"
    with log.open("wb") as output:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("LIKELY_", "MAKE"))}
        command = ["make", "run", f"PORT={port}", f"PYTHON={python}"]
        process = subprocess.Popen(command, cwd=folder, env=bare, stdout=output, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, port, log)
        yield Checkout(folder, log.read_text().strip(), port)
    finally:
        stop(process)
        shutil.rmtree(folder)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SET_UP_WITHIN
    with httpx2.Client(base_url=f"http://localhost:{port}") as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"make run ended:\n{log.read_text()}")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.2)
    raise AssertionError(f"make run serves nothing after {_SET_UP_WITHIN:g} s:\n{log.read_text()}")
