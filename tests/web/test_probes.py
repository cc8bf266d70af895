"""Probes: alive, ready, and numbers that Prometheus can read."""

import re

import pysqlite3.dbapi2
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.catalogs import users
from app.training.worker import Worker
from tests.support.requests.classroom import CLASS, train


def sample(client: TestClient, name: str, **labels: str) -> float | None:
    """Return the value of one sample of /metrics, None if there is none."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for family in text_string_to_metric_families(answer.text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    return None


def test_the_service_says_that_it_lives(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}


@pytest.mark.sqlite
def test_readiness_names_the_sqlite_that_runs(client: TestClient) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["database"] == f"SQLite {pysqlite3.dbapi2.sqlite_version}"
    version = tuple(map(int, re.findall(r"\d+", ready.json()["database"])))
    assert version >= (3, 51, 3), "older ones lose data under concurrent writers"


def test_requests_are_counted_by_route_method_and_status(client: TestClient, trained: str) -> None:
    route = "/v1/catalogs/{catalog}/movies/{movie}"
    for movie in ("m0", "m1", "nothing"):
        client.get(f"{trained}/movies/{movie}")
    count = "likely_requests_total"
    assert sample(client, count, method="GET", route=route, status="200") == 2
    assert sample(client, count, method="GET", route=route, status="404") == 1
    assert sample(client, "likely_request_seconds_count", method="GET", route=route) == 3
    cancel = f"{trained.replace('class', '{catalog}')}/trainings/{{training}}"
    client.get(f"{trained}/trainings/1")
    assert sample(client, count, method="GET", route=cancel, status="200") is not None


def test_no_label_holds_what_a_caller_made_up(client: TestClient, class_catalog: str) -> None:
    made_up = "made-up-by-the-caller"
    client.get(f"/v1/catalogs/{made_up}")
    client.get(f"/{made_up}")
    client.request(made_up.upper(), f"/v1/catalogs/{class_catalog}")
    client.get(f"/v1/catalogs/{class_catalog}/movies?limit={made_up}")
    assert made_up not in client.get("/metrics").text.lower()
    assert sample(client, "likely_requests_total", method="other", status="405") == 1
    assert sample(client, "likely_requests_total", route="none", status="404") == 1


def test_trainings_are_counted_by_status(client: TestClient, worker: Worker, trained: str) -> None:
    client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"})
    client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"})
    client.post(f"{trained}/trainings/2:cancel")
    client.put("/v1/catalogs/empty", json={"dimensions": ["a"]})
    train(client, worker, "/v1/catalogs/empty")
    counted = {
        status: sample(client, "likely_trainings", status=status)
        for status in ("queued", "running", "succeeded", "failed", "cancelled")
    }
    assert counted == {"queued": 1, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 1}


@pytest.mark.usefixtures("class_catalog")
def test_a_bug_is_answered_without_a_word_about_the_inside_and_is_counted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr(users, "list_users", fail)
    answer = client.get(f"{CLASS}/users", headers={"X-Request-ID": "seen-in-the-log"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "seen-in-the-log"
    assert answer.json()["type"] == "urn:likely:problem:internal-error"
    assert "inside" not in answer.text.replace("about the inside", "")
    route = "/v1/catalogs/{catalog}/users"
    assert sample(client, "likely_requests_total", method="GET", route=route, status="500") == 1
