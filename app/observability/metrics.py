"""What a web process measures of itself: requests, scores, refusals, pools. Does not know who reads it.

Several web processes of one `likely serve` write into one folder, by prometheus-client's multiprocess mode,
so that whichever of them is asked answers for all; `PROMETHEUS_MULTIPROC_DIR` names the folder, and the
library looks for it when it is imported. No label holds what a caller made up. What the database knows is in
`app.observability.database_metrics`.
"""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SCORE_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_FRESHNESS_BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)

# Of the problems that callers can do nothing about but come back; by their types in `app.errors`.
REFUSALS: Mapping[str, str] = {
    "overloaded": "overload",
    "too-many-requests": "rate",
    "busy": "writes",
    "storage-full": "storage",
    "unavailable": "database",
}


class Pool(Protocol):
    """Places that work takes, and work that waits for one; None where nobody counts who waits."""

    @property
    def places(self) -> int:
        """How many there are."""

    @property
    def busy(self) -> int:
        """How many are taken."""

    @property
    def waiting(self) -> int | None:
        """How many wait for one."""


class Threads:
    """The web's threads, as a pool."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter = limiter

    @property
    def places(self) -> int:
        """How many there are at most."""
        return int(self._limiter.total_tokens)

    @property
    def busy(self) -> int:
        """How many do something."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return self._limiter.statistics().tasks_waiting


class Connections:
    """The engine's connections to the database, as a pool; a few more than it has places may be taken."""

    waiting = None

    def __init__(self, pool: QueuePool) -> None:
        self._pool = pool

    @property
    def places(self) -> int:
        """How many are kept."""
        return self._pool.size()

    @property
    def busy(self) -> int:
        """How many are lent."""
        return self._pool.checkedout()


class Measurements:
    """The numbers behind /metrics, of one application."""

    def __init__(self) -> None:
        self._folder = os.environ.get(FOLDER)
        self._pools: dict[str, Pool] = {}
        self._started = time.time()
        self.registry = CollectorRegistry()
        self._define_requests()
        self._define_process()

    def _define_requests(self) -> None:
        self.requests = Counter(
            "likely_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "likely_request_seconds",
            "Time to the start of the answer",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self.scores = Histogram(
            "likely_score_seconds",
            "Time to the start of the answer of requests for scores that got them",
            ["kind"],
            buckets=_SCORE_BUCKETS,
            registry=self.registry,
        )
        self.freshness = Histogram(
            "likely_freshness_seconds",
            "From the arrival of a response put by itself until its embedding is committed, for all to read",
            buckets=_FRESHNESS_BUCKETS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "likely_refusals", "Requests refused that may come back later", ["kind"], registry=self.registry
        )
        for kind in REFUSALS.values():
            self.refusals.labels(kind)

    def _define_process(self) -> None:
        """Define what is looked up; of several processes the sum, without those that have ended."""

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            mode = "livemax" if name.endswith("start_time_seconds") else "livesum"
            return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # one of its literals

        self._places = gauge("likely_pool_places", "Places of a pool", "pool")
        self._busy = gauge("likely_pool_busy", "Places of a pool that are taken", "pool")
        self._waiting = gauge("likely_pool_waiting", "What waits for a place of a pool", "pool")
        self._processes = gauge("likely_web_processes", "Web processes that run")
        self._memory = gauge("likely_web_memory_bytes", "Resident memory of the web processes")
        self._newest = gauge("likely_web_start_time_seconds", "When the youngest web process started")

    @property
    def shared(self) -> bool:
        """Whether other processes answer for this one, and so need to know what it would look up."""
        return self._folder is not None

    def watch(self, pools: Mapping[str, Pool]) -> None:
        """Show the use of these pools from now on."""
        self._pools.update(pools)

    def look(self) -> None:
        """Look up what is not counted as it happens; on the event loop, whose pools these are."""
        for name, pool in self._pools.items():
            self._places.labels(name).set(pool.places)
            self._busy.labels(name).set(pool.busy)
            if pool.waiting is not None:
                self._waiting.labels(name).set(pool.waiting)
        self._processes.set(1)
        self._newest.set(self._started)
        with suppress(OSError):  # no Linux
            resident = Path("/proc/self/statm").read_text().split()[1]
            self._memory.set(int(resident) * os.sysconf("SC_PAGE_SIZE"))

    def count_shed(self, method: str) -> None:
        """Count a request that was refused by load shedding."""
        self.requests.labels(method, "none", 503).inc()
        self.refusals.labels("overload").inc()

    def count_refusal(self, problem: str) -> None:
        """Count a problem by its type, if it is one of those to come back after."""
        kind = REFUSALS.get(problem)
        if kind is not None:
            self.refusals.labels(kind).inc()

    def show(self, readings: Iterable[Metric]) -> bytes:
        """Return all numbers and these readings as Prometheus text."""
        registry = CollectorRegistry()
        if self._folder is None:
            registry.register(self.registry)
        else:
            _forget_ended(Path(self._folder))
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]  # the library's
        registry.register(_Readings(readings))
        return generate_latest(registry)


class _Readings(Collector):
    """What was read for one answer, as a registry takes it."""

    def __init__(self, readings: Iterable[Metric]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        return self._readings


def _forget_ended(folder: Path) -> None:
    """Remove what processes that have ended would still add to the present; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):  # ended, and its number may be another user's by now
            with suppress(FileNotFoundError):  # somebody who asks at the same time was faster
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # the library's
