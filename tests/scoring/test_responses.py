"""Responses: given, changed, taken back, listed, and in step with the embedding that they change."""

import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.database.database import Database
from app.database.tables import User, UserEmbedding
from tests.support.requests.classroom import CLASS, answer, embedding, fast_answers
from tests.support.requests.refusals import check_problem


def test_a_response_is_new_once_and_then_replaced(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/users/new/responses/m0"
    given = client.put(path, json={"response": 0.5})
    assert given.status_code == 201
    version = given.json().pop("embedding_version")
    assert given.json() == {
        "user": "new",
        "movie": "m0",
        "response": 0.5,
        "training": None,
        "embedding_version": version,
    }
    changed = client.put(path, json={"response": 1})
    assert (changed.status_code, changed.json()["response"]) == (200, 1)
    assert changed.json()["embedding_version"] > version


def test_giving_the_same_response_again_changes_nothing(client: TestClient, trained: str) -> None:
    path = f"{trained}/users/0/responses/m0"
    first = client.put(path, json={"response": 1, "timestamp": 10})
    learned = embedding(client, trained, "0")
    again = client.put(path, json={"response": 1})
    assert again.json() == first.json()
    assert embedding(client, trained, "0") == learned
    assert client.get(f"{trained}/users/0/responses").json()["items"][0]["timestamp"] == 10


def test_a_response_and_its_embedding_are_stored_together(
    client: TestClient, trained: str, database: Database
) -> None:
    for response in (0, 0.3, 1):
        version = answer(client, trained, "0", "m1", response)["embedding_version"]
        with database.reading() as connection:
            stored = connection.execute(
                select(User.version, UserEmbedding.version)
                .join(UserEmbedding, UserEmbedding.user_id == User.id)
                .where(User.user == "0")
            ).one()
        assert tuple(stored) == (version, version)


def test_the_answer_names_the_training_that_was_folded_in(client: TestClient, trained: str) -> None:
    assert answer(client, trained, "0", "m1", 1)["training"] == client.get(trained).json()["serving"]


def test_every_number_between_no_and_yes_is_a_response(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/users/new/responses"
    for response in (0, 1, 0.5, 1e-300, 0.1 + 0.2, 1 - 2**-53):
        client.put(f"{path}/m0", json={"response": response})
        assert client.get(path).json()["items"][0]["response"] == response


def test_a_response_without_a_timestamp_gets_the_present_time(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/users/new/responses"
    before = time.time()
    client.put(f"{path}/m0", json={"response": 1})
    client.put(f"{path}/m1", json={"response": 1, "timestamp": 12.5})
    now, given = (item["timestamp"] for item in client.get(path).json()["items"])
    assert before - 1 <= now <= time.time() + 1
    assert given == 12.5


def test_the_first_response_makes_the_user_and_a_refused_one_does_not(
    client: TestClient, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}/users"
    assert client.put(f"{path}/new/responses/nowhere", json={"response": 1}).status_code == 404
    assert client.put(f"{path}/new/responses/m0", json={"response": 2}).status_code == 422
    assert client.get(f"{path}/new/responses").status_code == 404
    assert client.put(f"{path}/new/responses/m0", json={"response": 1}).status_code == 201
    assert {"user": "new", "responses": 1} in client.get(path).json()["items"]


def test_a_response_taken_back_is_gone_and_unlearned(client: TestClient, trained: str) -> None:
    path = f"{trained}/users/0/responses/m0"
    before = embedding(client, trained, "0")
    deleted = client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [item["movie"] for item in client.get(f"{trained}/users/0/responses").json()["items"]] == [
        "m1",
        "m2",
    ]
    assert embedding(client, trained, "0") != before
    problem = check_problem(client.delete(path))
    assert problem["status"] == 404
    assert "user '0' has no response to movie 'm0'" in problem["detail"]


def test_who_took_everything_back_is_known_but_has_no_scores(client: TestClient, trained: str) -> None:
    for movie in ("m0", "m1", "m2"):
        client.delete(f"{trained}/users/0/responses/{movie}")
    assert client.get(f"{trained}/users/0/responses").json() == {"items": [], "next": None}
    assert client.get(f"{trained}/users/0/scores").status_code == 404
    answer(client, trained, "0", "m2", 1)
    assert client.get(f"{trained}/users/0/scores").json()["responses"] == 1


def test_a_users_responses_are_listed_in_the_order_of_the_movies(
    client: TestClient, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}/users/1/responses"
    first = client.get(path, params={"limit": 2}).json()
    assert [(item["user"], item["movie"], item["response"]) for item in first["items"]] == [
        ("1", "m0", 0),
        ("1", "m1", 1),
    ]
    second = client.get(path, params={"limit": 2, "after": first["next"]}).json()
    assert ([item["movie"] for item in second["items"]], second["next"]) == (["m2"], None)


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 10])
def test_pages_of_all_responses_cross_from_user_to_user(published: TestClient, limit: int) -> None:
    listed: list[tuple[str, str]] = []
    params: dict[str, str | int] = {"limit": limit}
    while True:
        page = published.get(f"{CLASS}/responses", params=params).json()
        listed += [(item["user"], item["movie"]) for item in page["items"]]
        if page["next"] is None:
            break
        params["after"] = page["next"]
    assert listed == [(user, movie) for user in ("0", "1", "2") for movie in ("m0", "m1", "m2")]


def test_responses_of_somebody_unknown_are_a_404_that_says_how_users_begin(
    published: TestClient,
) -> None:
    problem = check_problem(published.get(f"{CLASS}/users/nobody/responses"))
    assert problem["status"] == 404
    assert "their first response makes one" in problem["detail"]
    assert "'class'" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"response": 1}',
        b'{"response": 0.25, "timestamp": 12.5}',
        b'{"response": 0.5, "timestamp": null}',
        b'{"response": true}',
        b'{"response": "1"}',
        b'{"response": 1.5}',
        b'{"response": NaN}',
        b'{"response": 1, "more": 2}',
        b"{}",
        b"[]",
        b"{",
        b"",
        b"\xff",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "users/0/responses/m0",
        "users/new/responses/m1",
        "users/0/responses/none",
        "users/../responses/m0",
        "users/%20/responses/m0",
    ],
)
def test_a_response_put_by_the_fast_path_is_answered_as_the_handler_answers_it(
    client: TestClient, class_catalog: str, body: bytes, path: str
) -> None:
    def put(content_type: str) -> dict[str, Any]:
        client.delete(f"/v1/catalogs/{class_catalog}/users/new")
        url = f"/v1/catalogs/{class_catalog}/{path}"
        answer = client.put(url, content=body, headers={"Content-Type": content_type})
        stored = client.get(f"/v1/catalogs/{class_catalog}/responses").json()
        for response in stored["items"]:
            response.pop("timestamp")
        content = {**answer.json(), "request_id": "", "embedding_version": ""}
        headers = answer.headers["content-type"]
        return {"status": answer.status_code, "type": headers, "content": content, **stored}

    answer_counts = fast_answers(client)
    before = answer_counts.copy()
    fast = put("application/json")
    after = answer_counts.copy()
    assert after.total() - before.total() == int(fast["status"] in {200, 201})
    assert put("application/json; charset=utf-8") == fast
    assert answer_counts == after
