"""Where the models run: this checkout's environment, and one each for peers that cannot live in it.

Every process has one thread. Does not know which models there are.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.accuracy.task import Floats, Task

ROOT = Path(__file__).parents[2]
_PINS = Path(__file__).parent / "environments"
_MADE = ROOT / ".bench"
_COUNTS_OF_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON", "LK")
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in _COUNTS_OF_THREADS}


@dataclass(frozen=True)
class Scored:
    """What a model answers: scores [n], the seconds of its training, its package's version."""

    scores: Floats
    seconds: float
    version: str


def python(environment: str) -> Path:
    """Return the interpreter of an environment, which is made when it is missing or its pins have changed."""
    if environment == "main":
        return Path(sys.executable)
    pins, folder = _PINS / f"{environment}.txt", _MADE / environment
    stamp, interpreter = folder / "pins.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = [str(interpreter), "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
        index = os.environ.get("TORCH_INDEX")
        torch = [line for line in pins.read_text().splitlines() if line.startswith("torch==")]
        if index and torch:
            _run(*pip, "--no-deps", "--index-url", index, *torch)
        _run(*pip, "-r", str(pins))
        stamp.write_text(pins.read_text())
    return interpreter


def ask(environment: str, model: str, package: str, task: Task) -> Scored:
    """Let a model answer a task in a process of its own."""
    with TemporaryDirectory() as name:
        asked, answer = Path(name) / "task.npz", Path(name) / "answer.npz"
        task.save(asked)
        module = "benchmarks.accuracy.apart"
        _run(str(python(environment)), "-m", module, model, str(asked), str(answer), package)
        with np.load(answer) as result:
            return Scored(result["scores"], float(result["seconds"]), str(result["version"]))


def _run(*command: str) -> None:
    ran = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=ROOT, env={**os.environ, **_ONE_THREAD}, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stderr[-4000:]}")
