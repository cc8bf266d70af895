"""Requests are begun as the settings allow: so many of a kind from one client in a while."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.web.auth.api_keys import Scope, create_key
from app.web.auth.tokens import make_token
from app.web.limits import kind_of
from tests.support.requests.classroom import CLASS
from tests.support.requests.refusals import check_problem

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
    answer = limited.get("/v1/catalogs")
    assert answer.status_code == 429
    assert check_problem(answer)["type"] == "urn:likely:problem:too-many-requests"
    assert 990 < int(answer.headers["retry-after"]) <= 1000


def test_kinds_are_counted_apart_and_refusals_too(limited: TestClient) -> None:
    limited.get("/v1/catalogs")
    assert [limited.delete("/v1/catalogs/none").status_code for _ in range(3)] == [404, 404, 429]
    assert [limited.post("/v1/compute/none").status_code for _ in range(2)] == [404, 429]
    assert [limited.post(f"{CLASS}/trainings").status_code for _ in range(2)] == [422, 429]
    assert {limited.get(path).status_code for path in ("/livez", "/metrics", "/")} == {200}


def test_keys_are_counted_apart(limited: TestClient, database: Database) -> None:
    with database.writing() as connection:
        keys = [create_key(connection, "test", {Scope.READ}, None) for _ in range(2)]
    for key in keys:
        headers = {"Authorization": f"Bearer {key}"}
        assert [limited.get("/v1/catalogs", headers=headers).status_code for _ in range(2)] == [200, 429]
    assert [limited.get("/v1/catalogs").status_code for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("there_are_keys", [False, True])
def test_what_is_no_key_makes_nobody_another_client(
    limited: TestClient, database: Database, *, there_are_keys: bool
) -> None:
    with database.writing() as connection:
        if there_are_keys:
            create_key(connection, "test", {Scope.READ}, None)
    sent = ["Bearer one", "Bearer two", f"Bearer {make_token()}", "Basic three"]
    found = [limited.get("/v1/catalogs", headers={"Authorization": each}).status_code for each in sent]
    assert found == [401 if there_are_keys else 200, 429, 429, 429]


def test_nothing_is_counted_by_default(client: TestClient) -> None:
    assert {client.get("/v1/catalogs").status_code for _ in range(50)} == {200}
