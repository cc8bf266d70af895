"""What several test files start from: an empty database, the application on it, the class catalog."""

import gc
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi.dependencies import models as fastapi_models
from fastapi.testclient import TestClient
from schemathesis.pytest.plugin import SchemathesisFunction

from app.cli.demo import load_class
from app.database.database import Database
from app.database.urls import open_database
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from testbed.databases import POSTGRESQL, migrated_url, url_for
from tests.support.command_line import Run, make_run
from tests.support.documents.checkout import ROOT
from tests.support.requests.classroom import CLASS, train
from tests.support.requests.refusals import Refusing

gc.disable()  # until all is imported and collected: looks for garbage would take a sixth of that

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))  # as a service does

# The name that Starlette's test client calls a service by, beside this machine's.
os.environ.setdefault("LIKELY_TRUSTED_HOSTS", "testserver, localhost, 127.0.0.1, [::1]")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give schemathesis's tests an id each: they share one, and pytest-xdist takes them for one test."""
    if isinstance(item, SchemathesisFunction):
        # pytest reads an item's id when it makes the item, and has no other way to set it.
        item._id = item._id.with_params(item.operation_label)  # noqa: SLF001


# Who asks for one of these keeps something in a database.
_KEEPING = {"settings", "likely", "unmigrated"}

# Requests that are answered, or refused, before anything is asked of a database, and what takes long besides.
_ELSEWHERE = re.compile(
    r"tests/(browser|compute|plots|models|web/console)/"
    r"|test_(cors|headers|openapi|schemathesis|rate_limits|connections|overload|readme|makefile|class_tour|logs|cluster)|benchmarks/"
)

# Files of few tests that take long: they begin first, so that no core waits for the other at the end.
_LONG = re.compile(r"browser/|test_(image|makefile|readme|operations|durability)|benchmarks/test_accuracy")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Read no file on PostgreSQL of which nothing runs there; reading makes requests up for seconds."""
    name = collection_path.relative_to(ROOT).as_posix()
    return True if POSTGRESQL and collection_path.is_file() and _ELSEWHERE.search(name) else None


def pytest_collection_finish() -> None:
    """Leave what was collected, millions of objects that stay, out of every later look for garbage.

    And look at the oldest a tenth as often: what lives long here are applications, a test each.
    """
    gc.collect()
    gc.freeze()
    youngest, middle, oldest = gc.get_threshold()
    gc.set_threshold(youngest, middle, 10 * oldest)
    gc.enable()


# What FastAPI remembers of each function that it calls; some hold their application.
_REMEMBERED = [kept for kept in vars(fastapi_models).values() if hasattr(kept, "cache_clear")]


@pytest.fixture(scope="module", autouse=True)
def _applications_go() -> Iterator[None]:
    """Let a file's applications go with it: the collector went through hundreds of them again and again."""
    yield
    for remembered in _REMEMBERED:
        remembered.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL run again what keeps something in a database, but what is about SQLite's files."""
    chosen = [
        item
        for item in items
        if not item.get_closest_marker("sqlite" if POSTGRESQL else "postgresql")
        and (
            not POSTGRESQL
            or item.get_closest_marker("databases")
            or _KEEPING & set(getattr(item, "fixturenames", ()))
        )
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: not _LONG.search(item.nodeid))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for a database of this test's own; quick to look, quick to give up."""
    return Settings(
        database_url=migrated_url(tmp_path), poll_seconds=0.01, busy_seconds=5, import_processes=0
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty, migrated database."""
    database = open_database(settings.database_url, settings.busy_seconds)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of the application on the database of `settings`. No worker runs beside it: see `worker`."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def worker(settings: Settings, database: Database) -> Worker:
    """A worker to call `run_next` on, in the test's own thread."""
    return Worker(database, settings, name="test")


@pytest.fixture
def class_catalog(database: Database) -> str:
    """The class catalog, stored and not trained; its id."""
    with database.writing() as connection:
        load_class(connection)
    return "class"


@pytest.fixture(scope="module")
def little_to_look_at() -> None:
    """Leave what is alive out of the looks for garbage that follow each command: there are dozens of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def likely(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    little_to_look_at: None,  # noqa: ARG001 - for what it does
) -> Run:
    """Run a command in this process, on a database in a folder of this test."""
    return make_run(tmp_path, monkeypatch, capsys)


@pytest.fixture
def trained(client: TestClient, worker: Worker, class_catalog: str) -> str:
    """The class catalog, trained as published; its path."""
    assert train(client, worker)["status"] == "succeeded"
    return f"/v1/catalogs/{class_catalog}"


@pytest.fixture(scope="session")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    """One service with the class catalog, trained, for all tests of refusals: they must store nothing."""
    folder = tmp_path_factory.mktemp("refusing")
    settings = Settings(
        database_url=url_for(folder),
        max_body_bytes=1_000_000,
        compute_body_bytes=1_000_000,
    )
    database = open_database(settings.database_url)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        with database.writing() as connection:
            load_class(connection)
        train(client, Worker(database, settings, name="test"), CLASS, options={"epochs": 30})
        refusing = Refusing(client, database)
        yield refusing
        refusing.close()
    database.close()


@pytest.fixture(scope="session")
def published(refusing: Refusing) -> TestClient:
    """A client of the same service, for tests that only read."""
    return refusing.client
