"""Trainings measured before they serve: what they report, which of two serves, what they learned from."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.training.worker import Worker
from tests.scoring.test_recommending import FILMS, load
from tests.support.requests.classroom import answer, train
from tests.support.requests.refusals import check_problem

HOLDOUT = {"fraction": 0.3, "by": "seed"}
POOR = {"learning_rate": 1e-6, "epochs": 1}  # stays where chance put it


@pytest.fixture
def stored(client: TestClient) -> str:
    """The films, not trained."""
    load(client)
    return FILMS


def test_a_training_reports_what_it_scores_on_what_it_held_out(
    client: TestClient, worker: Worker, stored: str
) -> None:
    training = train(client, worker, stored, trainer="mixed_effects", holdout=HOLDOUT)
    assert training["holdout"] == {"fraction": 0.3, "last_n": None, "by": "seed"}
    measured = training["metrics"]["held_out"]
    assert measured["responses"] == 30 * int(0.3 * 15)
    assert 0.5 < measured["auc"] < 1
    assert 0 < measured["log_loss"] < 0.7
    assert {"brier", "calibration_error", "accuracy", "ndcg_at_10", "recall_at_10"} < set(measured)
    assert len(measured["reliability"]) == 15
    assert sum(one["responses"] for one in measured["reliability"]) == measured["responses"]
    # It learned from everything before it served.
    assert training["metrics"]["responses"] == 30 * 15


def test_the_losses_are_those_of_learning_from_everything(
    client: TestClient, worker: Worker, stored: str
) -> None:
    with_holdout = train(client, worker, stored, trainer="mixed_effects", holdout=HOLDOUT)
    without = train(client, worker, stored, trainer="mixed_effects")
    assert with_holdout["steps_done"] == without["steps_done"] <= without["steps_total"]
    assert with_holdout["loss"] == without["loss"]
    assert with_holdout["provenance"]["learned"] == without["provenance"]["learned"]
    assert without["metrics"]["held_out"] is None


def test_the_stream_shows_the_bound_rise_to_the_end(client: TestClient, worker: Worker, stored: str) -> None:
    training = train(client, worker, stored, trainer="mixed_effects")
    losses = client.get(f"{stored}/trainings/{training['id']}/losses").json()["losses"]
    assert len(losses) == training["steps_done"] > 5
    assert losses[-1]["loss"] == min(one["loss"] for one in losses)
    events = client.get(f"{stored}/trainings/{training['id']}/events").text
    assert events.count("event: step") == len(losses)
    assert "event: succeeded" in events


def test_a_training_that_is_not_better_does_not_serve(
    client: TestClient, worker: Worker, stored: str
) -> None:
    first = train(client, worker, stored, trainer="mixed_effects")
    poor = train(client, worker, stored, options=POOR, holdout=HOLDOUT, serve="if_better")
    compared = poor["metrics"]["compared_with"]
    assert (poor["status"], poor["serve"]) == ("succeeded", "if_better")
    assert (compared["training"], compared["promoted"]) == (first["id"], False)
    assert compared["log_loss"] < poor["metrics"]["held_out"]["log_loss"]
    assert client.get(stored).json()["serving"] == first["id"]
    assert client.put(f"{stored}/serving", json={"training": poor["id"]}).status_code == 200


def test_a_training_that_is_better_serves_and_so_does_an_equal_one(
    client: TestClient, worker: Worker, stored: str
) -> None:
    train(client, worker, stored, options=POOR)
    for _ in range(2):
        better = train(client, worker, stored, trainer="mixed_effects", holdout=HOLDOUT, serve="if_better")
        assert better["metrics"]["compared_with"]["promoted"]
        assert client.get(stored).json()["serving"] == better["id"]
    assert better["metrics"]["compared_with"]["log_loss"] == better["metrics"]["held_out"]["log_loss"]


def test_where_nothing_serves_anything_is_better(client: TestClient, worker: Worker, stored: str) -> None:
    first = train(client, worker, stored, options=POOR, holdout=HOLDOUT, serve="if_better")
    assert first["metrics"]["compared_with"] == {"training": None, "log_loss": None, "promoted": True}
    assert client.get(stored).json()["serving"] == first["id"]


def test_what_was_promoted_meanwhile_keeps_serving(client: TestClient, worker: Worker, stored: str) -> None:
    poor, other = (train(client, worker, stored, options=POOR, serve=serve)["id"] for serve in (True, False))
    body = {"trainer": "mixed_effects", "holdout": HOLDOUT, "serve": "if_better", "seed": 1}
    queued = client.post(f"{stored}/trainings", json=body).json()["id"]

    def promote(_: object) -> None:
        assert client.put(f"{stored}/serving", json={"training": other}).status_code == 200

    assert worker.run_next(only=queued, watch=promote)
    training = client.get(f"{stored}/trainings/{queued}").json()
    assert training["metrics"]["compared_with"]["training"] == poor
    assert not training["metrics"]["compared_with"]["promoted"]
    assert client.get(stored).json()["serving"] == other


def test_to_be_better_needs_a_holdout(client: TestClient, stored: str) -> None:
    body = {"trainer": "mixed_effects", "serve": "if_better"}
    problem = check_problem(client.post(f"{stored}/trainings", json=body))
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/holdout")


def test_a_holdout_that_leaves_nothing_to_measure_on_fails_with_a_sentence(
    client: TestClient, worker: Worker
) -> None:
    client.put(FILMS, json={"dimensions": ["action"]})
    client.put(f"{FILMS}/movies/a", json={"vector": [1.0]})
    answer(client, FILMS, "u", "a", 1)
    training = train(client, worker, FILMS, trainer="mixed_effects", holdout={"last_n": 3})
    assert training["status"] == "failed"
    assert "holds out nothing" in training["error"]


def provenance_of(training: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = training["provenance"]
    return found


def test_the_same_inputs_give_the_same_bits_and_say_so(
    client: TestClient, worker: Worker, stored: str
) -> None:
    first, second = (provenance_of(train(client, worker, stored, trainer="mixed_effects")) for _ in range(2))
    assert first == second
    assert set(first["versions"]) == {"likely", "python", "torch", "numpy"}
    assert all(len(first[name]) == 64 for name in ("vectors", "responses", "learned"))
    other = provenance_of(train(client, worker, stored, trainer="mixed_effects", seed=2))
    assert {name for name in first if first[name] != other[name]} == {"learned"}


def test_the_order_in_which_responses_came_changes_no_digest(client: TestClient, worker: Worker) -> None:
    found = []
    for catalog, turned in (("one", False), ("other", True)):
        path = f"/v1/catalogs/{catalog}"
        client.put(path, json={"dimensions": ["a"]})
        movies = ["x", "y", "z"]
        for movie in reversed(movies) if turned else movies:
            client.put(f"{path}/movies/{movie}", json={"vector": [float(ord(movie))]})
        answers = [("u", "x", 1), ("u", "y", 0), ("v", "y", 1), ("v", "z", 0)]
        for user, movie, response in reversed(answers) if turned else answers:
            answer(client, path, user, movie, response)
        found.append(provenance_of(train(client, worker, path, trainer="mixed_effects")))
    assert found[0] == found[1]


def test_each_kind_of_change_changes_its_digest(client: TestClient, worker: Worker, stored: str) -> None:
    def now() -> dict[str, Any]:
        holdout = {"fraction": 0.3, "by": "time"}
        return provenance_of(train(client, worker, stored, trainer="mixed_effects", holdout=holdout))

    digests = ("vectors", "responses", "timestamps")
    before = now()
    client.put(f"{stored}/movies/f00", json={"vector": [0.25, 0.5]})
    moved = now()
    assert [moved[name] != before[name] for name in digests] == [True, False, False]
    [first] = client.get(f"{stored}/users/u0/responses", params={"limit": 1}).json()["items"]
    path = f"{stored}/users/u0/responses/{first['movie']}"
    client.put(path, json={"response": first["response"], "timestamp": 5})
    timed = now()
    assert [timed[name] != moved[name] for name in digests] == [False, False, True]
    client.put(path, json={"response": 0.5, "timestamp": 5})
    answered = now()
    assert [answered[name] != timed[name] for name in digests] == [False, True, False]
