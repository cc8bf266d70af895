"""Mistakes in paths, headers, sizes, types and methods, and paths to what does not exist.

The operations are read from the OpenAPI document, so a new one is tested as soon as it exists.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.support.requests.classroom import CLASS
from tests.support.requests.hostile_values import BAD_IDS_IN_URLS, BAD_SUFFIXES, BAD_TRAININGS
from tests.support.requests.operations import OPERATIONS, Operation, body_of, filled, named
from tests.support.requests.refusals import JSON, Refusing

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=named)
each_with_body = pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation.takes_json], ids=named
)


@each_operation
def test_a_bad_id_in_the_path_is_refused_by_the_name_of_its_parameter(
    refusing: Refusing, operation: Operation
) -> None:
    for parameter in re.findall(r"\{(\w+)\}", operation.path):
        for bad in {"training": BAD_TRAININGS, "suffix": BAD_SUFFIXES}.get(parameter, BAD_IDS_IN_URLS):
            path = filled(operation.path, **{parameter: bad})
            problem = refusing.refuse(operation.method, path, 422, content=body_of(operation))
            assert [place["parameter"] for place in problem["errors"]] == [parameter]


@each_operation
def test_an_empty_id_or_one_with_a_slash_leads_to_no_path(refusing: Refusing, operation: Operation) -> None:
    for parameter in re.findall(r"\{(\w+)\}", operation.path):
        for bad in ("", "a%2Fb", "%2F", "..%2F.."):
            path = filled(operation.path, **{parameter: bad})
            answer, _ = refusing.send(operation.method, path, content=body_of(operation))
            assert answer.status_code in {404, 405}


@each_operation
def test_what_does_not_exist_is_named(refusing: Refusing, operation: Operation) -> None:
    for parameter in re.findall(r"\{(\w+)\}", operation.path):
        makes_it = operation.method == "PUT" and (
            operation.path.endswith(f"{{{parameter}}}") and "responses" not in operation.path
        )
        makes_user = operation.method == "PUT" and parameter == "user"  # the first response makes a user
        anybody = operation.path.endswith("/next-question") and parameter == "user"
        if makes_it or makes_user or anybody or parameter == "suffix":
            continue
        unknown = "999999" if parameter == "training" else "nobody knows ünknown"
        path = filled(operation.path, **{parameter: unknown})
        problem = refusing.refuse(operation.method, path, 404, content=body_of(operation))
        assert problem["type"] == "urn:likely:problem:not-found"
        assert unknown in problem["detail"]


@each_with_body
def test_a_body_that_is_not_said_to_be_json_is_refused(refusing: Refusing, operation: Operation) -> None:
    types = (
        "text/plain",
        "text/csv",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "nonsense",
        "",
    )
    for headers in ({}, *({"Content-Type": media} for media in types)):
        answer, problem = refusing.send(
            operation.method, filled(operation.path), content=body_of(operation), headers=headers
        )
        assert answer.status_code == 415
        assert "Content-Type: application/json" in problem["detail"]


def chunks() -> Iterator[bytes]:
    """Yield a JSON body of two megabytes in pieces, so that no Content-Length says how much will come."""
    yield b'{"title": "'
    for _ in range(200):
        yield b"x" * 10_000
    yield b'"}'


@each_with_body
@pytest.mark.parametrize("body", [lambda: b"".join(chunks()), chunks], ids=["declared", "chunked"])
def test_a_body_over_the_limit_is_refused(
    refusing: Refusing, operation: Operation, body: Callable[[], bytes | Iterator[bytes]]
) -> None:
    answer, problem = refusing.send(operation.method, filled(operation.path), content=body(), headers=JSON)
    assert answer.status_code == 413
    assert problem["type"] == "urn:likely:problem:too-large"
    assert "1,000,000 bytes" in problem["detail"]


@each_with_body
def test_a_body_that_announces_too_much_is_refused_before_it_is_there(
    refusing: Refusing, operation: Operation
) -> None:
    headers = JSON | {"Content-Length": "1000001"}
    answer, problem = refusing.send(
        operation.method, filled(operation.path), content=body_of(operation), headers=headers
    )
    assert answer.status_code == 413
    assert "1,000,000 bytes" in problem["detail"]


METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS}))
def test_a_wrong_method_is_answered_with_the_right_ones(refusing: Refusing, path: str) -> None:
    right = {operation.method for operation in OPERATIONS if operation.path == path}
    for method in set(METHODS) - right:
        answer, problem = refusing.send(method, filled(path))
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == right
        assert method in problem["detail"]


def test_a_path_that_leads_nowhere_is_a_404_that_says_where_to_look(refusing: Refusing) -> None:
    nowhere = (
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/catalogs/",
        f"{CLASS}/",
        "/livez/",
        f"{CLASS}/movies/m0/x",
        "/%00",
    )
    for path in nowhere:
        for method in ("GET", "PUT", "DELETE"):
            problem = refusing.refuse(method, path, 404)
            assert problem["type"] == "urn:likely:problem:not-found"
            assert "/docs" in problem["detail"]


def test_a_request_id_comes_back_as_given(refusing: Refusing) -> None:
    for path in (CLASS, f"{CLASS}/movies/nothing", "/nothing", "/livez"):
        answer = refusing.client.get(path, headers={"X-Request-ID": "Test-1.2_3"})
        assert answer.headers["x-request-id"] == "Test-1.2_3"
        if answer.status_code == 404:
            assert answer.json()["request_id"] == "Test-1.2_3"


def test_requests_without_a_usable_id_get_one_of_their_own(refusing: Refusing) -> None:
    given: tuple[str | None, ...] = (None, "", "x" * 65, "two words", "a\tb", "<script>")
    headers = [{} if name is None else {"X-Request-ID": name} for name in given]
    made = [refusing.client.get("/livez", headers=header).headers["x-request-id"] for header in headers]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in made)
    assert len(set(made)) == len(made)


def test_ids_in_paths_are_read_as_they_were_written(refusing: Refusing) -> None:
    for written in ("caf%C3%A9", "cafe%CC%81", "a%3Fb%23c", "100%25", "a%3Ab", "%F0%9F%8E%AC", "a%5Cb"):
        problem = refusing.refuse("GET", f"{CLASS}/movies/{written}", 404)
        assert repr(unquote(written)) in problem["detail"]


def test_a_movie_called_like_an_import_is_not_allowed_more_bytes(settings: Settings) -> None:
    small = settings.model_copy(update={"max_body_bytes": 1024})
    body = {"vector": [], "title": "x" * 2000}
    with TestClient(create_app(small)) as client:
        client.put("/v1/catalogs/c", json={"dimensions": []})
        assert client.put("/v1/catalogs/c/movies/x:import", json=body).status_code == 413
        assert client.put("/v1/catalogs/c/movies/movies:import", json=body).status_code == 413


def test_the_body_of_a_computation_is_bounded_by_itself(settings: Settings) -> None:
    small = settings.model_copy(update={"compute_body_bytes": 1024})
    with TestClient(create_app(small)) as client:
        problem = client.post("/v1/compute/tensor", json={"program": "1", "variables": {"x": [0] * 1024}})
        assert problem.status_code == 413
        assert "larger than the 1,024 bytes accepted here" in problem.json()["detail"]
        body = {"dimensions": [f"dimension {number}" for number in range(100)]}
        assert client.put("/v1/catalogs/c", json=body).status_code == 201
