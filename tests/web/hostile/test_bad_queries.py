"""Mistakes in queries, in the header of a stream, and names of what does not exist outside of the path."""

import pytest
from fastapi.testclient import TestClient

from tests.support.requests.classroom import CLASS
from tests.support.requests.hostile_values import BAD_QUERIES
from tests.support.requests.refusals import Refusing, check_problem


def test_unknown_things_outside_of_the_path_are_named(refusing: Refusing) -> None:
    assert "999" in refusing.refuse("PUT", f"{CLASS}/serving", 404, content='{"training": 999}')["detail"]
    scored = refusing.refuse("GET", f"{CLASS}/users/0/scores?movie=m0&movie=nowhere", 404)
    assert "'nowhere'" in scored["detail"]


PLOTS = (f"{CLASS}/plots/heatmap", f"{CLASS}/plots/scatter.svg", f"{CLASS}/plots/scores.txt")
QUERIES = {
    "limit": (
        *("/v1/catalogs", f"{CLASS}/movies", f"{CLASS}/users", f"{CLASS}/users/0/responses"),
        *(f"{CLASS}/responses", f"{CLASS}/trainings", f"{CLASS}/users/0/recommendations"),
    ),
    "min_score": (f"{CLASS}/users/0/recommendations",),
    "movie": (f"{CLASS}/users/0/scores", *PLOTS),
    "exclude": (f"{CLASS}/users/0/recommendations",),
    "after": (
        *("/v1/catalogs", f"{CLASS}/movies", f"{CLASS}/users", f"{CLASS}/users/0/responses"),
        *(f"{CLASS}/responses", f"{CLASS}/trainings"),
    ),
    "user": PLOTS,
    "training": PLOTS,
    "dimension": PLOTS[:1],
    "x": PLOTS[1:2],
    "y": PLOTS[1:2],
}


@pytest.mark.parametrize("parameter", QUERIES)
def test_a_bad_query_is_refused_by_the_name_of_its_parameter(refusing: Refusing, parameter: str) -> None:
    for path in QUERIES[parameter]:
        for bad in BAD_QUERIES[parameter]:
            problem = refusing.refuse("GET", f"{path}?{parameter}={bad}", 422)
            assert [place["parameter"] for place in problem["errors"]] == [parameter]


def test_a_page_mark_that_no_page_gave_is_refused(refusing: Refusing) -> None:
    marks = ("x", "/", "a/", "/b", "a/b/c", "xxx", f"a/{'x' * 256}")
    for path, mark in (*((f"{CLASS}/responses", mark) for mark in marks), (f"{CLASS}/trainings", "x")):
        problem = refusing.refuse("GET", f"{path}?after={mark}", 422)
        assert [place["parameter"] for place in problem["errors"]] == ["after"]


def test_too_many_movies_at_once_are_refused(refusing: Refusing) -> None:
    for path, name in ((f"{CLASS}/users/0/scores", "movie"), (f"{CLASS}/users/0/recommendations", "exclude")):
        problem = refusing.refuse("GET", f"{path}?" + "&".join([f"{name}=m0"] * 1001), 422)
        assert [place["parameter"] for place in problem["errors"]] == [name]


def test_a_bad_last_event_id_is_refused_before_the_stream_starts(refusing: Refusing) -> None:
    for bad in ("x", "-1", "1.5", str(2**53), "9" * 5000):
        answer, problem = refusing.send("GET", f"{CLASS}/trainings/1/events", headers={"Last-Event-ID": bad})
        assert answer.status_code == 422
        assert [place["parameter"] for place in problem["errors"]] == ["last-event-id"]


def test_a_misspelt_parameter_is_refused_with_those_that_there_are(client: TestClient) -> None:
    answer = client.get("/v1/catalogs?limt=1")
    assert answer.status_code == 422
    [place] = answer.json()["errors"]
    assert place["parameter"] == "limt"
    assert "after, limit" in place["detail"]
    client.put("/v1/catalogs/x", json={"dimensions": []})
    misspelt, csv = "/v1/catalogs/x/movies:import?dry-run=true", {"content-type": "text/csv"}
    assert client.post(misspelt, content=b"movie\nm\n", headers=csv).status_code == 422
    assert client.get("/v1/catalogs/x").json()["movies"] == 0


@pytest.mark.parametrize("query", ["scores?movie=m0&movie=m1", "next-question?exclude=m0&exclude=m1"])
def test_lists_are_given_by_repeating_a_parameter(client: TestClient, trained: str, query: str) -> None:
    assert client.get(f"{trained}/users/0/{query}").status_code in {200, 409}


@pytest.mark.parametrize(
    "query", ["recommendations?limit=1&limit=2", "scores?movie=m0&training=1&training=1"]
)
def test_what_is_no_list_is_given_once(client: TestClient, trained: str, query: str) -> None:
    problem = check_problem(client.get(f"{trained}/users/0/{query}"))
    assert problem["status"] == 422
