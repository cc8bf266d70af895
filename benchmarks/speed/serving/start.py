"""From the start of `likely serve` until it is ready, and its memory, beside importing torch alone.

The service is whole: its worker, and the processes that compute and draw, start too and use the same cores.
Memory is what the web process holds after it has scored and recommended. Does not know what is loaded when.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.lines import Goal, Line, middle
from benchmarks.speed.served import CATALOG, Truth, running, train_movielens
from benchmarks.speed.serving.scores import check_scores, score_paths
from testbed.running import check

WORK = "`likely serve`, start to ready, ml-latest-small trained"
AGAINST = "a process that only imports torch"
TIME = Goal("at most", 2, "times its time")
MEMORY = Goal("at most", 1.5, "times its memory")
_MEMORY = "resident memory of the web process, after scores and recommendations"
_REPETITIONS = 7
_USERS, _LIMIT, _CLOSE = 50, 10, 1e-9
_MEBIBYTE = 2**10  # in the kernel's kB
_TORCH = "import torch; import sys; print(flush=True); sys.stdin.read()"


@dataclass(frozen=True)
class _Started:
    """Seconds until a process is ready, and the resident MiB that it has then and in use."""

    seconds: float
    memory: float


def measure(movielens: Path) -> Iterator[Line]:
    """Start both, one after the other, so many times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_movielens(movielens, folder)
        truth = Truth.of(folder)
        _serve(folder, truth)
        _import_torch()
        runs = [(_serve(folder, truth), _import_torch()) for _ in range(_REPETITIONS)]
    ratios = [ours.seconds / bare.seconds for ours, bare in runs]
    ours, bare = middle(runs, ratios)
    yield Line(WORK, AGAINST, TIME, ratios, f"{ours.seconds:.2f} s; peer {bare.seconds:.2f} s")
    ratios = [ours.memory / bare.memory for ours, bare in runs]
    ours, bare = middle(runs, ratios)
    yield Line(_MEMORY, AGAINST, MEMORY, ratios, f"{ours.memory:.0f} MiB; peer {bare.memory:.0f} MiB")


def _serve(folder: Path, truth: Truth) -> _Started:
    """Return the seconds until /readyz answers 200, and the resident MiB of the web process in use."""
    start = time.perf_counter()
    with running(["app.cli.main", "serve"], folder, {}) as service:
        service.wait_until_ready()
        seconds = time.perf_counter() - start
        check_scores(service, truth, score_paths(truth)[:_USERS])
        for user in list(truth.posteriors)[:_USERS]:
            answer = service.http.get(f"/v1/catalogs/{CATALOG}/users/{user}/recommendations?limit={_LIMIT}")
            check(answer.is_success)
            movies, logits = truth.best(user, _LIMIT)
            result = answer.json()["scores"]
            check([one["movie"] for one in result] == movies)
            check(all(abs(one["logit"] - right) < _CLOSE for one, right in zip(result, logits, strict=True)))
        return _Started(seconds, _resident(service.process.pid))


def _import_torch() -> _Started:
    """Return the seconds until torch is imported, and the resident MiB of the process."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", _TORCH], stdin=-1, stdout=-1) as process:  # noqa: S603 - our own command
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("both are pipes")
        process.stdout.readline()
        seconds = time.perf_counter() - start
        memory = _resident(process.pid)
        process.stdin.close()
        process.wait()
    return _Started(seconds, memory)


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / _MEBIBYTE
