"""Catalogs: made, shown, listed, replaced, deleted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from app.catalogs.catalogs import delete_catalog
from app.database.database import Database
from tests.support.requests.classroom import CLASS, make_catalog
from tests.support.requests.refusals import Refusing, check_problem


def test_a_catalog_is_made_once_and_then_replaced(client: TestClient) -> None:
    answer = client.put("/v1/catalogs/films", json={"dimensions": ["a", "b"]})
    shown = {"catalog": "films", "title": "films", "dimensions": ["a", "b"]}
    counts = {"movies": 0, "users": 0, "responses": 0, "serving": None}
    assert (answer.status_code, answer.json()) == (201, shown | counts)
    answer = client.put("/v1/catalogs/films", json={"title": "Films", "dimensions": ["b", "c"]})
    assert answer.status_code == 200
    assert answer.json() == shown | counts | {"title": "Films", "dimensions": ["b", "c"]}
    assert client.get("/v1/catalogs/films").json() == answer.json()


def test_putting_the_same_again_changes_nothing(client: TestClient, trained: str) -> None:
    before = client.get(trained).json()
    body = {"title": before["title"], "dimensions": before["dimensions"]}
    assert client.put(trained, json=body).status_code == 200
    assert client.get(trained).json() == before


def test_a_catalog_counts_what_it_holds(client: TestClient, trained: str) -> None:
    shown = client.get(trained).json()
    assert (shown["movies"], shown["users"], shown["responses"], shown["serving"]) == (3, 3, 9, 1)
    client.delete(f"{trained}/users/0")
    client.delete(f"{trained}/movies/m0")
    shown = client.get(trained).json()
    assert (shown["movies"], shown["users"], shown["responses"], shown["serving"]) == (2, 2, 4, 1)


def test_a_new_title_leaves_everything_in_place(client: TestClient, trained: str) -> None:
    before = client.get(trained).json()
    client.put(trained, json={"title": "New", "dimensions": before["dimensions"]})
    assert client.get(trained).json() == before | {"title": "New"}


@pytest.fixture
def deleted_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another process delete the class catalog between the commit of a write and its answer."""
    write = Database.writing

    @contextmanager
    def write_before_the_other(database: Database) -> Iterator[Connection]:
        with write(database) as connection:
            yield connection
        with write(database) as connection:
            delete_catalog(connection, "class")

    monkeypatch.setattr(Database, "writing", write_before_the_other)


@pytest.mark.usefixtures("deleted_by_others")
def test_a_stored_catalog_is_answered_whoever_deletes_it_then(client: TestClient) -> None:
    answer = client.put(CLASS, json={"title": "Class", "dimensions": ["a"]})
    assert (answer.status_code, answer.json()["title"]) == (201, "Class")
    assert client.get(CLASS).status_code == 404


@pytest.mark.usefixtures("trained", "deleted_by_others")
def test_a_promotion_is_answered_whoever_deletes_the_catalog_then(client: TestClient) -> None:
    answer = client.put(f"{CLASS}/serving", json={"training": 1})
    assert (answer.status_code, answer.json()["serving"]) == (200, 1)
    assert client.get(CLASS).status_code == 404


def test_the_dimensions_of_stored_movies_cannot_change(refusing: Refusing) -> None:
    others: tuple[list[str], ...] = (["violence"], [], ["language", "positive message", "violence"])
    for dimensions in others:
        body = json.dumps({"dimensions": dimensions})
        problem = refusing.refuse("PUT", CLASS, 409, content=body)
        assert "DELETE /v1/catalogs/class first" in problem["detail"]
        assert problem["errors"][0]["pointer"] == "/dimensions"


def test_a_dimension_needs_a_name_of_its_own(client: TestClient) -> None:
    dimensions = ["a", "movie", "b", "a", "title"]
    problem = check_problem(client.put("/v1/catalogs/films", json={"dimensions": dimensions}))
    assert problem["status"] == 422
    assert {place["pointer"] for place in problem["errors"]} == {
        "/dimensions/1",
        "/dimensions/3",
        "/dimensions/4",
    }


def test_pages_list_every_catalog_once_in_order(client: TestClient) -> None:
    names = ["b", "a", "é", "A", "10", "9", "a:b"]
    for name in names:
        client.put(f"/v1/catalogs/{quote(name)}", json={"dimensions": []})
    listed: list[str] = []
    params: dict[str, str | int] = {"limit": 3}
    while True:
        page = client.get("/v1/catalogs", params=params).json()
        assert len(page["items"]) <= 3
        listed += [item["catalog"] for item in page["items"]]
        if page["next"] is None:
            break
        params["after"] = page["next"]
    assert listed == sorted(names)


def test_an_empty_service_lists_nothing(client: TestClient) -> None:
    assert client.get("/v1/catalogs").json() == {"items": [], "next": None}


def test_a_deleted_catalog_is_gone(client: TestClient, class_catalog: str) -> None:
    answer = client.delete(f"/v1/catalogs/{class_catalog}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert check_problem(client.request(method, CLASS))["status"] == 404
    assert client.get("/v1/catalogs").json()["items"] == []


def test_catalogs_do_not_see_each_other(client: TestClient, class_catalog: str) -> None:
    other = make_catalog(client, "other", {"0": {"m0": 0.25}}, {"m0": (1.0, 2.0, 3.0)})
    assert client.get(f"{other}/movies/m0").json()["vector"] == [1.0, 2.0, 3.0]
    assert client.get(f"/v1/catalogs/{class_catalog}/movies/m0").json()["vector"] == [0.6, 0.4, -0.2]
    assert [item["response"] for item in client.get(f"{other}/responses").json()["items"]] == [0.25]
    client.delete(other)
    assert client.get(f"/v1/catalogs/{class_catalog}").json()["responses"] == 9


def test_any_name_works_as_a_path(client: TestClient) -> None:
    for name in ("каталог", "100%", "a?b#c", "two words", "a:b", "映画🎬", "a+b&c=d", "x" * 128):
        path = f"/v1/catalogs/{quote(name, safe='')}"
        assert client.put(path, json={"dimensions": ["a"]}).status_code == 201
        assert client.get(path).json()["catalog"] == name
        answer = client.post(f"{path}/trainings", json={"trainer": "gradient_descent"})
        assert answer.status_code == 202
        assert client.get(answer.headers["location"]).json() == answer.json()
        assert client.delete(path).status_code == 204


def test_names_that_look_alike_stay_apart(client: TestClient) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (composed, decomposed, "cafe", "CAFE"):
        assert client.put(f"/v1/catalogs/{quote(name)}", json={"dimensions": []}).status_code == 201
    assert len(client.get("/v1/catalogs").json()["items"]) == 4
