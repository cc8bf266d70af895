"""No space and I/O errors: a clear answer, reads go on, and writes when it is over, without a restart."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response as Answer
from sqlalchemy import Engine, event

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from tests.support.requests.classroom import CLASS, train

pytestmark = pytest.mark.sqlite

RESPONSES = f"{CLASS}/responses:import"
CSV = {"content-type": "text/csv"}


class Pages:
    """How many pages the database may have, as a disk that is full at some point."""

    def __init__(self, engine: Engine) -> None:
        self.most = 2**30
        event.listen(engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.execute(f"PRAGMA max_page_count = {self.most}")


@pytest.fixture
def app_and_pages(settings: Settings) -> Iterator[tuple[TestClient, Pages]]:
    app = create_app(settings)
    pages = Pages(app.state.database.engine)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, pages


def rows(start: int, count: int) -> str:
    return "user,movie,response\n" + "".join(f"new{start + n},m0,1\n" for n in range(count))


def refused(answer: Answer, status: int, kind: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    return (answer.status_code, answer.json()["type"]) == (status, f"urn:likely:problem:{kind}")


def test_no_space_is_507_reads_go_on_and_writes_when_there_is_space_again(
    app_and_pages: tuple[TestClient, Pages], worker: Worker, class_catalog: str, database: Database
) -> None:
    client, pages = app_and_pages
    train(client, worker)
    with database.reading() as connection:
        pages.most = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    before = client.get(f"/v1/catalogs/{class_catalog}").json()
    assert refused(client.post(RESPONSES, content=rows(0, 2000), headers=CSV), 507, "storage-full")
    assert client.get(f"/v1/catalogs/{class_catalog}").json() == before, "nothing of it is stored"
    assert client.get(f"{CLASS}/users/0/scores").status_code == 200
    assert client.get("/readyz").status_code == 200
    pages.most = 2**30
    assert client.post(RESPONSES, content=rows(0, 2000), headers=CSV).json()["created"] == 2000


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let this process write no file beyond a size: the system says EFBIG then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_io_error_of_the_database_is_503_and_writes_go_on_after_it(
    client: TestClient, worker: Worker, trained: str, database: Database
) -> None:
    log = Path(f"{database.url.database}-wal")
    with files_up_to(log.stat().st_size // 2):
        put = client.put(f"{trained}/users/0/responses/m0", json={"response": 0.25})
        assert refused(put, 503, "unavailable")
        assert "disk I/O error" in put.json()["detail"]
        assert client.get(f"{trained}/users/0/scores").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"}).status_code == 503
    assert client.put(f"{trained}/users/0/responses/m0", json={"response": 0.5}).status_code == 200
    stored = client.get(f"{trained}/users/0/responses").json()["items"]
    assert {one["movie"]: one["response"] for one in stored}["m0"] == 0.5
    assert train(client, worker)["status"] == "succeeded"


@pytest.mark.parametrize("size", [0, 1000, 70_000])
def test_no_space_for_the_file_of_an_import_is_507(client: TestClient, trained: str, size: int) -> None:
    with files_up_to(size):
        answer = client.post(RESPONSES, content=rows(0, 8000), headers=CSV)
    assert refused(answer, 507, "storage-full")
    assert f"no space is left in {tempfile.gettempdir()}" in answer.json()["detail"]
    assert client.get(trained).json()["users"] == 3


def test_the_file_of_an_import_is_for_its_owner_only_and_gone_afterwards(
    client: TestClient, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.catalogs.imports import process
    from app.catalogs.imports import routes as import_routes

    spool = tmp_path / "spool"
    modes: list[int] = []
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    store = process.run_import

    def note(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - whatever it takes
        modes.extend(file.stat().st_mode & 0o777 for file in spool.iterdir())
        return store(*arguments, **options)

    monkeypatch.setattr(import_routes, "run_import", note)
    umask = os.umask(0)
    try:
        assert client.post(RESPONSES, content=rows(0, 3), headers=CSV).status_code == 200
    finally:
        os.umask(umask)
    assert modes == [0o600]
    assert list(spool.iterdir()) == []
    assert client.get(trained).json()["users"] == 6
