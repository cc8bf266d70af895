"""The class catalog over HTTP, and catalogs like it; what tests of several endpoint families do with them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.cli.demo import DIMENSIONS, MOVIES
from app.training.worker import Worker

CLASS = "/v1/catalogs/class"

# Relearning with these options ends at one minimum, wherever it starts and whoever else there is.
CONVEX = {"loss": "logistic", "penalty": "squared_norm", "epochs": 50}

Answers = Mapping[str, Mapping[str, float]]


def train(client: TestClient, worker: Worker, path: str = CLASS, **body: object) -> dict[str, Any]:
    """Train a catalog in the test's thread, and return the training as the API shows it."""
    reply = client.post(f"{path}/trainings", json={"trainer": "gradient_descent", "seed": 6789, **body})
    assert reply.status_code == 202, reply.text
    assert worker.run_next(only=reply.json()["id"])
    output: dict[str, Any] = client.get(reply.headers["location"]).json()
    return output


def fast_answers(client: TestClient) -> Counter[str]:
    """Return how many requests the fast path has answered, by the route's name."""
    assert isinstance(client.app, FastAPI)
    answers: Counter[str] = client.app.state.fast_answers
    return answers


def make_catalog(
    client: TestClient,
    catalog: str,
    answers: Answers,
    movies: Mapping[str, tuple[float, ...]] = MOVIES,
) -> str:
    """Make a catalog with the class's dimensions over HTTP, and return its path."""
    path = f"/v1/catalogs/{catalog}"
    assert client.put(path, json={"dimensions": list(DIMENSIONS)}).status_code == 201
    for movie, vector in movies.items():
        assert client.put(f"{path}/movies/{movie}", json={"vector": list(vector)}).status_code == 201
    for user, given in answers.items():
        for movie, response in given.items():
            answer(client, path, user, movie, response)
    return path


def answer(client: TestClient, path: str, user: str, movie: str, response: float) -> dict[str, Any]:
    """Give a response, and return what the API says about it."""
    put = client.put(f"{path}/users/{user}/responses/{movie}", json={"response": response})
    assert put.status_code in {200, 201}, put.text
    content: dict[str, Any] = put.json()
    return content


def scores(client: TestClient, path: str, user: str, *movies: str) -> dict[str, float]:
    """Return a user's scores by movie; of all movies if none is named."""
    output = client.get(f"{path}/users/{user}/scores", params={"movie": list(movies)})
    assert output.status_code == 200, output.text
    return {score["movie"]: score["score"] for score in output.json()["scores"]}


def embedding(client: TestClient, path: str, user: str) -> list[float]:
    """Return a user's embedding in the order of the class's dimensions."""
    output = client.get(f"{path}/users/{user}/embedding")
    assert output.status_code == 200, output.text
    return [output.json()["embedding"][dimension] for dimension in DIMENSIONS]
