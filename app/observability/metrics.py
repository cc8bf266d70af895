"""Prometheus metrics of a web process: requests, scores, refusals, pools.

Several web processes of one `likely serve` write into one folder, by prometheus-client's multiprocess mode,
so that each of them answers a scrape for all; `PROMETHEUS_MULTIPROC_DIR` names the folder, and the library
reads it when it is imported. No label holds text of a caller.
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

# Refusals: problems that pass if the client comes back later. By their types in `app.errors`.
REFUSALS: Mapping[str, str] = {
    "overloaded": "overload",
    "too-many-requests": "rate",
    "busy": "writes",
    "storage-full": "storage",
    "unavailable": "database",
}


class Pool(Protocol):
    """Slots that work takes, and work that waits for one; None where waiting work is not counted."""

    @property
    def slots(self) -> int:
        """How many there are."""

    @property
    def busy(self) -> int:
        """How many are taken."""

    @property
    def waiting(self) -> int | None:
        """How many wait for one."""


class Threads:
    """The threads of the web process, as a pool."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter = limiter

    @property
    def slots(self) -> int:
        """How many there are at most."""
        return int(self._limiter.total_tokens)

    @property
    def busy(self) -> int:
        """How many are working."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return self._limiter.statistics().tasks_waiting


class Connections:
    """The engine's connections to the database, as a pool; a few more than its slots may be taken."""

    waiting = None

    def __init__(self, pool: QueuePool) -> None:
        self._pool = pool

    @property
    def slots(self) -> int:
        """How many are pooled."""
        return self._pool.size()

    @property
    def busy(self) -> int:
        """How many are checked out."""
        return self._pool.checkedout()


class ServiceMetrics:
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
        """Define the gauges: summed over the processes that run."""

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
        """Whether other processes answer scrapes for this one, and so need its gauges."""
        return self._folder is not None

    def watch(self, pools: Mapping[str, Pool]) -> None:
        """Add the gauges of these pools."""
        self._pools.update(pools)

    def sample(self) -> None:
        """Sample the gauges; on the event loop, whose pools these are."""
        for name, pool in self._pools.items():
            self._places.labels(name).set(pool.slots)
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
        """Count a problem by its type, if it is a refusal."""
        kind = REFUSALS.get(problem)
        if kind is not None:
            self.refusals.labels(kind).inc()

    def render(self, database_metrics: Iterable[Metric]) -> bytes:
        """Return all metrics, with these of the database, as Prometheus text."""
        registry = CollectorRegistry()
        if self._folder is None:
            registry.register(self.registry)
        else:
            _forget_dead_processes(Path(self._folder))
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]  # the library's
        registry.register(_DatabaseMetrics(database_metrics))
        return generate_latest(registry)


class _DatabaseMetrics(Collector):
    """The metrics read from the database for one answer, as a registry takes them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _forget_dead_processes(folder: Path) -> None:
    """Remove the gauges of processes that have ended; their counters stay."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):  # ended, and its number may be another user's by now
            with suppress(FileNotFoundError):  # a scrape at the same time was faster
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # the library's
