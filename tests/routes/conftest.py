"""What the tests of the HTTP surface start from, beside an empty service."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.cli.demo import load_class
from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from tests.databases import url_for
from tests.routes.classroom import CLASS, train
from tests.routes.refusals import Refusing


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
    database = Database(settings.database_url)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        with database.writing() as connection:
            load_class(connection)
        train(client, Worker(database, settings, name="test"), CLASS, options={"epochs": 30})
        yield Refusing(client, database)
    database.close()


@pytest.fixture(scope="session")
def published(refusing: Refusing) -> TestClient:
    """A client of the same service, for tests that only read."""
    return refusing.client
