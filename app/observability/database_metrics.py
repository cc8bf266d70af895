"""Prometheus metrics read from the database at each scrape: the queue, running trainings, stale catalogs.

They are the same from each process and host, so a sum over several would count twice.
"""

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import Connection, Row, func, select

from app.database.database import Database, now
from app.database.tables import Catalog, Training
from app.errors import Unavailable

STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
MOST_SHOWN = 16  # trainings that run at once: each is a label

_Running = Row[int, int, float | None, float | None, float | None]


def read_database_metrics(database: Database, lease_seconds: float) -> list[Metric]:
    """Return the metrics; of a database that does not answer, only that it is down."""
    up = GaugeMetricFamily("likely_database_up", "Whether the database answered just now")
    try:
        with database.reading() as connection:
            metrics = [*_queue(connection), *_running(connection, lease_seconds), _stale_catalogs(connection)]
    except Unavailable:
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *metrics]


def _queue(connection: Connection) -> Iterator[Metric]:
    rows = connection.execute(select(Training.status, func.count()).group_by(Training.status))
    counts = {row[0]: row[1] for row in rows}
    trainings = GaugeMetricFamily("likely_trainings", "Trainings by status", labels=["status"])
    for status in STATUSES:
        trainings.add_metric([status], counts.get(status, 0))
    yield trainings
    age = connection.scalar(select(now() - func.min(Training.created_at)).where(Training.status == "queued"))
    oldest = "How long the oldest training has waited in the queue; 0 when none waits"
    yield _gauge("likely_queue_oldest_seconds", oldest, max(0.0, age or 0.0))


def _running(connection: Connection, lease_seconds: float) -> Iterator[Metric]:
    """Yield how far trainings are, numbered from the one that runs longest: ids would have no end."""
    rows = connection.execute(
        select(
            Training.steps_done,
            Training.steps_total,
            Training.loss,
            now() - Training.started_at,
            now() - Training.lease_until,
        )
        .where(Training.status == "running")
        .order_by(Training.started_at, Training.id)
    ).all()
    visible = rows[:MOST_SHOWN]
    yield _gauge_by_training(
        "likely_training_steps_done", "Steps that a running training has done", visible, 0
    )
    yield _gauge_by_training("likely_training_steps_total", "Steps that it does at most", visible, 1)
    yield _gauge_by_training("likely_training_loss", "Its loss after the last of them", visible, 2)
    yield _gauge_by_training("likely_training_seconds", "How long it has been running", visible, 3)
    silent = max((row[4] + lease_seconds for row in rows if row[4] is not None), default=0.0)
    heartbeat = "How long ago the most silent worker that trains renewed its lease; 0 when none trains"
    yield _gauge("likely_worker_heartbeat_age_seconds", heartbeat, max(0.0, silent))


def _stale_catalogs(connection: Connection) -> Metric:
    stale = connection.scalar(select(func.count()).where(Catalog.embeddings_behind))
    return _gauge(
        "likely_catalogs_behind", "Catalogs in which embeddings wait to be stored after bulk changes", stale
    )


def _gauge_by_training(name: str, meaning: str, rows: Sequence[_Running], column: int) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=["running"])
    for number, row in enumerate(rows, 1):
        if row[column] is not None:
            family.add_metric([str(number)], float(row[column] or 0))
    return family


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value or 0)
