"""/livez, /readyz, /metrics: what a supervisor and a dashboard ask. Never behind authentication."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.routes.parameters import FromApp

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
def read_metrics(app: FromApp) -> Response:
    """Show counts and durations of requests, and the queue, as Prometheus text."""
    with app.database.reading() as connection:
        app.measurements.count_trainings(connection)
    return Response(generate_latest(app.measurements.registry), media_type=CONTENT_TYPE_LATEST)
