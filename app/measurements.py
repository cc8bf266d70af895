"""What the service measures of itself: requests by route, and the queue. Does not know who reads it.

With several web processes each counts its own requests.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import Connection, func, select

from app.tables import Training


class Measurements:
    """The numbers behind /metrics, of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "likely_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "likely_request_seconds",
            "Time to the start of the answer",
            ["method", "route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self.trainings = Gauge("likely_trainings", "Trainings by status", ["status"], registry=self.registry)

    def count_turned_away(self, method: str) -> None:
        """Count a request that was refused before anything looked at it."""
        self.requests.labels(method, "none", 503).inc()

    def count_trainings(self, connection: Connection) -> None:
        """Read the numbers of trainings anew."""
        counted = connection.execute(select(Training.status, func.count()).group_by(Training.status))
        found = {row[0]: row[1] for row in counted}
        for status in ("queued", "running", "succeeded", "failed", "cancelled"):
            self.trainings.labels(status).set(found.get(status, 0))
