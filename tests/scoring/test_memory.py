"""More movies or larger answers than memory allows are refused before they are allocated."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.cli.demo import load_class
from app.database.database import Database
from app.errors import TooLarge
from app.main import create_app
from app.scoring.memory import Memory
from app.settings import Settings
from app.training.worker import Worker
from models.recommender.trainers import make_trainer
from tests.support.requests.classroom import CLASS, train
from tests.support.requests.refusals import check_problem

MOVIES = 1500  # of two dimensions: more than a MiB allows, by what is assumed of a movie


@pytest.fixture(params=["gradient_descent", "mixed_effects"])
def small(request: pytest.FixtureRequest, database: Database) -> Iterator[TestClient]:
    """A service with the least memory that the settings take, and the class catalog, trained."""
    settings = Settings(
        database_url=database.url.render_as_string(),
        catalog_memory_bytes=2**20,
        answer_memory_bytes=2**20,
    )
    with database.writing() as connection:
        load_class(connection)
    with TestClient(create_app(settings)) as client:
        train(client, Worker(database, settings, name="test"), CLASS, trainer=request.param, options={})
        yield client


def refused(answer: httpx2.Response) -> str:
    problem = check_problem(answer)
    assert (problem["status"], problem["type"]) == (413, "urn:likely:problem:too-large")
    return str(problem["detail"])


def add_movies(client: TestClient, count: int) -> None:
    lines = ["movie,violence,positive message,language", *(f"x{number},0,0,0" for number in range(count))]
    headers = {"Content-Type": "text/csv"}
    added = client.post(f"{CLASS}/movies:import", content="\n".join(lines), headers=headers)
    assert added.status_code == 200, added.text


def test_a_catalog_with_more_movies_than_memory_allows_is_refused_with_the_limit(small: TestClient) -> None:
    assert small.get(f"{CLASS}/users/0/scores?movie=m0").status_code == 200
    add_movies(small, 2 * MOVIES)
    for path in ("scores?movie=m0", "recommendations", "scores"):
        said = refused(small.get(f"{CLASS}/users/0/{path}"))
        assert "LIKELY_CATALOG_MEMORY_BYTES allows 1,048,576" in said
    put = small.put(f"{CLASS}/users/0/responses/m0", json={"response": 0})
    assert "LIKELY_CATALOG_MEMORY_BYTES" in refused(put)


def test_an_answer_with_more_scores_than_memory_allows_says_what_would_be_right() -> None:
    memory = Memory(answer_bytes=2**20)
    memory.check_scores(1024, "")
    with pytest.raises(TooLarge, match=r"1,025 scores; LIKELY_ANSWER_MEMORY_BYTES allows 1,024; name movies"):
        memory.check_scores(1025, "name movies")


def test_all_scores_of_many_movies_are_refused_and_the_best_are_not(database: Database) -> None:
    settings = Settings(database_url=database.url.render_as_string(), answer_memory_bytes=2**20)
    with database.writing() as connection:
        load_class(connection)
    with TestClient(create_app(settings)) as client:
        train(client, Worker(database, settings, name="test"), CLASS)
        add_movies(client, MOVIES)
        assert "LIKELY_ANSWER_MEMORY_BYTES allows 1,024" in refused(client.get(f"{CLASS}/users/0/scores"))
        assert client.get(f"{CLASS}/users/0/recommendations?limit=1000").status_code == 200


def test_posteriors_of_many_users_are_counted_with_their_covariances() -> None:
    memory = Memory(answer_bytes=2**29)
    memory.check_posteriors(100_000, 28, uncertain=True)
    memory.check_posteriors(100_000, 400, uncertain=False)
    with pytest.raises(TooLarge, match="LIKELY_ANSWER_MEMORY_BYTES allows 536,870,912"):
        memory.check_posteriors(100_000, 400, uncertain=True)


def test_pairs_of_many_users_are_refused_whether_or_not_their_model_is_in_memory(database: Database) -> None:
    settings = Settings(database_url=database.url.render_as_string(), answer_memory_bytes=2**20)
    with TestClient(create_app(settings)) as client:
        wide = "/v1/catalogs/wide"
        client.put(wide, json={"dimensions": [f"d{number}" for number in range(100)]})
        client.put(f"{wide}/movies/m", json={"vector": [1.0] * 100})
        for user in range(30):
            client.put(f"{wide}/users/{user}/responses/m", json={"response": user % 2})
        worker = Worker(database, settings, name="test")
        train(client, worker, wide, trainer="mixed_effects", options={"max_steps": 1})
        pairs = [[str(user), "m"] for user in range(30)]
        for _ in range(2):
            said = refused(client.post(f"{wide}/scores", json={"pairs": pairs}))
            assert "LIKELY_ANSWER_MEMORY_BYTES allows 1,048,576" in said
            assert client.post(f"{wide}/scores", json={"pairs": pairs[:1]}).status_code == 200


@pytest.mark.parametrize("users", [300, 100_000])
def test_a_training_is_counted_with_what_it_keeps_of_a_user_and_learns_at_once(users: int) -> None:
    wide, narrow = (make_trainer("mixed_effects", {}).sizes(dimensions) for dimensions in (200, 3))
    kept = 4 * users * (wide.embedding + wide.factor)
    Memory(training_bytes=2**40).check_training(100, 200, users, 900, wide)
    with pytest.raises(TooLarge, match="LIKELY_TRAINING_MEMORY_BYTES"):
        Memory(training_bytes=max(kept, 2**29)).check_training(100, 200, users, 900, wide)
    Memory(training_bytes=2**30).check_training(100, 3, users, 900, narrow)
