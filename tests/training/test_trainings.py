"""Trainings: queued, run, listed, cancelled, failed."""

from datetime import datetime

import pytest
import torch
from fastapi.testclient import TestClient

from app.training.worker import Worker
from models.recommender.trainer import Step
from tests.support.requests.classroom import CLASS, train
from tests.support.requests.refusals import check_problem

BODY = {"trainer": "gradient_descent", "seed": 6789}
DEFAULTS = {
    "loss": "squared",
    "penalty": "norm",
    "penalty_weight": 0.2,
    "learning_rate": 0.1,
    "epochs": 1000,
    "optimizer": "sgd",
    "device": "cpu",
}


def test_a_training_is_accepted_and_waits(client: TestClient, class_catalog: str) -> None:
    accepted = client.post(f"/v1/catalogs/{class_catalog}/trainings", json=BODY)
    training = accepted.json()
    assert accepted.status_code == 202
    assert accepted.headers["location"] == f"{CLASS}/trainings/{training['id']}"
    assert (training["status"], training["catalog"], training["seed"]) == ("queued", class_catalog, 6789)
    assert (training["steps_done"], training["steps_total"], training["loss"]) == (0, 1000, None)
    assert training["options"] == DEFAULTS
    assert training["serve"] is True
    assert (training["started_at"], training["ended_at"], training["error"]) == (None, None, None)
    assert client.get(accepted.headers["location"]).json() == training


def test_options_given_stand_beside_the_defaults(client: TestClient, class_catalog: str) -> None:
    options = {"loss": "logistic", "epochs": 7}
    path = f"/v1/catalogs/{class_catalog}/trainings"
    training = client.post(path, json={**BODY, "options": options}).json()
    assert training["options"] == DEFAULTS | options
    assert training["steps_total"] == 7


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_a_device_that_is_not_here_is_refused_and_nothing_waits(
    client: TestClient, class_catalog: str, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = f"/v1/catalogs/{class_catalog}/trainings"
    refused = client.post(path, json={"trainer": trainer, "options": {"device": "cuda"}})
    problem = check_problem(refused)
    assert problem["status"] == 409
    assert "expected device cpu" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/options/device"
    assert client.get(path).json()["items"] == []


def test_a_seed_left_out_is_drawn_and_shown(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/trainings"
    seeds = {client.post(path, json={"trainer": "gradient_descent"}).json()["seed"] for _ in range(5)}
    assert len(seeds) == 5


def test_a_training_that_ran_says_how_it_went(client: TestClient, worker: Worker, class_catalog: str) -> None:
    training = train(client, worker, f"/v1/catalogs/{class_catalog}", options={"epochs": 30})
    losses = client.get(f"{CLASS}/trainings/{training['id']}/losses").json()["losses"]
    assert (training["status"], training["steps_done"], training["error"]) == ("succeeded", 30, None)
    assert training["loss"] == losses[-1]["loss"]
    assert {"users": 3, "movies": 3, "responses": 9}.items() <= training["metrics"].items()
    times = [datetime.fromisoformat(training[name]) for name in ("created_at", "started_at", "ended_at")]
    assert times == sorted(times)
    assert all(time.tzinfo is not None for time in times)


def test_the_same_seed_gives_the_same_bits(client: TestClient, worker: Worker, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    shown = []
    for seed in (5, 5, 6):
        train(client, worker, path, seed=seed, options={"epochs": 20})
        shown.append(client.get(f"{path}/users/0/embedding").json()["embedding"])
    assert shown[0] == shown[1] != shown[2]


def test_trainings_are_listed_the_newest_first(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/trainings"
    made = [client.post(path, json=BODY).json()["id"] for _ in range(5)]
    first = client.get(path, params={"limit": 3}).json()
    second = client.get(path, params={"limit": 3, "after": first["next"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None


def test_trainings_of_a_catalog_run_in_the_order_in_which_they_were_asked(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    made = [
        client.post(f"{path}/trainings", json=BODY | {"options": {"epochs": 2}}).json()["id"] for _ in "abc"
    ]
    for training in made:
        assert worker.run_next()
        assert client.get(path).json()["serving"] == training
    assert not worker.run_next()


def test_a_training_of_another_catalog_is_not_found(client: TestClient, trained: str) -> None:
    client.put("/v1/catalogs/other", json={"dimensions": []})
    training = client.get(trained).json()["serving"]
    for what in ("", "/losses", "/losses.json", "/losses.csv", "/events"):
        answer = client.get(f"/v1/catalogs/other/trainings/{training}{what}")
        assert check_problem(answer)["status"] == 404
    assert client.post(f"/v1/catalogs/other/trainings/{training}:cancel").status_code == 404
    assert client.put("/v1/catalogs/other/serving", json={"training": training}).status_code == 404


def test_a_queued_training_is_cancelled_at_once_and_never_runs(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    location = client.post(f"/v1/catalogs/{class_catalog}/trainings", json=BODY).headers["location"]
    cancelled = client.post(f"{location}:cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert not worker.run_next()
    assert client.get(location).json() == cancelled.json()


def test_a_running_training_stops_when_it_is_cancelled(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    epochs = 100_000
    body = BODY | {"options": {"epochs": epochs, "optimizer": "adam"}}
    location = client.post(f"/v1/catalogs/{class_catalog}/trainings", json=body).headers["location"]
    steps = []

    def cancel_at_the_fifth_step(step: Step) -> None:
        steps.append(step.step)
        if step.step == 5:
            assert client.get(location).json()["status"] == "running"
            assert client.post(f"{location}:cancel").status_code == 202

    assert worker.run_next(watch=cancel_at_the_fifth_step)
    training = client.get(location).json()
    assert (training["status"], training["error"]) == ("cancelled", None)
    assert training["ended_at"] is not None
    assert 5 <= len(steps) < epochs
    assert client.get(CLASS).json()["serving"] is None


@pytest.mark.parametrize("status", ["succeeded", "cancelled", "failed"])
def test_what_has_ended_cannot_be_cancelled(
    client: TestClient, worker: Worker, class_catalog: str, status: str
) -> None:
    if status == "failed":
        client.put("/v1/catalogs/other", json={"dimensions": ["a"]})
    path = "/v1/catalogs/other" if status == "failed" else f"/v1/catalogs/{class_catalog}"
    location = client.post(f"{path}/trainings", json=BODY | {"options": {"epochs": 2}}).headers["location"]
    if status == "cancelled":
        client.post(f"{location}:cancel")
    worker.run_next()
    assert client.get(location).json()["status"] == status
    problem = check_problem(client.post(f"{location}:cancel"))
    assert problem["status"] == 409
    assert "has ended already" in problem["detail"]
    assert status in problem["detail"]


def test_a_training_without_responses_fails_and_says_why(client: TestClient, worker: Worker) -> None:
    client.put("/v1/catalogs/empty", json={"dimensions": ["a"]})
    training = train(client, worker, "/v1/catalogs/empty")
    assert training["status"] == "failed"
    assert "response" in training["error"]
    assert client.get("/v1/catalogs/empty").json()["serving"] is None


def test_a_training_that_diverges_fails_and_says_what_to_change(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    for movie in ("m0", "m1"):
        client.put(f"{path}/movies/{movie}", json={"vector": [1e9, -1e9, 1e9]})
    options = {"penalty": "squared_norm", "penalty_weight": 1e6, "learning_rate": 1e3}
    training = train(client, worker, path, options=options)
    assert training["status"] == "failed"
    assert "learning_rate" in training["error"]
    assert client.get(path).json()["serving"] is None
