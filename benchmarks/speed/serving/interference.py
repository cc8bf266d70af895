"""What a training and an import cost those who ask for scores meanwhile.

An open loop: requests begin at fixed times, however long those before them take, so that a service which
stands still for a while is charged for everybody who would have asked. It is one thread a request in this
process; the load is light, a hundred a second, because what is measured is waiting and not throughput. The
client shares the cores with everything. Does not know how scores are computed.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2

from benchmarks.speed.lines import Goal, Line, middle
from benchmarks.speed.served import CATALOG, QUIET, Truth, running, train_movielens
from benchmarks.speed.serving.scores import check_scores, score_paths
from benchmarks.speed.stopwatch import percentiles
from testbed.live import Service
from testbed.running import check, percentile

WORK = "`GET …/scores` of 5 named movies, p99, while a training and an import run"
AGAINST = "the same at rest"
GOAL = Goal("at most", 3, "times its time")
_A_SECOND, _SECONDS, _REPETITIONS, _CLIENTS = 100, 8, 5, 16
_IMPORTED = 400_000  # responses, an import after the other
_LONG = {
    "trainer": "gradient_descent",
    "seed": 1,
    "serve": False,
    "options": {"epochs": 100_000, "loss": "logistic", "optimizer": "adam"},
}


def measure(movielens: Path) -> Iterator[Line]:
    """Measure rest and work, one after the other, so many times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_movielens(movielens, folder)
        truth = Truth.of(folder)
        paths = score_paths(truth)
        with running(["app.cli.main", "serve"], folder, QUIET) as service:
            service.wait_until_ready()
            check_scores(service, truth, paths)
            _prepare_import(service)
            _latencies(service, paths)
            runs = []
            for _ in range(_REPETITIONS):
                rest = _latencies(service, paths)
                with _busy(service):
                    runs.append((rest, _latencies(service, paths)))
            check_scores(service, truth, paths)
    ratios = [percentile(busy, 99) / percentile(rest, 99) for rest, busy in runs]
    rest, busy = middle(runs, ratios)
    yield Line(WORK, AGAINST, GOAL, ratios, f"{percentiles(busy)}; at rest {percentiles(rest)}")


def _latencies(service: Service, paths: list[str]) -> list[float]:
    """Return the seconds from when each request was due until it was answered."""
    clients = threading.local()
    began = time.perf_counter() + 0.1

    def ask(number: int) -> float:
        if not hasattr(clients, "http"):
            clients.http = httpx2.Client(base_url=service.url, timeout=30)
        answer = clients.http.get(paths[number % len(paths)])
        check(answer.is_success)
        return time.perf_counter() - began - number / _A_SECOND

    with ThreadPoolExecutor(_CLIENTS) as pool:
        asked = []
        for number in range(_A_SECOND * _SECONDS):
            time.sleep(max(0.0, began + number / _A_SECOND - time.perf_counter()))
            asked.append(pool.submit(ask, number))
        return [one.result() for one in asked][_A_SECOND:]  # the first second opens connections


def _prepare_import(service: Service) -> None:
    check(service.http.put("/v1/catalogs/imported", json={"dimensions": []}).is_success)
    movies = "movie,title\n" + "".join(f"{movie},{movie}\n" for movie in range(1000))
    check(_import(service, "movies", movies.encode()).is_success)


def _import(service: Service, label: str, body: bytes) -> httpx2.Response:
    with httpx2.Client(base_url=service.url, timeout=120) as client:
        headers = {"Content-Type": "text/csv"}
        return client.post(f"/v1/catalogs/imported/{label}:import", content=body, headers=headers)


@contextmanager
def _busy(service: Service) -> Iterator[None]:
    """Let a training run, and one import after the other."""
    started = service.http.post(f"/v1/catalogs/{CATALOG}/trainings", json=_LONG).headers["location"]
    service.wait_for(started, "running")
    event = threading.Event()
    faults: list[str] = []
    rows = "".join(f"{row // 500},{row % 500},{row % 2}\n" for row in range(_IMPORTED))
    body = f"user,movie,response\n{rows}".encode()

    def import_all() -> None:
        while not event.is_set():
            answer = _import(service, "responses", body)
            if not answer.is_success:
                faults.append(answer.text)

    thread = threading.Thread(target=import_all)
    thread.start()
    time.sleep(0.5)
    try:
        yield
        check(service.training(started)["status"] == "running" and thread.is_alive())
    finally:
        event.set()
        thread.join()
        service.http.post(f"{started}:cancel")
        service.wait_for(started, "cancelled")
    check(not faults)
