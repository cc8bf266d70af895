"""Like-scores: of one user for named movies, recommendations, and many pairs at once."""

import math
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.cli.demo import DIMENSIONS, MOVIES
from app.training.worker import Worker
from tests.support.requests.classroom import CLASS, answer, make_catalog, train
from tests.support.requests.refusals import check_problem

MANY = 300


@pytest.fixture
def many(client: TestClient, worker: Worker, class_catalog: str) -> str:
    """The class catalog with hundreds of movies more, some with equal vectors; its path."""
    path = f"/v1/catalogs/{class_catalog}"
    numbers = np.random.default_rng(7).normal(size=(MANY // 2, 3)).astype(np.float32)
    lines = ["movie,title,violence,positive message,language"]
    for copy in ("a", "b"):
        lines += [f"{copy}{row:03},T,{','.join(map(str, vector))}" for row, vector in enumerate(numbers)]
    imported = client.post(
        f"{path}/movies:import", content="\n".join(lines), headers={"Content-Type": "text/csv"}
    )
    assert imported.status_code == 200, imported.text
    train(client, worker, path)
    return path


def listed(client: TestClient, path: str, what: str, **params: object) -> list[dict[str, Any]]:
    shown = client.get(f"{path}/{what}", params=params)  # type: ignore[arg-type]  # httpx2 wants the values' types
    assert shown.status_code == 200, shown.text
    scores: list[dict[str, Any]] = shown.json()["scores"]
    return scores


@pytest.mark.parametrize("asked", [["m2"], ["m2", "m0", "m1"], ["m1", "m1", "m0", "m1"]])
def test_scores_come_in_the_order_asked(published: TestClient, asked: list[str]) -> None:
    scores = listed(published, f"{CLASS}/users/0", "scores", movie=asked)
    assert [score["movie"] for score in scores] == asked


def test_all_movies_are_scored_when_none_is_named(published: TestClient) -> None:
    shown = published.get(f"{CLASS}/users/0/scores").json()
    assert [score["movie"] for score in shown["scores"]] == list(MOVIES)
    assert {name: shown[name] for name in ("user", "training", "responses", "basis")} == {
        "user": "0",
        "training": 1,
        "responses": 3,
        "basis": "learned",
    }


def test_a_score_is_the_sigmoid_of_its_logit_and_the_logit_is_embedding_times_vector(
    published: TestClient,
) -> None:
    for user in ("0", "1", "2"):
        shown = published.get(f"{CLASS}/users/{user}/embedding").json()["embedding"]
        embedding = np.array([shown[name] for name in DIMENSIONS], dtype=np.float32).astype(np.float64)
        for score in listed(published, f"{CLASS}/users/{user}", "scores"):
            vector = np.array(MOVIES[score["movie"]], dtype=np.float32).astype(np.float64)
            assert score["logit"] == pytest.approx(embedding @ vector, abs=1e-12)
            assert score["score"] == pytest.approx(1 / (1 + math.exp(-score["logit"])), abs=1e-12)
            assert 0 < score["score"] < 1


def test_recommendations_are_all_scores_sorted_without_those_answered(client: TestClient, many: str) -> None:
    scored = listed(client, f"{many}/users/0", "scores")
    assert len(scored) == MANY + 3
    best = sorted((one for one in scored if one["movie"] not in MOVIES), key=lambda one: -one["logit"])
    for limit in (1, 2, 7, 100, 1000):
        shown = listed(client, f"{many}/users/0", "recommendations", limit=limit)
        # Sorting is stable: movies with equal logits stay in the order of their ids.
        assert [(one["movie"], one["logit"]) for one in shown] == [
            (one["movie"], one["logit"]) for one in best[:limit]
        ]
        # The sigmoid's last bit depends on where in a vector register a number stands.
        assert [one["score"] for one in shown] == pytest.approx(
            [one["score"] for one in best[:limit]], abs=1e-15
        )
    assert len(listed(client, f"{many}/users/0", "recommendations")) == 10


def test_recommendations_leave_out_what_is_excluded(client: TestClient, many: str) -> None:
    best = listed(client, f"{many}/users/1", "recommendations", limit=20)
    excluded = [best[0]["movie"], best[3]["movie"], "m0", "nothing of this name"]
    shown = listed(client, f"{many}/users/1", "recommendations", limit=18, exclude=excluded)
    assert [one["movie"] for one in shown] == [one["movie"] for one in (best[1], best[2], *best[4:])]


def test_recommendations_reach_down_to_the_least_score(client: TestClient, many: str) -> None:
    best = listed(client, f"{many}/users/2", "recommendations", limit=1000)
    assert len(best) == MANY
    for least in (0, 0.3, 0.6, best[120]["score"] - 1e-9, best[120]["score"] + 1e-9, 1):
        shown = listed(client, f"{many}/users/2", "recommendations", limit=1000, min_score=least)
        reached = [one["movie"] for one in best if one["score"] >= least]
        assert [one["movie"] for one in shown] == reached


def test_what_was_just_answered_is_not_recommended(client: TestClient, many: str) -> None:
    first = listed(client, f"{many}/users/0", "recommendations", limit=1)[0]["movie"]
    answer(client, many, "0", first, 0)
    assert first not in [
        one["movie"] for one in listed(client, f"{many}/users/0", "recommendations", limit=1000)
    ]
    client.delete(f"{many}/users/0/responses/{first}")
    assert first in [one["movie"] for one in listed(client, f"{many}/users/0", "recommendations", limit=1000)]


def test_who_answered_everything_gets_no_recommendations(published: TestClient) -> None:
    assert listed(published, f"{CLASS}/users/0", "recommendations") == []


def test_a_batch_of_pairs_scores_as_one_by_one(client: TestClient, many: str) -> None:
    pairs = [[user, f"{copy}{row:03}"] for row in range(0, 150, 9) for copy in "ba" for user in "201"]
    batch = client.post(f"{many}/scores", json={"pairs": pairs}).json()
    alone = [
        listed(client, f"{many}/users/{user}", "scores", movie=movie)[0]["score"] for user, movie in pairs
    ]
    assert batch == {"training": 1, "scores": pytest.approx(alone, abs=1e-15)}


def test_an_empty_batch_has_no_scores(published: TestClient) -> None:
    assert published.post(f"{CLASS}/scores", json={"pairs": []}).json() == {"training": 1, "scores": []}


def test_unknown_pairs_are_named_by_pointer(published: TestClient) -> None:
    pairs = [["0", "m0"], ["nobody", "m0"], ["1", "nothing"], ["nobody", "nothing"]]
    problem = check_problem(published.post(f"{CLASS}/scores", json={"pairs": pairs}))
    assert problem["status"] == 404
    named = {place["pointer"]: place["detail"] for place in problem["errors"]}
    assert set(named) == {"/pairs/1/0", "/pairs/2/1", "/pairs/3/0", "/pairs/3/1"}
    assert "'nobody'" in named["/pairs/3/0"]
    assert "'nothing'" in named["/pairs/3/1"]


@pytest.mark.usefixtures("class_catalog")
def test_scores_before_any_training_are_a_conflict_that_says_what_to_do(client: TestClient) -> None:
    for _ in ("untrained", "queued"):
        for what in ("users/0/scores", "users/0/recommendations", "users/nobody/scores"):
            problem = check_problem(client.get(f"{CLASS}/{what}"))
            assert problem["status"] == 409
            assert "POST /v1/catalogs/class/trainings" in problem["detail"]
        client.post(f"{CLASS}/trainings", json={"trainer": "gradient_descent"})
    assert check_problem(client.post(f"{CLASS}/scores", json={"pairs": [["0", "m0"]]}))["status"] == 409


@pytest.mark.parametrize("what", ["scores", "recommendations", "embedding"])
def test_somebody_unknown_is_a_404_that_says_what_to_do(published: TestClient, what: str) -> None:
    problem = check_problem(published.get(f"{CLASS}/users/nobody/{what}"))
    assert problem["status"] == 404
    assert "PUT /v1/catalogs/class/users/nobody/responses/{movie}" in problem["detail"]


def test_who_answers_after_the_training_is_scored_at_once(client: TestClient, trained: str) -> None:
    answer(client, trained, "new", "m2", 1)
    scores = listed(client, f"{trained}/users/new", "scores", movie=["m2", "m1"])
    assert scores[0]["score"] > 0.5 > scores[1]["score"]


def test_long_vectors_still_score_finite_numbers(client: TestClient, worker: Worker) -> None:
    """The largest numbers that a vector may hold."""
    movies = {"low": (-1e9, -1e9, -1e9), "high": (1e9, 1e9, 1e9), "zero": (0.0, 0.0, 0.0)}
    path = make_catalog(client, "large", {"u": {"low": 0, "high": 1}}, movies)
    train(client, worker, path, options={"epochs": 5})
    for score in listed(client, f"{path}/users/u", "scores"):
        assert math.isfinite(score["logit"])
        assert 0 <= score["score"] <= 1
