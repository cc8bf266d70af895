"""One model on one task, in a process and an environment of its own.

    python -m benchmarks.accuracy.apart FILE:CLASS TASK ANSWER [PACKAGE]

Needs only numpy and what the model needs. Does not know which model it is, or how it will be judged.
"""

import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.accuracy.task import Model, Task


def main(model: str, task: Path, answer: Path, package: str) -> None:
    """Write the scores, the seconds of training alone, and the package's version."""
    file, name = model.split(":")
    made: type[Model] = getattr(import_module(f"benchmarks.accuracy.{file}"), name)
    asked = made(Task.load(task))
    start = time.perf_counter()
    asked.train()
    seconds = time.perf_counter() - start
    scores = np.asarray(asked.scores(), dtype=np.float64)
    np.savez(answer, scores=scores, seconds=np.array(seconds), version=np.array(version(package)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
