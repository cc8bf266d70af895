"""Deleting what is in use: nothing is left over, nothing old is served, nothing breaks.

Most trainings here are convex, so an embedding can be compared with one learned from scratch: for the same
responses there is one best embedding, wherever the search starts and whoever else there is.
"""

import pytest
from fastapi.testclient import TestClient

from app.database.database import Database
from app.training.worker import Worker
from models.recommender.trainer import Step
from tests.support.requests.classroom import CONVEX, Answers, answer, embedding, make_catalog, scores, train
from tests.support.requests.refusals import check_problem
from tests.support.storage import contents

ANSWERS: Answers = {
    "0": {"m0": 1, "m1": 0, "m2": 0},
    "1": {"m0": 0, "m1": 1, "m2": 0},
    "2": {"m2": 1},
}


@pytest.fixture
def path(client: TestClient) -> str:
    """A catalog in which user 2 answered one movie only; its path."""
    return make_catalog(client, "class", ANSWERS)


def learned_afresh(
    client: TestClient, worker: Worker, answers: Answers, **movies: tuple[float, ...]
) -> dict[str, list[float]]:
    """Return the embeddings that a new catalog ends with, given these answers from its beginning."""
    defaults = {"m0": (0.6, 0.4, -0.2), "m1": (-0.7, 0.8, -0.7), "m2": (0.8, -0.75, 0.9)}
    path = make_catalog(client, "afresh", {}, defaults | movies)
    answer(client, path, "somebody", "m0", 1)
    train(client, worker, path, options=CONVEX)
    for user, given in answers.items():
        for movie, response in given.items():
            answer(client, path, user, movie, response)
    found = {user: embedding(client, path, user) for user in answers}
    client.delete(path)
    return found


def near(expected: list[float]) -> object:
    return pytest.approx(expected, abs=2e-6)


def test_a_deleted_movie_takes_its_responses_along_and_is_unlearned(
    client: TestClient, worker: Worker, path: str
) -> None:
    train(client, worker, path, options=CONVEX)
    client.delete(f"{path}/movies/m2")
    left = [(item["user"], item["movie"]) for item in client.get(f"{path}/responses").json()["items"]]
    assert left == [("0", "m0"), ("0", "m1"), ("1", "m0"), ("1", "m1")]
    afresh = learned_afresh(client, worker, {"0": {"m0": 1, "m1": 0}, "1": {"m0": 0, "m1": 1}})
    for _ in ("learned while read", "learned by a worker"):
        for user, expected in afresh.items():
            assert embedding(client, path, user) == near(expected)
            assert list(scores(client, path, user)) == ["m0", "m1"]
        while worker.fold_in_some():
            pass


def test_whose_only_answer_was_to_a_deleted_movie_is_unknown_again(
    client: TestClient, worker: Worker, path: str
) -> None:
    train(client, worker, path, options=CONVEX)
    client.delete(f"{path}/movies/m2")
    for _ in ("at once", "after the worker's round"):
        for what in ("scores", "recommendations", "embedding"):
            problem = check_problem(client.get(f"{path}/users/2/{what}"))
            assert problem["status"] == 404
            assert "responses/{movie} with an answer first" in problem["detail"]
        while worker.fold_in_some():
            pass
    answer(client, path, "2", "m0", 1)
    afresh = learned_afresh(client, worker, {"2": {"m0": 1}})
    assert embedding(client, path, "2") == near(afresh["2"])


def test_a_movie_deleted_during_a_training_is_not_in_what_it_publishes(
    client: TestClient, worker: Worker, path: str
) -> None:
    def delete_movie(step: Step) -> None:
        if step.step == 5:
            assert client.delete(f"{path}/movies/m2").status_code == 204

    queue(client, path)
    assert worker.run_next(watch=delete_movie)
    afresh = learned_afresh(client, worker, {"0": {"m0": 1, "m1": 0}, "1": {"m0": 0, "m1": 1}})
    for user, expected in afresh.items():
        assert embedding(client, path, user) == near(expected)
    assert client.get(f"{path}/users/2/scores").status_code == 404


def test_a_user_deleted_during_a_training_is_in_no_table_afterwards(
    client: TestClient, worker: Worker, database: Database, path: str
) -> None:
    key = next(row[0] for row in contents(database)["users"] if "0" in row)

    def delete_user(step: Step) -> None:
        if step.step == 5:
            assert client.delete(f"{path}/users/0").status_code == 204

    location = queue(client, path)
    assert worker.run_next(watch=delete_user)
    assert client.get(location).json()["status"] == "succeeded"
    stored = contents(database)
    assert key not in [row[0] for row in stored["users"]]
    assert key not in [row[0] for row in stored["responses"]]
    assert [row[1] for row in stored["user_embeddings"]] == [row[0] for row in stored["users"]]
    assert len(stored["user_embeddings"]) == 2
    assert client.get(f"{path}/users/0/scores").status_code == 404


