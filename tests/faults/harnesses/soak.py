"""Everything at once for half an hour, and whether the service grows or keeps descriptors.

Scores, recommendations, responses, imports, trainings, computations, plots and event streams, of two small
catalogs that do not grow, so that what grows is the service. After a warm-up and at the end the load pauses,
and the memory (anonymous, of all of the service's processes) and the descriptors are looked at. Does not know
what an answer holds, only whether there was one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from app.settings import Settings
from testbed.live import Service, command_of, descendants_of, serving
from tests.faults.figures import Figure
from tests.support.stored import store_two_catalogs

_MINUTES = 30.0
_WARM_SHARE = 1 / 3
_PAUSE_SECONDS = 3.0
_PATIENCE_SECONDS = 120.0  # of a client: how fast answers come is not the question here
_MOST_GROWTH = 10.0  # MiB
_CLASS, _FILMS = "/v1/catalogs/class", "/v1/catalogs/films"
_CSV = {"content-type": "text/csv"}

Ask = Callable[[httpx2.Client, int], httpx2.Response]


def run(scale: float) -> list[Figure]:
    """Run so large a share of 30 minutes; a minute at least."""
    minutes = max(1.0, _MINUTES * scale)
    with TemporaryDirectory() as name:
        folder = Path(name)
        store_two_catalogs(Settings(database_url=f"sqlite:///{folder}/likely.db", poll_seconds=0.01))
        environment = {
            "LIKELY_LOG_LEVEL": "error",
            "LIKELY_COMPUTE_PROCESSES": "1",
            "LIKELY_DRAWING_PROCESSES": "1",
            "LIKELY_IMPORT_PROCESSES": "1",
        }
        with serving(folder, environment) as service:
            load = _Load(service.url)
            load.run_for(60 * minutes * _WARM_SHARE)
            before = _Looked.at(service)
            load.run_for(60 * minutes * (1 - _WARM_SHARE))
            after = _Looked.at(service)
    return [_figure(minutes, load, before, after)]


@dataclass
class _Load:
    """One client a kind of request, each asking again when it was answered, with a short rest."""

    url: str
    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def run_for(self, seconds: float) -> None:
        """Ask until so many seconds are over, then wait until nothing runs any more."""
        stop = threading.Event()
        began = time.monotonic()
        with ThreadPoolExecutor(len(_ASKS)) as threads:
            clients = [threads.submit(self._ask, kind, stop) for kind in _ASKS]
            wait(clients, seconds, FIRST_EXCEPTION)
            stop.set()
        self.seconds += time.monotonic() - began
        for client in clients:
            client.result()
        time.sleep(_PAUSE_SECONDS)

    def is_enough(self, minutes: float) -> bool:
        """Return whether the load was on for so long, and every kind was answered once a minute at least."""
        return self.seconds >= 60 * minutes and all(self.answered[kind] >= minutes for kind in _ASKS)

    def _ask(self, kind: str, stop: threading.Event) -> None:
        ask, rest = _ASKS[kind]
        with httpx2.Client(base_url=self.url, timeout=_PATIENCE_SECONDS) as http:
            while not stop.is_set():
                try:
                    answer = ask(http, self.answered[kind])
                except httpx2.TransportError as error:
                    self.failures.append(f"{kind}: {error}")
                    continue
                if not answer.is_success:
                    self.failures.append(f"{kind}: {answer.text}")
                self.answered[kind] += 1
                stop.wait(rest)


def _score(http: httpx2.Client, number: int) -> httpx2.Response:
    path = f"{_FILMS}/users/u{number % 4}/scores?movie=f0&movie=f1"
    return http.get(path + ("&include=interval,explanation" if number % 3 else ""))


def _recommend(http: httpx2.Client, number: int) -> httpx2.Response:
    return http.get(f"{_FILMS}/users/u{number % 4}/recommendations?limit=3")


def _respond(http: httpx2.Client, number: int) -> httpx2.Response:
    path = f"{_CLASS}/users/w{number % 20}/responses/m{number % 3}"
    return http.put(path, json={"response": number % 5 / 4})


def _import(http: httpx2.Client, number: int) -> httpx2.Response:
    rows = "".join(f"i{row},m{(row + number) % 3},{row % 2}\n" for row in range(200))
    return http.post(f"{_CLASS}/responses:import", content="user,movie,response\n" + rows, headers=_CSV)


def _train(http: httpx2.Client, number: int) -> httpx2.Response:
    """Train and follow the events to the end."""
    descent = number % 2 == 0
    path = _CLASS if descent else _FILMS
    options = {"epochs": 30} if descent else {"learned_dimensions": 2, "max_steps": 3}
    body = {"trainer": "gradient_descent" if descent else "mixed_effects", "seed": 1, "options": options}
    answer = http.post(f"{path}/trainings", json=body)
    return http.get(answer.headers["location"] + "/events") if answer.is_success else answer


def _compute(http: httpx2.Client, number: int) -> httpx2.Response:
    return http.post(
        "/v1/compute/tensor", json={"program": f"a = arange(25).reshape(5, 5)\na * {number % 7}"}
    )


def _plot(http: httpx2.Client, number: int) -> httpx2.Response:
    suffix = ("svg", "png", "vl.json")[number % 3]
    return http.get(f"{_FILMS}/plots/heatmap.{suffix}")


_ASKS: dict[str, tuple[Ask, float]] = {
    "scores": (_score, 0.01),
    "recommendations": (_recommend, 0.01),
    "responses": (_respond, 0.02),
    "imports": (_import, 0.5),
    "trainings with their events": (_train, 1.0),
    "computations": (_compute, 0.05),
    "plots": (_plot, 0.3),
}


@dataclass(frozen=True)
class _Looked:
    """Memory in MiB and descriptors of each process, by what it is."""

    memory: dict[str, float]
    descriptors: dict[str, int]

    @classmethod
    def at(cls, service: Service) -> "_Looked":
        """Look at the service and all processes that it started."""
        pids = {"web": service.process.pid}
        for pid in descendants_of(service.process.pid):
            pids[f"{_role(command_of(pid))} {pid}"] = pid
        return cls(
            {name: _anonymous(pid) for name, pid in pids.items()},
            {name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in pids.items()},
        )


def _role(command: str) -> str:
    return next(
        (role for role in ("compute", "drawing", "importing", "cli worker") if role in command), "other"
    )


def _anonymous(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _figure(minutes: float, load: _Load, before: _Looked, after: _Looked) -> Figure:
    growth = sum(after.memory.values()) - sum(before.memory.values())
    asked = ", ".join(f"{count:,} {kind}" for kind, count in load.answered.items())
    by_process = ", ".join(
        f"{name.rstrip('0123456789 ')} {after.memory[name] - before.memory.get(name, 0.0):+.1f}"
        for name in after.memory
    )
    kept = sum(after.descriptors.values()) - sum(before.descriptors.values())
    return Figure(
        what=f"{load.seconds / 60:.0f} of {_MINUTES:.0f} minutes of everything at once, the first "
        f"{_WARM_SHARE:.0%} to warm up: {asked}",
        asked="memory grows by at most 10 MiB, descriptors by none, nothing fails",
        found=f"{growth:+.1f} MiB of {sum(after.memory.values()):.0f} ({by_process}), "
        f"{kept:+d} descriptors of {sum(after.descriptors.values())}, {len(load.failures)} failures"
        + "".join(f"; {failure}" for failure in load.failures[:2]),
        held=load.is_enough(minutes)
        and growth <= _MOST_GROWTH
        and kept <= 0
        and not load.failures
        and before.memory.keys() == after.memory.keys(),
    )
