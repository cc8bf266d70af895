"""/livez, /readyz and /metrics, for supervisors and dashboards; without authentication."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.observability.database_metrics import read_database_metrics
from app.web.parameters import FromDatabase, FromMetrics, FromSettings

router = APIRouter(tags=["probes"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The database answers, and this is what runs."""

    status: str = "ready"
    database: str


@router.get("/livez")
async def read_liveness() -> Alive:
    """Say that the process answers; looks at nothing else."""
    return Alive()


@router.get("/readyz")
def read_readiness(database: FromDatabase) -> Ready:
    """Say that the database answers, and which library reads it."""
    database.check()
    return Ready(database=database.version)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics(settings: FromSettings, database: FromDatabase, metrics: FromMetrics) -> Response:
    """Show counts and durations of requests, pools and the queue, as Prometheus text."""
    metrics.sample()
    text = await run_in_threadpool(
        lambda: metrics.render(read_database_metrics(database, settings.lease_seconds))
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)
