"""Catalogs of more movies than are looked at for each request: their indexes, and what answers without."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from structlog.testing import capture_logs
from torch import Tensor

from app.catalogs.catalogs import find_catalog
from app.database.database import Database
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.movie_index import MovieIndex, MovieIndexes
from app.scoring.posteriors import find_serving
from app.scoring.scores import UserScores, recommend
from app.settings import Settings
from app.training.worker import Worker
from models.recommender import shortlist
from models.recommender.class_model.dot_product import DotProduct
from models.recommender.class_model.objective import Objective
from models.recommender.model import UserPosterior
from tests.scoring.test_recommending import FILMS, MOVIES, load
from tests.support.requests.classroom import train

FEW = MOVIES // 2
USERS = ("u0", "u7", "u29")


def nobody_learns(*_: object) -> Tensor:
    raise AssertionError("nobody is relearned here")


TINY = DotProduct(torch.ones(2, 1), nobody_learns, Objective(), coupled=False)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which the films are more than a matrix wants."""
    return settings.model_copy(update={"index_movies": FEW})


@pytest.fixture
def models() -> TrainedModels:
    return TrainedModels(indexes=MovieIndexes(FEW))


def serving(database: Database, models: TrainedModels) -> TrainedModel:
    with database.reading() as connection:
        return find_serving(connection, models, find_catalog(connection, "films"))


def index_of(database: Database, models: TrainedModels) -> MovieIndex:
    """Return the index of the films, made."""
    index = serving(database, models).index
    assert index is not None
    assert index.ready.wait(30)
    return index


def recommended(
    database: Database,
    models: TrainedModels,
    user: str,
    limit: int = 10,
    exclude: Sequence[str] = (),
    min_score: float = 0.0,
) -> UserScores:
    with database.reading() as connection:
        return recommend(connection, models, "films", user, limit=limit, exclude=exclude, min_score=min_score)


def said(shown: UserScores) -> dict[str, Any]:
    """Return the movies with their logits, but for the last bits."""
    return {score.movie: pytest.approx(score.logit, abs=1e-12) for score in shown.scores}


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_an_index_recommends_what_looking_at_every_movie_does(
    client: TestClient, worker: Worker, database: Database, models: TrainedModels, trainer: str
) -> None:
    load(client)
    training = train(client, worker, FILMS, trainer=trainer)
    assert training["metrics"]["index"] == {
        "movies": MOVIES,
        "candidates": 100,
        "recall_at_10": 1.0,
        "users": 15,
    }
    index_of(database, models)
    exact = TrainedModels()
    for user in USERS:
        first = recommended(database, exact, user)
        others = [score.movie for score in first.scores[:3]]
        middle = (first.scores[4].score + first.scores[5].score) / 2
        ways: list[dict[str, Any]] = [{}, {"limit": 3}, {"exclude": others}, {"limit": MOVIES}]
        for asked in [*ways, {"min_score": middle}]:
            by_index = recommended(database, models, user, **asked)
            right = recommended(database, exact, user, **asked)
            assert said(by_index) == said(right)
            assert [score.movie for score in by_index.scores] == [score.movie for score in right.scores]
            shown = client.get(f"{FILMS}/users/{user}/recommendations", params=asked).json()
            assert [score["movie"] for score in shown["scores"]] == [score.movie for score in right.scores]


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_the_bits_of_a_score_are_the_same_before_the_index_is_there(
    client: TestClient, worker: Worker, database: Database, models: TrainedModels, trainer: str
) -> None:
    load(client)
    train(client, worker, FILMS, trainer=trainer)
    index = index_of(database, models)
    by_index = [recommended(database, models, user) for user in USERS]
    index.ready.clear()
    assert [recommended(database, models, user) for user in USERS] == by_index


