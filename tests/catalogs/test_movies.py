"""Movies and their vectors: stored, shown, listed, replaced, deleted."""

import json
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from app.cli.demo import MOVIES
from tests.support.requests.classroom import CLASS
from tests.support.requests.refusals import Refusing, check_problem

pytestmark = pytest.mark.usefixtures("class_catalog")


def test_a_movie_is_stored_once_and_then_replaced(client: TestClient) -> None:
    path = f"{CLASS}/movies/m3"
    answer = client.put(path, json={"title": "Three", "vector": [0.1, 0.2, 0.3]})
    assert answer.status_code == 201
    assert answer.json() == {"movie": "m3", "title": "Three", "vector": [0.1, 0.2, 0.3]}
    answer = client.put(path, json={"vector": [1, 2, 3]})
    assert (answer.status_code, answer.json()) == (
        200,
        {"movie": "m3", "title": "m3", "vector": [1, 2, 3]},
    )
    assert client.get(path).json() == answer.json()
    assert client.get(CLASS).json()["movies"] == 4


def test_a_vector_comes_back_as_the_float32_nearest_to_what_was_sent(client: TestClient) -> None:
    for number in (0.6, -0.7, 1e-30, 1e9, -1e9, 0.1 + 0.2, 16777217, 1e-50, 0):
        shown = client.put(f"{CLASS}/movies/m3", json={"vector": [number] * 3}).json()["vector"]
        assert shown == pytest.approx([number] * 3, rel=2**-24, abs=1e-45)
        again = client.put(f"{CLASS}/movies/m3", json={"vector": shown}).json()["vector"]
        assert again == shown


def test_short_decimals_come_back_as_sent(client: TestClient) -> None:
    for movie, vector in MOVIES.items():
        assert client.get(f"{CLASS}/movies/{movie}").json()["vector"] == list(vector)


def test_a_vector_by_name_is_the_vector_in_order(client: TestClient) -> None:
    by_name = {"language": 3, "violence": 1, "positive message": 2}
    assert client.put(f"{CLASS}/movies/m3", json={"vector": by_name}).json()["vector"] == [1, 2, 3]


def test_other_dimensions_than_the_catalogs_are_a_conflict(refusing: Refusing) -> None:
    vectors: tuple[tuple[dict[str, int], str], ...] = (
        ({"violence": 1, "language": 2}, "'positive message' is missing"),
        ({"violence": 1, "language": 2, "positive message": 3, "x": 4}, "'x' is no dimension of the catalog"),
        ({}, "'violence' is missing"),
    )
    for vector, said in vectors:
        body = json.dumps({"vector": vector})
        problem = refusing.refuse("PUT", f"{CLASS}/movies/m3", 409, content=body)
        assert said in [place["detail"] for place in problem["errors"]]


def test_pages_list_every_movie_once_in_order(client: TestClient) -> None:
    names = ["m10", "é", "M", "a b", "m1%"]
    for name in names:
        client.put(f"{CLASS}/movies/{quote(name)}", json={"title": name.upper(), "vector": [0, 0, 0]})
    first = client.get(f"{CLASS}/movies", params={"limit": 5}).json()
    second = client.get(f"{CLASS}/movies", params={"limit": 5, "after": first["next"]}).json()
    listed = [item["movie"] for item in first["items"] + second["items"]]
    assert listed == sorted([*names, *MOVIES])
    assert second["next"] is None
    assert first["items"][0] == {"movie": "M", "title": "M", "vector": [0, 0, 0]}


def test_a_full_last_page_is_followed_by_an_empty_one(client: TestClient) -> None:
    page = client.get(f"{CLASS}/movies", params={"limit": 3}).json()
    assert page["next"] == "m2"
    rest = client.get(f"{CLASS}/movies", params={"limit": 3, "after": "m2"}).json()
    assert rest == {"items": [], "next": None}


def test_a_page_mark_stays_good_when_its_movie_is_deleted(client: TestClient) -> None:
    mark = client.get(f"{CLASS}/movies", params={"limit": 1}).json()["next"]
    client.delete(f"{CLASS}/movies/{mark}")
    rest = client.get(f"{CLASS}/movies", params={"after": mark}).json()
    assert [item["movie"] for item in rest["items"]] == ["m1", "m2"]


def test_a_deleted_movie_is_gone(client: TestClient) -> None:
    answer = client.delete(f"{CLASS}/movies/m0")
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        problem = check_problem(client.request(method, f"{CLASS}/movies/m0"))
        assert problem["status"] == 404
        assert "PUT /v1/catalogs/class/movies/m0" in problem["detail"]


def test_a_catalog_without_dimensions_takes_empty_vectors(client: TestClient) -> None:
    client.put("/v1/catalogs/flat", json={"dimensions": []})
    empties: tuple[object, ...] = ([], {})
    for empty in empties:
        answer = client.put("/v1/catalogs/flat/movies/m", json={"vector": empty})
        assert answer.json() == {"movie": "m", "title": "m", "vector": []}
    assert check_problem(client.put("/v1/catalogs/flat/movies/m", json={"vector": [1]}))["status"] == 422
