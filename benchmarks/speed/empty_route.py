"""The application with one more route, which does nothing: what HTTP, uvicorn and FastAPI take by themselves.

    python -m benchmarks.speed.empty_route [PROCESSES [FACTORY]]      # settings as for `likely serve`

Served as `likely serve` serves, but with no worker beside it. The route is as cheap as FastAPI lets one be:
it has no parameters and runs on the event loop. Does not know what is measured beside it.
"""

import sys

import uvicorn
from fastapi import FastAPI

from app.cli.main import server_options
from app.main import create_app_from_environment
from app.scoring import fast_scores
from app.settings import Settings

PATH = "/empty"


def create_app() -> FastAPI:
    """Return the real application, with the route."""
    app = create_app_from_environment()
    app.add_api_route(PATH, answer_nothing)
    return app


def create_forgetful_app() -> FastAPI:
    """Return the same, but no user is remembered from one request to the next."""
    fast_scores._CACHED_BYTES = 0  # noqa: SLF001 - no user of a real service needs it
    return create_app()


async def answer_nothing() -> dict[str, bool]:
    """Answer a constant."""
    return {"empty": True}


if __name__ == "__main__":
    processes, factory = [*sys.argv[1:], *("1", "create_app")[len(sys.argv) - 1 :]]
    options = server_options(Settings()) | {"workers": int(processes)}
    uvicorn.run(f"benchmarks.speed.empty_route:{factory}", factory=True, **options)
