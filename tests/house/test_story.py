"""The main job in one test: from an empty database to the scores that the class notebook published."""

import pytest
from fastapi.testclient import TestClient

from app.training.worker import Worker

PUBLISHED_EMBEDDINGS = {
    "0": (0.9887, 0.2676, -0.7881),
    "1": (-1.7678, 0.1267, -0.4628),
    "2": (-0.2462, -1.4256, 1.1095),
}
PUBLISHED_SCORES = {"0": (0.70, 0.52, 0.47), "1": (0.29, 0.84, 0.13), "2": (0.28, 0.15, 0.87)}


def test_the_class_result_comes_out_over_http(client: TestClient, worker: Worker) -> None:
    dimensions = ["violence", "positive message", "language"]
    assert client.put("/v1/catalogs/class", json={"dimensions": dimensions}).status_code == 201
    vectors = {"m0": [0.6, 0.4, -0.2], "m1": [-0.7, 0.8, -0.7], "m2": [0.8, -0.75, 0.9]}
    for name, vector in vectors.items():
        put = client.put(f"/v1/catalogs/class/movies/{name}", json={"vector": vector})
        assert put.json() == {"movie": name, "title": name, "vector": vector}
    for user in range(3):
        for movie in range(3):
            path = f"/v1/catalogs/class/users/{user}/responses/m{movie}"
            assert client.put(path, json={"response": int(user == movie)}).status_code == 201

    answer = client.post("/v1/catalogs/class/trainings", json={"trainer": "gradient_descent", "seed": 6789})
    assert answer.status_code == 202
    assert worker.run_next()

    training = client.get(answer.headers["location"]).json()
    assert (training["status"], training["steps_done"], training["seed"]) == ("succeeded", 1000, 6789)
    for name, published in PUBLISHED_EMBEDDINGS.items():
        learned = client.get(f"/v1/catalogs/class/users/{name}/embedding").json()["embedding"]
        assert [round(learned[dimension], 4) for dimension in dimensions] == list(published)
    for name, shown in PUBLISHED_SCORES.items():
        content = client.get(
            f"/v1/catalogs/class/users/{name}/scores", params={"movie": list(vectors)}
        ).json()
        assert [score["movie"] for score in content["scores"]] == list(vectors)
        assert [score["score"] for score in content["scores"]] == pytest.approx(shown, abs=0.005)


def test_a_response_changes_the_next_score(client: TestClient, worker: Worker, class_catalog: str) -> None:
    client.post(f"/v1/catalogs/{class_catalog}/trainings", json={"trainer": "gradient_descent"})
    worker.run_next()
    path = f"/v1/catalogs/{class_catalog}/users/0"
    before = client.get(f"{path}/scores?movie=m2").json()["scores"][0]["score"]
    answer = client.put(f"{path}/responses/m2", json={"response": 1})
    after = client.get(f"{path}/scores?movie=m2").json()["scores"][0]["score"]
    assert answer.status_code == 200
    assert after > before + 0.1
