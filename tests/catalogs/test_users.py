"""Users: listed, shown as embeddings, forgotten."""

from fastapi.testclient import TestClient
from sqlalchemy import select

from app.cli.demo import DIMENSIONS
from app.database.database import Database
from app.database.tables import User, UserEmbedding
from app.training.worker import Worker
from tests.support.requests.classroom import answer, embedding, scores, train
from tests.support.requests.refusals import check_problem


def test_users_are_listed_in_pages_with_the_number_of_their_responses(
    client: TestClient, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    answer(client, path, "10", "m1", 1)
    first = client.get(f"{path}/users", params={"limit": 3}).json()
    assert [tuple(item.values()) for item in first["items"]] == [("0", 3), ("1", 3), ("10", 1)]
    second = client.get(f"{path}/users", params={"limit": 3, "after": first["next"]}).json()
    assert second == {"items": [{"user": "2", "responses": 3}], "next": None}


def test_an_embedding_is_shown_by_the_names_of_the_dimensions(client: TestClient, trained: str) -> None:
    content = client.get(f"{trained}/users/1/embedding").json()
    assert list(content["embedding"]) == list(DIMENSIONS)
    assert (content["user"], content["training"], content["responses"]) == ("1", 1, 3)
    version = answer(client, trained, "1", "m0", 0.5)["embedding_version"]
    assert client.get(f"{trained}/users/1/embedding").json()["embedding_version"] == version


def test_an_embedding_before_any_training_is_a_conflict_that_says_what_to_do(
    client: TestClient, class_catalog: str
) -> None:
    problem = check_problem(client.get(f"/v1/catalogs/{class_catalog}/users/0/embedding"))
    assert problem["status"] == 409
    assert "POST /v1/catalogs/class/trainings" in problem["detail"]


def test_a_deleted_user_is_forgotten_in_every_training(
    client: TestClient, trained: str, worker: Worker, database: Database
) -> None:
    train(client, worker, serve=False, seed=1)
    with database.reading() as connection:
        key = connection.scalar(select(User.id).where(User.user == "0"))
        embeddings = select(UserEmbedding.training_id).where(UserEmbedding.user_id == key)
        assert len(connection.execute(embeddings).all()) == 2
    reply = client.delete(f"{trained}/users/0")
    assert (reply.status_code, reply.content) == (204, b"")
    with database.reading() as connection:
        assert connection.execute(embeddings).all() == []
    for what in ("embedding", "scores", "recommendations", "responses"):
        assert client.get(f"{trained}/users/0/{what}").status_code == 404
    assert [item["user"] for item in client.get(f"{trained}/users").json()["items"]] == ["1", "2"]
    assert {item["user"] for item in client.get(f"{trained}/responses").json()["items"]} == {"1", "2"}
    assert check_problem(client.delete(f"{trained}/users/0"))["status"] == 404


def test_deleting_one_user_leaves_the_scores_of_the_others(client: TestClient, trained: str) -> None:
    before = {user: scores(client, trained, user) for user in ("1", "2")}
    client.delete(f"{trained}/users/0")
    assert {user: scores(client, trained, user) for user in ("1", "2")} == before


def test_who_comes_back_starts_from_nothing(client: TestClient, trained: str) -> None:
    old = embedding(client, trained, "0")
    client.delete(f"{trained}/users/0")
    stored = answer(client, trained, "0", "m2", 1)
    content = client.get(f"{trained}/users/0/embedding").json()
    assert (content["responses"], content["embedding_version"]) == (1, stored["embedding_version"])
    assert embedding(client, trained, "0") != old
