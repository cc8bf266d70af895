"""/livez, /readyz, /metrics: what a supervisor and a dashboard ask. Never behind authentication."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.observability.database_metrics import read_readings
from app.resources import Resources
from app.web.parameters import FromApp

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
def read_readiness(app: FromApp) -> Ready:
    """Say that the database answers, and which library reads it."""
    app.database.check()
    return Ready(database=app.database.version)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics(app: FromApp) -> Response:
    """Show counts and durations of requests, pools and the queue, as Prometheus text."""
    app.measurements.look()
    return Response(await run_in_threadpool(_show, app), media_type=CONTENT_TYPE_LATEST)


def _show(app: Resources) -> bytes:
    return app.measurements.show(read_readings(app.database, app.settings.lease_seconds))