def test_the_index_is_what_answers_where_it_is_there(
    client: TestClient,
    worker: Worker,
    database: Database,
    models: TrainedModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(client)
    train(client, worker, FILMS, trainer="mixed_effects")
    index_of(database, models)
    trained = serving(database, models)

    def refuse(*_: object) -> None:
        raise AssertionError("every movie was looked at")

    monkeypatch.setattr(type(trained.model), "best", refuse)
    shown = recommended(database, models, "u0")
    assert len(shown.scores) == 10
    answers = {score.movie: 1.0 for score in shown.scores[:2]}
    monkeypatch.setattr(MovieIndexes, "begin", lambda *_: trained.index)  # for the application's own, at once
    preview = client.post(f"{FILMS}/scores:preview", json={"responses": answers, "limit": 5}).json()
    assert len(preview["scores"]) == 5
    assert not answers.keys() & {score["movie"] for score in preview["scores"]}


def test_movies_that_come_and_go_are_those_that_an_index_has(
    client: TestClient, worker: Worker, database: Database, models: TrainedModels
) -> None:
    load(client)
    train(client, worker, FILMS, trainer="mixed_effects")
    index_of(database, models)
    [best, *_] = recommended(database, models, "u0").scores
    vector = client.get(f"{FILMS}/movies/{best.movie}").json()["vector"]
    assert client.put(f"{FILMS}/movies/new", json={"vector": vector}).status_code == 201
    assert client.delete(f"{FILMS}/movies/{best.movie}").status_code == 204
    index_of(database, models)
    movies = [score.movie for score in recommended(database, models, "u0", limit=MOVIES).scores]
    assert "new" in movies
    assert best.movie not in movies


def test_until_an_index_is_made_every_movie_is_looked_at(
    client: TestClient,
    worker: Worker,
    database: Database,
    models: TrainedModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(client)
    train(client, worker, FILMS, trainer="mixed_effects")
    begun, goes_on = threading.Event(), threading.Event()
    step = MovieIndex.step

    def slow(index: MovieIndex) -> bool:
        begun.set()
        assert goes_on.wait(30)
        return step(index)

    monkeypatch.setattr(MovieIndex, "step", slow)
    first = recommended(database, models, "u0")
    assert begun.wait(30)
    assert recommended(database, models, "u0") == first
    goes_on.set()
    index_of(database, models)
    assert recommended(database, models, "u0") == first


def test_an_index_that_nobody_will_ask_is_not_made_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = threading.Semaphore(0)

    def endless(_: MovieIndex) -> bool:
        steps.release()
        return True

    monkeypatch.setattr(MovieIndex, "step", endless)
    before = set(threading.enumerate())
    index = MovieIndexes(1).begin(1, TINY, 2, {"index": {"candidates": 100}})
    assert index is not None
    [making] = set(threading.enumerate()) - before
    assert steps.acquire(timeout=30)
    del index
    making.join(30)
    assert not making.is_alive()


def test_an_index_that_cannot_be_made_leaves_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: MovieIndex) -> bool:
        raise MemoryError

    monkeypatch.setattr(MovieIndex, "step", fail)
    with capture_logs() as logged:
        index = MovieIndexes(1).begin(1, TINY, 2, {"index": {"candidates": 100}})
        for thread in threading.enumerate():
            if thread.name == "movie index":
                thread.join(30)
    assert index is not None
    assert not index.ready.is_set()
    assert index.best(UserPosterior(torch.ones(1)), 1, torch.empty(0, dtype=torch.int64), 0.0) is None
    assert [line["event"] for line in logged] == ["no index could be made"]


def test_a_training_succeeds_also_when_no_index_can_be_made(
    client: TestClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("FAISS does not want to")

    monkeypatch.setattr(shortlist, "measure", fail)
    load(client)
    training = train(client, worker, FILMS, trainer="gradient_descent")
    assert (training["status"], training["metrics"]["index"]) == ("succeeded", None)


def test_a_training_is_cancelled_while_its_index_is_measured(
    client: TestClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = shortlist.measure

    def cancelled(*of: Any) -> Any:  # noqa: ANN401 - as it is
        assert client.post(f"{FILMS}/trainings/1:cancel").status_code == 202
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            of[-1]()  # raises when the reporter has noticed
            time.sleep(0.01)
        return measure(*of)

    monkeypatch.setattr(shortlist, "measure", cancelled)
    load(client)
    assert train(client, worker, FILMS, trainer="gradient_descent")["status"] == "cancelled"


def test_without_faiss_every_movie_is_looked_at_and_the_log_says_so(
    client: TestClient,
    worker: Worker,
    database: Database,
    models: TrainedModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shortlist, "installed", lambda: False)
    load(client)
    with capture_logs() as logged:
        training = train(client, worker, FILMS, trainer="mixed_effects")
        assert serving(database, models).index is None
    assert training["metrics"]["index"] is None
    reasons = {line["event"]: line.get("reason") for line in logged if line["log_level"] == "warning"}
    assert reasons == {
        "no index is measured": "FAISS is not installed: pip install 'likely[faiss]'",
        "recommendations look at every movie": "FAISS is not installed: pip install 'likely[faiss]'",
    }
    assert said(recommended(database, models, "u0")) == said(recommended(database, TrainedModels(), "u0"))


def test_a_training_that_measured_no_index_is_served_without(
    client: TestClient, database: Database, settings: Settings, models: TrainedModels
) -> None:
    load(client)
    plain = Worker(database, settings.model_copy(update={"index_movies": MOVIES}), "plain")
    assert train(client, plain, FILMS, trainer="mixed_effects")["metrics"]["index"] is None
    with capture_logs() as logged:
        assert serving(database, models).index is None
    assert [line["reason"] for line in logged] == ["the training measured no index: the next one will"]
