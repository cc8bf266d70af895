"""The application, wired: settings, database, middleware, routes. The table of contents of the service."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import torch
from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from sqlalchemy import QueuePool
from starlette.middleware import Middleware

from app.catalogs import routes as catalogs
from app.catalogs.imports import routes as imports
from app.catalogs.imports.process import ImportLimits, make_import_pool
from app.compute import routes as compute
from app.compute.inputs import ComputeLimits
from app.compute.process import ComputePool, make_compute_pool
from app.database.notifications import Notifications
from app.database.urls import open_database
from app.observability.logs import configure_logs
from app.observability.metrics import Connections, ServiceMetrics, Threads
from app.observability.tracing import Tracing, span
from app.plots import routes as plots
from app.plots.drawing import DrawingPool, make_drawing_pool
from app.processes.garbage_collection import use_single_malloc_arena
from app.scoring import routes as scoring
from app.scoring.fast_scores import FastScores
from app.scoring.memory import Memory
from app.scoring.model_cache import TrainedModels
from app.scoring.movie_index import MovieIndexes
from app.settings import Settings
from app.training import routes as training
from app.training.supervisor import end_with_parent
from app.web import probes
from app.web.auth.api_keys import Authenticator, check_not_open
from app.web.console import routes as console
from app.web.limits import BodyLimits, RateLimits, Slots, WriterQueue
from app.web.middleware import (
    BugMiddleware,
    CrossOrigin,
    MetricsMiddleware,
    RequestHeaderChecks,
    RequestIdMiddleware,
    ResponseHeadersMiddleware,
    TracingMiddleware,
)
from app.web.parameters import refuse_unknown_parameters
from app.web.problems import RESPONSES, handle_problems
from app.web.server import LOAD_SHEDDING, LoadShedding

# A request is matched with one after the other: the most frequent routes come first.
ROUTERS = [
    scoring.router,
    scoring.responses_router,
    catalogs.router,
    training.serving_router,
    imports.router,
    catalogs.movies_router,
    catalogs.users_router,
    scoring.users_router,
    training.router,
    plots.trainings_router,
    plots.router,
    compute.router,
    compute.plots_router,
    probes.router,
]

# The order in which /docs shows them, from what is made first to what only reads.
_TAGS = [
    "catalogs",
    "imports",
    "movies",
    "responses",
    "users",
    "scores",
    "trainings",
    "plots",
    "compute",
    "probes",
]

# Seconds: a client that waits for readiness is answered before these processes take both cores.
_WARM_AFTER = 0.2

# FastAPI's own names paths in spans and sends what exceptions say; `app.observability.tracing` does neither.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

# Another process that answers a scrape shows the last sample of this one.
_SAMPLE_SECONDS = 1.0

# More would not compute more in parallel, and make the event loop wait for the GIL: load would be shed late.
_THREADS = 4

_WRITERS = 1  # the database has one writer at a time: a second would only hold a thread


def create_app(settings: Settings, *, warm: bool = False, tracing: Tracing | None = None) -> FastAPI:
    """Return the application for these settings; a new database is migrated when it starts.

    ``warm`` starts the processes that compute and draw soon after it, not when a request needs one;
    ``tracing`` gets a span of each request.
    """
    # What the application has.
    database = open_database(settings.database_url, settings.busy_seconds, trace=span)
    metrics, notifications = ServiceMetrics(), Notifications(database)
    streams, writers = Slots(settings.streams, "event streams"), WriterQueue(_WRITERS, settings.busy_seconds)
    authenticator = Authenticator(database, settings.host)
    models = TrainedModels(Memory.of(settings), MovieIndexes(settings.index_movies))
    fast_scores = FastScores(database, models)
    compute_pool = make_compute_pool(
        settings.compute_processes, settings.compute_waiting, ComputeLimits.of(settings)
    )
    drawing_pool = make_drawing_pool(
        settings.drawing_processes, settings.drawing_waiting, settings.drawing_seconds
    )
    import_pool = make_import_pool(
        settings.import_processes, settings.import_seconds, ImportLimits.of(settings)
    )

    # How it starts and ends.
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, LoadShedding]]:
        torch.set_num_threads(1)  # requests are small and many; they share the cores as they come
        threads = to_thread.current_default_thread_limiter()
        threads.total_tokens = _THREADS
        metrics.watch(
            {
                "compute": compute_pool,
                "drawing": drawing_pool,
                "imports": import_pool,
                "threads": Threads(threads),
                "writers": writers,
                "streams": streams,
            }
        )
        if isinstance(database.engine.pool, QueuePool):
            metrics.watch({"connections": Connections(database.engine.pool)})
        # The stack closes in the opposite order, also when the start fails or a closing raises.
        async with AsyncExitStack() as stack:
            if tracing is not None:
                stack.callback(tracing.close)
            for reader in (database, fast_scores, authenticator):
                stack.callback(reader.close)
            database.migrate()
            check_not_open(database, settings.host)
            stack.callback(notifications.close)
            notifications.open()
            for pool in (import_pool, drawing_pool, compute_pool):
                stack.push_async_callback(pool.close)
                pool.open()
            if warm:
                loop = asyncio.get_running_loop()
                stack.callback(loop.call_later(_WARM_AFTER, _warm, compute_pool, drawing_pool).cancel)
            if metrics.shared:
                stack.callback(asyncio.create_task(_sample_regularly(metrics)).cancel)
            yield {LOAD_SHEDDING: LoadShedding(settings, streams, metrics)}

    # What a request passes on its way to a handler.
    app = FastAPIOffline(
        title="Likely",
        summary="Learns what each person likes and serves like-scores.",
        version="0.1.0",
        openapi_tags=[{"name": tag} for tag in _TAGS],
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        responses=RESPONSES,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(RequestIdMiddleware),
            *([] if tracing is None else [Middleware(TracingMiddleware, tracing=tracing)]),
            Middleware(MetricsMiddleware, metrics=metrics),
            Middleware(ResponseHeadersMiddleware, settings=settings),
            *([Middleware(CrossOrigin, settings=settings)] if settings.cors_origins else []),
            Middleware(RequestHeaderChecks, settings=settings),
            Middleware(RateLimits, settings=settings),
            Middleware(BodyLimits, settings=settings),
            Middleware(BugMiddleware),
        ],
    )
    # What handlers take by `from_app`.
    state = {
        "settings": settings,
        "database": database,
        "metrics": metrics,
        "notifications": notifications,
        "streams": streams,
        "writers": writers,
        "authenticator": authenticator,
        "models": models,
        "fast_scores": fast_scores,
        "fast_answers": Counter[str](),  # requests that the fast path answered, by the route's name
        "compute": compute_pool,
        "drawing": drawing_pool,
        "importing": import_pool,
    }
    for name, part in state.items():
        setattr(app.state, name, part)
    # What answers.
    handle_problems(app)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(refuse_unknown_parameters)])
    app.include_router(console.router)
    return app


def create_app_from_environment() -> FastAPI:
    """Return the application for the settings in the environment; what web processes start from."""
    use_single_malloc_arena()
    settings = Settings()
    configure_logs(settings.log_level)
    if settings.web_processes > 1:  # each is a child of `likely serve`, which may be killed
        end_with_parent()
    app = create_app(settings, warm=True, tracing=Tracing.of_environment())
    gc.freeze()  # a full collection of what exists now takes 0.1 s
    return app


async def _sample_regularly(metrics: ServiceMetrics) -> None:
    while True:
        metrics.sample()
        await asyncio.sleep(_SAMPLE_SECONDS)


def _warm(compute: ComputePool, drawing: DrawingPool) -> None:
    compute.warm()
    drawing.warm()
