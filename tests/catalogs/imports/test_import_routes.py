"""Imports over HTTP: whole files, all or nothing, and what a caller is told about a bad one."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from tests.support.storage import contents

FILMS = "/v1/catalogs/films"
NDJSON, CSV, PARQUET = "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"

MOVIES: list[dict[str, Any]] = [
    {"movie": "heat", "title": "Heat", "action": 0.9, "romance": 0.1},
    {"movie": "notebook", "title": "The Notebook", "action": 0.0, "romance": 1.0},
    {"movie": "ü-2", "title": 'Commas, "quotes"', "action": -1.0, "romance": 0.5},
]
RESPONSES: list[dict[str, Any]] = [
    {"user": "ana", "movie": "heat", "response": 1.0},
    {"user": "ana", "movie": "notebook", "response": 0.25},
    {"user": "ben", "movie": "notebook", "response": 0.0},
]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return pl.DataFrame(rows).write_csv().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def as_ndjson(rows: list[dict[str, Any]]) -> bytes:
    lines = []
    for row in rows:
        line = dict(row)
        if "action" in line:
            line["vector"] = [line.pop("action"), line.pop("romance")]
        lines.append(json.dumps(line))
    return "\n".join(lines).encode()


FORMATS = [(NDJSON, as_ndjson), (CSV, as_csv), (PARQUET, as_parquet)]
every_format = pytest.mark.parametrize(("content_type", "write"), FORMATS, ids=["ndjson", "csv", "parquet"])
Write = Callable[[list[dict[str, Any]]], bytes]


@pytest.fixture
def films(client: TestClient) -> TestClient:
    """A client, and a catalog of films without movies."""
    assert client.put(FILMS, json={"dimensions": ["action", "romance"]}).status_code == 201
    return client


def post(client: TestClient, what: str, body: bytes, content_type: str, **query: str) -> tuple[int, Any]:
    headers = {"content-type": content_type}
    answer = client.post(f"{FILMS}/{what}:import", content=body, headers=headers, params=query)
    return answer.status_code, answer.json()


@every_format
def test_what_is_imported_is_what_is_read(films: TestClient, content_type: str, write: Write) -> None:
    assert post(films, "movies", write(MOVIES), content_type) == (
        200,
        {"rows": 3, "created": 3, "replaced": 0},
    )
    for movie in MOVIES:
        read = films.get(f"{FILMS}/movies/{movie['movie']}").json()
        vector = [movie["action"], movie["romance"]]
        assert read == {"movie": movie["movie"], "title": movie["title"], "vector": vector}
    assert post(films, "responses", write(RESPONSES), content_type)[1]["created"] == 3
    read = films.get(f"{FILMS}/responses").json()["items"]
    assert [{name: item[name] for name in RESPONSES[0]} for item in read] == RESPONSES
    again = [{**row, "response": 1 - row["response"]} for row in RESPONSES[:2]]
    assert post(films, "responses", write(again), content_type)[1] == {"rows": 2, "created": 0, "replaced": 2}
    read = films.get(f"{FILMS}/users/ana/responses").json()["items"]
    assert [item["response"] for item in read] == [0.0, 0.75]


@every_format
def test_a_dry_run_checks_everything_and_stores_nothing(
    films: TestClient, database: Database, content_type: str, write: Write
) -> None:
    before = contents(database)
    answer = post(films, "movies", write(MOVIES), content_type, dry_run="true")
    assert answer == (200, {"rows": 3, "created": 3, "replaced": 0})
    assert contents(database) == before
    bad = [{**MOVIES[0], "movie": "a/b"}]
    assert post(films, "movies", write(bad), content_type, dry_run="true")[0] == 422


@every_format
def test_one_bad_row_and_nothing_is_stored(
    films: TestClient, database: Database, content_type: str, write: Write
) -> None:
    post(films, "movies", write(MOVIES), content_type)
    before = contents(database)
    rows = [RESPONSES[0], {**RESPONSES[1], "response": 1.5}, {**RESPONSES[2], "movie": "nope"}, RESPONSES[1]]
    status, problem = post(films, "responses", write(rows), content_type)
    assert (status, problem["type"]) == (422, "urn:likely:problem:bad-rows")
    first = 2 if content_type == CSV else 1  # the CSV's header is its first line
    assert [place["line"] for place in problem["errors"]] == [first + 1, first + 2]
    assert "1.5" in problem["errors"][0]["detail"]
    assert "there is no movie 'nope'" in problem["errors"][1]["detail"]
    assert contents(database) == before


def test_at_most_a_hundred_bad_rows_are_named(films: TestClient) -> None:
    body = b"user,movie,response\n" + b"ana,heat,2\n" * 500
    status, problem = post(films, "responses", body, CSV)
    assert status == 422
    assert [place["line"] for place in problem["errors"]] == list(range(2, 102))


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "text/csvv"])
def test_another_content_type_is_refused_with_those_that_are_read(
    films: TestClient, content_type: str
) -> None:
    status, problem = post(films, "movies", as_csv(MOVIES), content_type)
    assert status == 415
    for known in (NDJSON, CSV, PARQUET):
        assert known in problem["detail"]


def test_a_content_type_may_have_parameters(films: TestClient) -> None:
    assert post(films, "movies", as_csv(MOVIES), "Text/CSV; charset=utf-8; header=present")[0] == 200


@every_format
def test_an_unknown_catalog_is_not_found(client: TestClient, content_type: str, write: Write) -> None:
    assert post(client, "movies", write(MOVIES), content_type)[0] == 404
    assert post(client, "responses", write(RESPONSES), content_type)[0] == 404


def test_columns_of_other_dimensions_conflict_with_the_catalog(films: TestClient) -> None:
    status, problem = post(films, "movies", b"movie,action,humour\nheat,1,0\n", CSV)
    assert status == 409
    assert {place["line"] for place in problem["errors"]} == {1}
    assert {place["detail"] for place in problem["errors"]} == {
        "'romance' is missing",
        "'humour' is no dimension of the catalog",
    }


@pytest.mark.parametrize("content_type", [NDJSON, CSV, PARQUET])
@pytest.mark.parametrize(
    "body",
    [b"\x00" * 100, b"\xff\xfe\x00", b"PAR1 and then nothing", b'"', b"{", b"[]" * 50_000, b"{" * 100_000],
    ids=["zeros", "no utf-8", "cut off", "open quote", "open brace", "arrays", "depth"],
)
def test_a_file_that_is_none_is_refused(
    films: TestClient, database: Database, content_type: str, body: bytes
) -> None:
    before = contents(database)
    status, problem = post(films, "movies", body, content_type)
    assert status in {409, 422}
    assert problem["detail"]
    assert contents(database) == before


def test_an_import_may_be_larger_than_a_body_but_not_endless(settings: Settings) -> None:
    small = settings.model_copy(update={"max_body_bytes": 2000, "max_import_bytes": 20_000})
    row = b"ana,heat,1\n"
    with TestClient(create_app(small)) as client:
        client.put(FILMS, json={"dimensions": ["action", "romance"]})
        post(client, "movies", as_csv(MOVIES), CSV)
        assert post(client, "responses", b"user,movie,response\n" + row * 500, CSV)[0] == 200
        assert post(client, "responses", b"user,movie,response\n" + row * 5000, CSV)[0] == 413

        def chunks() -> Iterator[bytes]:
            yield b"user,movie,response\n"
            for _ in range(5000):
                yield row

        headers = {"content-type": CSV}
        answer = client.post(f"{FILMS}/responses:import", content=chunks(), headers=headers)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get(FILMS).json()["responses"] == 1


def test_more_rows_than_the_settings_allow_are_refused(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_import_rows": 2}))) as client:
        client.put(FILMS, json={"dimensions": ["action", "romance"]})
        status, problem = post(client, "movies", as_csv(MOVIES), CSV)
        assert status == 413
        assert "2 rows" in problem["detail"]
        assert client.get(FILMS).json()["movies"] == 0


def test_the_scores_of_everybody_reflect_an_import_at_once(films: TestClient, worker: Worker) -> None:
    post(films, "movies", as_csv(MOVIES), CSV)
    post(films, "responses", as_csv(RESPONSES), CSV)
    films.post(f"{FILMS}/trainings", json={"trainer": "gradient_descent", "seed": 3})
    worker.run_next()
    before = films.get(f"{FILMS}/users/ben/scores?movie=notebook").json()["scores"][0]["score"]
    changed = [{**RESPONSES[2], "response": 1.0}, {"user": "cy", "movie": "heat", "response": 0.0}]
    post(films, "responses", as_csv(changed), CSV)
    after = films.get(f"{FILMS}/users/ben/scores?movie=notebook").json()["scores"][0]["score"]
    newcomer = films.get(f"{FILMS}/users/cy/scores?movie=heat").json()["scores"][0]["score"]
    assert after > 0.5 > before
    assert newcomer < 0.5
    while worker.fold_in_some():
        pass
    again = films.get(f"{FILMS}/users/ben/scores?movie=notebook").json()["scores"][0]["score"]
    assert again == pytest.approx(after, abs=1e-6), "a worker stores what readers had relearned"


def test_a_service_starts_without_what_only_some_of_it_needs() -> None:
    """Each would take a tenth of a second, and megabytes."""
    late = {
        "polars",
        "alembic",
        "mako",
        "pygments",
        "rich.console",
        "matplotlib",
        "faiss",
        "ray",
        "websockets",
    }
    process = subprocess.run(
        [sys.executable, "-c", f"import sys, app.main; print(sorted({late} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "[]\n"
