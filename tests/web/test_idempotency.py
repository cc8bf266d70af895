"""Idempotency-Key: what is sent again is done once and answered the same; a key stands for one request."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select, update

from app.database.database import Database
from app.database.tables import IdempotencyKey
from app.main import create_app
from app.settings import Settings
from app.web.auth.api_keys import Scope, create_key
from tests.support.requests.classroom import CLASS
from tests.support.requests.refusals import check_problem
from tests.support.storage import contents

pytestmark = pytest.mark.usefixtures("class_catalog")

TRAINING = {"trainer": "gradient_descent", "options": {"epochs": 5}}
NDJSON = {"Content-Type": "application/x-ndjson"}
MOVIE = b'{"movie": "new", "title": "New", "vector": [1, 2, 3]}\n'
ANSWERS = b'{"user": "new", "movie": "m0", "response": 1}\n{"user": "new", "movie": "m1", "response": 0}\n'


def key(value: str = "k") -> dict[str, str]:
    return {"Idempotency-Key": value}


def train(client: TestClient, value: str = "k", **body: object) -> Response:
    return client.post(f"{CLASS}/trainings", json=TRAINING | body, headers=key(value))


def load(client: TestClient, what: str, content: bytes, value: str = "k", query: str = "") -> Response:
    return client.post(f"{CLASS}/{what}:import{query}", content=content, headers=NDJSON | key(value))


def check_same(first: Response, again: Response) -> None:
    assert again.status_code == first.status_code
    assert again.content == first.content
    assert again.headers.get("location") == first.headers.get("location")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


def test_a_training_that_is_asked_for_again_is_the_same_training(
    client: TestClient, database: Database
) -> None:
    first = train(client)
    before = contents(database)
    check_same(first, train(client))
    assert contents(database) == before
    assert [one["id"] for one in client.get(f"{CLASS}/trainings").json()["items"]] == [first.json()["id"]]


def test_callers_with_api_keys_of_their_own_choose_keys_of_their_own(
    client: TestClient, database: Database
) -> None:
    with database.writing() as connection:
        api_keys = [create_key(connection, "test", {Scope.TRAIN}, None) for _ in range(2)]
    first, other, again = (
        client.post(
            f"{CLASS}/trainings", json=TRAINING, headers=key() | {"Authorization": f"Bearer {api_key}"}
        )
        for api_key in (*api_keys, api_keys[0])
    )
    assert first.json()["id"] != other.json()["id"]
    check_same(first, again)


@pytest.mark.parametrize(("what", "content"), [("movies", MOVIE), ("responses", ANSWERS)])
def test_an_import_that_is_sent_again_is_stored_once(
    client: TestClient, database: Database, what: str, content: bytes
) -> None:
    first = load(client, what, content)
    assert first.status_code == 200
    before = contents(database)
    check_same(first, load(client, what, content))
    assert contents(database) == before


def test_a_training_that_is_cancelled_again_with_the_same_key_is_no_conflict(client: TestClient) -> None:
    where = train(client).headers["location"]
    first = client.post(f"{where}:cancel", headers=key("c"))
    assert first.status_code == 202
    check_same(first, client.post(f"{where}:cancel", headers=key("c")))
    assert client.post(f"{where}:cancel").status_code == 409


def test_a_key_that_stood_for_another_request_is_refused_and_nothing_is_done(
    client: TestClient, database: Database
) -> None:
    client.put("/v1/catalogs/other", json={"dimensions": []})
    train(client)
    load(client, "responses", ANSWERS, "i")
    before = contents(database)
    others = [
        train(client, seed=7),
        client.post("/v1/catalogs/other/trainings", json=TRAINING, headers=key()),
        load(client, "responses", ANSWERS),
        load(client, "responses", ANSWERS + ANSWERS, "i"),
        load(client, "movies", ANSWERS, "i"),
        load(client, "responses", ANSWERS, "i", "?dry_run=true"),
        client.post(
            f"{CLASS}/responses:import", content=ANSWERS, headers=key("i") | {"Content-Type": "text/csv"}
        ),
    ]
    for refused in others:
        problem = check_problem(refused)
        assert problem["status"] == 409
        assert problem["errors"][0]["parameter"] == "Idempotency-Key"
    assert contents(database) == before


def test_what_was_refused_may_be_put_right_under_the_same_key(client: TestClient) -> None:
    assert load(client, "responses", b'{"user": "new"}\n').status_code == 422
    assert train(client, serve="if_better").status_code == 422
    assert load(client, "responses", ANSWERS).status_code == 200


def test_a_dry_run_keeps_nothing_under_its_key(client: TestClient, database: Database) -> None:
    before = contents(database)
    assert load(client, "responses", ANSWERS, query="?dry_run=true").status_code == 200
    assert contents(database) == before
    assert load(client, "responses", ANSWERS).json() == {"rows": 2, "created": 2, "replaced": 0}


def test_an_answer_is_kept_as_long_as_the_setting_says(settings: Settings, database: Database) -> None:
    first_day = settings.model_copy(update={"idempotency_seconds": 3600.0})
    with TestClient(create_app(first_day)) as client:
        first = train(client)
        _let_pass(database, 3590)
        check_same(first, train(client))
        _let_pass(database, 20)
        later = train(client)
        assert "idempotent-replayed" not in later.headers
        assert later.json()["id"] == first.json()["id"] + 1
    with database.reading() as connection:
        assert len(connection.execute(select(IdempotencyKey.key)).all()) == 1


def _let_pass(database: Database, seconds: float) -> None:
    with database.writing() as connection:
        connection.execute(update(IdempotencyKey).values(created_at=IdempotencyKey.created_at - seconds))


def test_what_was_answered_goes_with_its_catalog(client: TestClient, database: Database) -> None:
    train(client)
    client.delete(CLASS)
    with database.reading() as connection:
        assert connection.execute(select(IdempotencyKey.key)).all() == []
    assert train(client).status_code == 404


@pytest.mark.parametrize("value", ["", "x" * 129, "two words", "caf\u00e9", "tab\there", "\x7f"])
def test_a_key_is_1_to_128_visible_ascii_characters(
    client: TestClient, database: Database, value: str
) -> None:
    before = contents(database)
    sent = (b"Idempotency-Key", value.encode("latin-1"))
    for refused in (
        client.post(f"{CLASS}/trainings", json=TRAINING, headers=[sent]),
        client.post(
            f"{CLASS}/responses:import",
            content=ANSWERS,
            headers=[sent, (b"Content-Type", b"application/x-ndjson")],
        ),
    ):
        problem = check_problem(refused)
        assert problem["status"] == 422
        assert [place["parameter"] for place in problem["errors"]] == ["Idempotency-Key"]
    assert contents(database) == before


@pytest.fixture
def two(settings: Settings) -> Iterator[tuple[TestClient, TestClient]]:
    """Clients of two applications on one database, as two web processes are."""
    with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
        for client in (
            one,
            other,
        ):  # FastAPI finishes a route when it is first asked, and not for two threads
            assert client.post(f"{CLASS}/trainings", json={}).status_code == 422
            assert client.post(f"{CLASS}/responses:import").status_code == 415
        yield one, other


def test_of_requests_at_once_one_is_done_and_all_get_its_answer(two: tuple[TestClient, TestClient]) -> None:
    start = threading.Barrier(8)

    def ask(number: int) -> tuple[Response, Response]:
        start.wait()
        return train(two[number % 2]), load(two[number % 2], "responses", ANSWERS, "i")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    for kind in zip(*answers, strict=True):
        assert len({(one.status_code, one.content, one.headers.get("location")) for one in kind}) == 1
        assert sum("idempotent-replayed" not in one.headers for one in kind) == 1
    assert len(two[0].get(f"{CLASS}/trainings").json()["items"]) == 1


def test_an_answer_and_what_was_done_are_there_together_or_not_at_all(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is written in the transaction of the effect: one that fails after both leaves neither."""
    before = contents(database)
    with monkeypatch.context() as broken:
        broken.setattr("app.database.idempotency.insert", _raise)
        with pytest.raises(ZeroDivisionError):
            TestClient(client.app).post(f"{CLASS}/trainings", json=TRAINING, headers=key())
    assert contents(database) == before
    assert train(client).status_code == 202


def _raise(*_: object) -> object:
    raise ZeroDivisionError
