"""Requests are begun as the settings allow: so many at once, and so many of a kind from one client."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from app import catalogs
from app.main import create_app
from app.routes.admission import kind_of
from app.settings import Settings
from tests.routes.classroom import CLASS
from tests.routes.refusals import check_problem

LIMITED = {
    "scores_a_second": 0.001,
    "writes_a_second": 0.002,
    "compute_a_second": 0.001,
    "trainings_a_second": 0.001,
    "burst_seconds": 1000.0,
}


@pytest.fixture
def limited(settings: Settings) -> Iterator[TestClient]:
    """A client that may do one of each kind, and two writes."""
    with TestClient(create_app(settings.model_copy(update=LIMITED))) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1/catalogs", "scores"),
        ("GET", f"{CLASS}/users/0/scores", "scores"),
        ("POST", f"{CLASS}/scores", "scores"),
        ("POST", f"{CLASS}/scores:preview", "scores"),
        ("PUT", f"{CLASS}/users/0/responses/scores", "writes"),
        ("DELETE", CLASS, "writes"),
        ("POST", f"{CLASS}/movies:import", "writes"),
        ("PUT", f"{CLASS}/serving", "writes"),
        ("POST", f"{CLASS}/trainings", "trainings"),
        ("POST", f"{CLASS}/trainings/1:cancel", "trainings"),
        ("POST", "/v1/compute/tensor", "compute"),
        ("GET", "/livez", None),
        ("GET", "/", None),
    ],
)
def test_every_request_is_of_one_kind(method: str, path: str, kind: str | None) -> None:
    assert kind_of(method, path) == kind


def test_a_client_that_asks_for_too_much_is_told_when_to_come_back(limited: TestClient) -> None:
    assert limited.get("/v1/catalogs").status_code == 200
    refused = limited.get("/v1/catalogs")
    assert refused.status_code == 429
    assert check_problem(refused)["type"] == "urn:likely:problem:too-many-requests"
    assert 990 < int(refused.headers["retry-after"]) <= 1000


def test_kinds_are_counted_apart_and_refusals_too(limited: TestClient) -> None:
    limited.get("/v1/catalogs")
    assert [limited.delete("/v1/catalogs/none").status_code for _ in range(3)] == [404, 404, 429]
    assert [limited.post("/v1/compute/none").status_code for _ in range(2)] == [404, 429]
    assert [limited.post(f"{CLASS}/trainings").status_code for _ in range(2)] == [422, 429]
    assert {limited.get(path).status_code for path in ("/livez", "/metrics", "/")} == {200}


def test_keys_are_counted_apart(limited: TestClient) -> None:
    for key in ("one", "two"):
        headers = {"Authorization": f"Bearer {key}"}
        assert [limited.get("/v1/catalogs", headers=headers).status_code for _ in range(2)] == [200, 429]
    assert limited.get("/v1/catalogs").status_code == 200


def test_nothing_is_counted_by_default(client: TestClient) -> None:
    assert {client.get("/v1/catalogs").status_code for _ in range(50)} == {200}


def test_what_is_more_than_can_be_begun_is_refused_and_what_was_begun_is_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, found = threading.Semaphore(0), threading.Event(), catalogs.list_catalogs

    def wait(*arguments: object) -> object:
        begun.release()
        go_on.wait(30)
        return found(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(catalogs, "list_catalogs", wait)
    narrow = settings.model_copy(update={"requests_at_once": 2})
    with TestClient(create_app(narrow)) as client, ThreadPoolExecutor(2) as others:
        waiting = [others.submit(client.get, "/v1/catalogs") for _ in range(2)]
        for _ in waiting:
            begun.acquire(timeout=30)
        refused = client.get("/v1/catalogs")
        probed = [client.get(path).status_code for path in ("/livez", "/readyz", "/metrics")]
        go_on.set()
        answered = [each.result().status_code for each in waiting]
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"] == "urn:likely:problem:overloaded"
        assert (probed, answered) == ([200] * 3, [200] * 2)
        assert client.get("/v1/catalogs").status_code == 200
