"""Which training serves: promoting, rolling back, and what stands in the way."""

import pytest
from fastapi.testclient import TestClient

from app.training.worker import Worker
from tests.support.requests.classroom import CLASS, CONVEX, answer, scores, train
from tests.support.requests.refusals import check_problem


def test_a_training_serves_when_it_has_succeeded(client: TestClient, worker: Worker, trained: str) -> None:
    assert client.get(trained).json()["serving"] == 1
    assert train(client, worker, seed=1)["id"] == 2
    assert client.get(trained).json()["serving"] == 2


def test_a_training_that_is_not_to_serve_waits_until_it_is_promoted(
    client: TestClient, worker: Worker, trained: str
) -> None:
    before = scores(client, trained, "0")
    newer = train(client, worker, serve=False, seed=1)["id"]
    assert client.get(trained).json()["serving"] == 1
    assert scores(client, trained, "0") == before
    promoted = client.put(f"{trained}/serving", json={"training": newer})
    assert (promoted.status_code, promoted.json()["serving"]) == (200, newer)
    assert client.get(f"{trained}/users/0/scores").json()["training"] == newer
    assert scores(client, trained, "0") != before


def test_rolling_back_brings_the_old_scores_back(client: TestClient, worker: Worker, trained: str) -> None:
    before = {user: scores(client, trained, user) for user in "012"}
    train(client, worker, seed=1)
    assert {user: scores(client, trained, user) for user in "012"} != before
    client.put(f"{trained}/serving", json={"training": 1})
    assert {user: scores(client, trained, user) for user in "012"} == before


def test_promoting_what_serves_already_changes_nothing(client: TestClient, trained: str) -> None:
    before = scores(client, trained, "0")
    assert client.put(f"{trained}/serving", json={"training": 1}).status_code == 200
    assert scores(client, trained, "0") == before


@pytest.mark.usefixtures("class_catalog")
def test_rolling_back_keeps_what_was_answered_since(client: TestClient, worker: Worker) -> None:
    """With a convex objective one user has one best embedding, whichever training it is looked for in."""
    for seed in (1, 2):
        train(client, worker, seed=seed, options=CONVEX)
    version = answer(client, CLASS, "0", "m2", 1)["embedding_version"]
    answer(client, CLASS, "new", "m1", 1)
    newer = {user: scores(client, CLASS, user) for user in ("0", "new")}
    client.put(f"{CLASS}/serving", json={"training": 1})
    for user, scored in newer.items():
        assert scores(client, CLASS, user) == pytest.approx(scored, abs=1e-6)
    shown = client.get(f"{CLASS}/users/0/embedding").json()
    assert (shown["training"], shown["embedding_version"]) == (1, version)


@pytest.mark.usefixtures("class_catalog")
def test_workers_store_what_a_rollback_left_behind_and_scores_stay(
    client: TestClient, worker: Worker
) -> None:
    for seed in (1, 2):
        train(client, worker, seed=seed, options=CONVEX)
    answer(client, CLASS, "0", "m2", 1)
    client.put(f"{CLASS}/serving", json={"training": 1})
    before = scores(client, CLASS, "0")
    while worker.fold_in_some():
        pass
    assert scores(client, CLASS, "0") == pytest.approx(before, abs=1e-7)


@pytest.mark.parametrize(
    ("status", "said"),
    [("queued", "it is queued"), ("cancelled", "it was cancelled"), ("failed", "it failed")],
)
def test_only_what_succeeded_can_serve(
    client: TestClient, worker: Worker, trained: str, status: str, said: str
) -> None:
    if status == "failed":
        for movie in ("m0", "m1", "m2"):
            client.delete(f"{trained}/movies/{movie}")
    location = client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"}).headers["location"]
    if status == "cancelled":
        client.post(f"{location}:cancel")
    if status == "failed":
        worker.run_next()
    assert client.get(location).json()["status"] == status
    problem = check_problem(client.put(f"{trained}/serving", json={"training": 2}))
    assert problem["status"] == 409
    assert said in problem["detail"]
    assert client.get(trained).json()["serving"] == 1