def test_who_comes_back_during_a_training_gets_nothing_of_their_former_self(
    client: TestClient, worker: Worker, path: str
) -> None:
    def delete_and_return(step: Step) -> None:
        if step.step == 5:
            client.delete(f"{path}/users/0")
            answer(client, path, "0", "m2", 1)

    queue(client, path)
    assert worker.run_next(watch=delete_and_return)
    assert client.get(f"{path}/users/0/embedding").json()["responses"] == 1
    afresh = learned_afresh(client, worker, {"0": {"m2": 1}})
    assert embedding(client, path, "0") == near(afresh["0"])


def test_responses_given_during_a_training_are_in_what_it_publishes(
    client: TestClient, worker: Worker, database: Database, path: str
) -> None:
    def respond(step: Step) -> None:
        if step.step == 5:
            answer(client, path, "0", "m1", 1)
            answer(client, path, "new", "m1", 0.25)
            client.delete(f"{path}/users/1/responses/m0")

    queue(client, path)
    assert worker.run_next(watch=respond)
    stored = contents(database)
    versions = {row[0]: row[3] for row in stored["users"]}
    assert {row[1]: row[2] for row in stored["user_embeddings"]} == versions, "published behind the responses"
    now: Answers = {"0": {"m0": 1, "m1": 1, "m2": 0}, "new": {"m1": 0.25}, "1": {"m1": 1, "m2": 0}}
    for user, expected in learned_afresh(client, worker, now).items():
        assert embedding(client, path, user) == near(expected)


def test_everybody_leaving_during_a_training_leaves_a_model_of_nobody(
    client: TestClient, worker: Worker, path: str
) -> None:
    def delete_everybody(step: Step) -> None:
        if step.step == 5:
            for user in ANSWERS:
                client.delete(f"{path}/users/{user}")

    location = queue(client, path)
    assert worker.run_next(watch=delete_everybody)
    assert client.get(location).json()["status"] == "succeeded"
    assert client.get(f"{path}/users/0/scores").status_code == 404
    assert client.post(f"{path}/scores", json={"pairs": []}).status_code == 200


def test_a_catalog_deleted_during_its_training_leaves_no_row_in_any_table(
    client: TestClient, worker: Worker, database: Database, path: str
) -> None:
    train(client, worker, path, options=CONVEX)
    steps = []

    def delete_catalog(step: Step) -> None:
        steps.append(step)
        if step.step == 500:
            assert client.delete(path).status_code == 204

    queue(client, path, epochs=100_000)
    assert worker.run_next(watch=delete_catalog)
    assert len(steps) < 100_000, "the worker did not stop"
    assert {name: rows for name, rows in contents(database).items() if rows} == {}
    assert not worker.run_next()


def test_a_catalog_made_anew_serves_nothing_old(client: TestClient, worker: Worker, path: str) -> None:
    train(client, worker, path)
    old = scores(client, path, "0")
    client.delete(path)
    turned = {"m0": (-0.6, 0.1, 0.9), "m1": (0.7, -0.8, 0.7), "m2": (0.1, 0.2, 0.3)}
    make_catalog(client, "class", ANSWERS, turned)  # as many changes as before, so versions count the same
    assert check_problem(client.get(f"{path}/users/0/scores"))["status"] == 409
    train(client, worker, path)
    now = scores(client, path, "0")
    assert all(abs(now[movie] - old[movie]) > 1e-3 for movie in turned)
    learned = embedding(client, path, "0")
    for shown in client.get(f"{path}/users/0/scores").json()["scores"]:
        logit = sum(a * b for a, b in zip(learned, turned[shown["movie"]], strict=True))
        assert shown["logit"] == pytest.approx(logit, abs=1e-5)


def test_a_new_vector_is_in_the_next_scores(client: TestClient, worker: Worker, path: str) -> None:
    train(client, worker, path, options=CONVEX)
    before = {user: (scores(client, path, user), embedding(client, path, user)) for user in ANSWERS}
    vector = (0.3, 0.9, 0.1)
    client.put(f"{path}/movies/m1", json={"vector": list(vector)})
    for user, (old_scores, old_embedding) in before.items():
        learned = embedding(client, path, user)
        shown = client.get(f"{path}/users/{user}/scores", params={"movie": "m1"}).json()["scores"][0]
        assert shown["logit"] == pytest.approx(
            sum(a * b for a, b in zip(learned, vector, strict=True)), abs=1e-5
        )
        assert abs(shown["score"] - old_scores["m1"]) > 1e-3
        assert (learned != old_embedding) == ("m1" in ANSWERS[user]), (
            "who answered it learns anew, nobody else"
        )
    answered = {user: given for user, given in ANSWERS.items() if "m1" in given}
    for user, expected in learned_afresh(client, worker, answered, m1=vector).items():
        assert embedding(client, path, user) == near(expected)


def test_a_deleted_catalog_takes_only_its_own_rows(client: TestClient, database: Database, path: str) -> None:
    before = contents(database)
    other = make_catalog(client, "other", ANSWERS)
    client.post(f"{other}/trainings", json={"trainer": "gradient_descent"})
    client.delete(other)
    assert contents(database) == before
    assert client.get(path).json()["responses"] == 7


def queue(client: TestClient, path: str, epochs: int = 50) -> str:
    body = {"trainer": "gradient_descent", "seed": 1, "options": CONVEX | {"epochs": epochs}}
    location: str = client.post(f"{path}/trainings", json=body).headers["location"]
    return location
