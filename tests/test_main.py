"""The start and the end of the application: whatever was opened is closed, whichever step fails."""

import asyncio
from collections.abc import Callable

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from app.web.auth.api_keys import OpenToAllError

READERS = ["authenticator", "fast_scores", "database"]
CLOSED_LAST_OPENED_FIRST = ["compute", "drawing", "importing", "notifications", *READERS]


def record_closings(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each part of the application is added when it is closed."""
    closings: list[str] = []

    def record(name: str, close: Callable[[], object]) -> Callable[[], object]:
        def close_and_record() -> object:
            closings.append(name)
            return close()

        return close_and_record

    for name in CLOSED_LAST_OPENED_FIRST:
        part = getattr(app.state, name)
        monkeypatch.setattr(part, "close", record(name, part.close))
    return closings


def run(app: FastAPI) -> None:
    """Start the application and stop it."""

    async def start_and_stop() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(start_and_stop())


def fail() -> None:
    raise RuntimeError("planned")


def test_the_end_closes_what_the_start_opened_in_the_opposite_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)
    closings = record_closings(app, monkeypatch)
    run(app)
    assert closings == CLOSED_LAST_OPENED_FIRST


def test_a_start_that_is_refused_closes_the_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings.model_copy(update={"host": "0.0.0.0"}))  # noqa: S104 - nothing listens
    closings = record_closings(app, monkeypatch)
    with pytest.raises(OpenToAllError):
        run(app)
    assert closings == READERS


@pytest.mark.parametrize("part", ["notifications", "importing", "drawing", "compute"])
def test_a_start_that_fails_half_way_closes_what_it_opened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    app = create_app(settings)
    closings = record_closings(app, monkeypatch)
    monkeypatch.setattr(getattr(app.state, part), "open", fail)
    with pytest.raises(RuntimeError, match="planned"):
        run(app)
    assert closings == CLOSED_LAST_OPENED_FIRST[CLOSED_LAST_OPENED_FIRST.index(part) :]


@pytest.mark.parametrize("part", CLOSED_LAST_OPENED_FIRST)
def test_a_closing_that_fails_leaves_nothing_else_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    app = create_app(settings)
    close = getattr(app.state, part).close

    def close_and_fail() -> None:
        if asyncio.iscoroutinefunction(close):
            asyncio.get_running_loop().create_task(close())
        else:
            close()
        fail()

    monkeypatch.setattr(getattr(app.state, part), "close", close_and_fail)
    closings = record_closings(app, monkeypatch)
    with pytest.raises(RuntimeError, match="planned"):
        run(app)
    assert closings == CLOSED_LAST_OPENED_FIRST
