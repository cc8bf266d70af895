"""Searching lists: what has the text in its id or title, page by page as ever."""

import pytest
from fastapi.testclient import TestClient

from tests.support.requests.classroom import CLASS, answer, make_catalog

MOVIES = {"heat": (0.9, 0.1, 0.0), "heist": (0.5, 0.5, 0.5), "100%_real": (0.0, 0.0, 0.0)}


@pytest.fixture
def films(client: TestClient) -> str:
    path = make_catalog(client, "films", {}, MOVIES)
    titled = {"title": "The Great Robbery", "vector": [0, 0, 0]}
    assert client.put(f"{path}/movies/m1", json=titled).status_code == 201
    for user in ("ana", "Anton", "ben"):
        answer(client, path, user, "heat", 1)
    return path


def found(client: TestClient, path: str, search: str, **more: str) -> list[str]:
    reply = client.get(path, params={"search": search, **more})
    assert reply.status_code == 200, reply.text
    return [next(iter(item.values())) for item in reply.json()["items"]]


def test_movies_are_found_by_id_or_title(client: TestClient, films: str) -> None:
    assert found(client, f"{films}/movies", "he") == ["heat", "heist", "m1"]
    assert found(client, f"{films}/movies", "ROBBERY") == ["m1"]
    assert found(client, f"{films}/movies", "nothing") == []


def test_users_and_catalogs_are_found_too(client: TestClient, films: str, class_catalog: str) -> None:
    assert found(client, f"{films}/users", "an") == ["Anton", "ana"]
    assert found(client, "/v1/catalogs", "film") == ["films"]
    assert found(client, "/v1/catalogs", "class example") == [class_catalog]


def test_what_is_searched_for_is_text_and_no_pattern(client: TestClient, films: str) -> None:
    assert found(client, f"{films}/movies", "%_") == ["100%_real"]
    assert found(client, f"{films}/movies", "h%t") == []
    assert found(client, f"{films}/movies", "/") == []


def test_pages_of_a_search_follow_each_other(client: TestClient, films: str) -> None:
    first = client.get(f"{films}/movies", params={"search": "he", "limit": 2}).json()
    assert [movie["movie"] for movie in first["items"]] == ["heat", "heist"]
    assert found(client, f"{films}/movies", "he", after=first["next"]) == ["m1"]


def test_an_empty_search_is_refused(client: TestClient, class_catalog: str) -> None:
    assert class_catalog in CLASS
    for path in ("/v1/catalogs", f"{CLASS}/movies", f"{CLASS}/users"):
        assert client.get(path, params={"search": ""}).status_code == 422
