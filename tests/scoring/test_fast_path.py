"""The fast path answers as the regular path does, and with one statement a request."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.database.prepared_statements import Prepared, PreparedReads
from app.main import create_app
from app.scoring import fast_path
from app.scoring.fast_scores import FastScores
from app.settings import Settings
from app.training.worker import Worker
from tests.support.requests.classroom import fast_answers, train

USER = "/users/0"
DECLINED = {"Content-Type": "application/json; charset=utf-8"}  # a body that the fast path leaves alone
QUESTIONS = [
    "/scores?movie=m0",
    "/scores?movie=m2&movie=m0&movie=m2",
    "/scores?movie=m1&movie=nothing",
    "/scores?movie=",
    "/scores?Movie=m0",
    "/recommendations",
    "/recommendations?limit=2",
    "/recommendations?limit=0",
    "/recommendations?limit=1001",
    "/recommendations?limit=%D9%A1",
    "/recommendations?limit=1&limit=2",
]


def _numbers(answer: dict[str, Any]) -> list[float]:
    return [score.pop(name) for score in answer.get("scores", []) for name in ("score", "logit")]


@pytest.fixture
def answer_counts(client: TestClient) -> Counter[str]:
    """How many requests the fast path has answered, by the route's name."""
    return fast_answers(client)


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_the_fast_path_answers_as_the_regular_path(
    client: TestClient,
    worker: Worker,
    class_catalog: str,
    monkeypatch: pytest.MonkeyPatch,
    trainer: str,
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    client.put(f"{path}/movies/m3", json={"vector": [0.1, 0.2, 0.3]})
    train(client, worker, path, trainer=trainer, options={})
    client.get(f"{path}{USER}/scores")  # the model comes into memory
    for question in QUESTIONS:
        fast = client.get(path + USER + question)
        with monkeypatch.context() as declining:
            declining.setattr(FastScores, "score_movies", lambda *_: None)
            declining.setattr(FastScores, "recommend", lambda *_: None)
            regular = client.get(path + USER + question)
        assert fast.status_code == regular.status_code
        answer, right = fast.json(), regular.json()
        assert _numbers(answer) == pytest.approx(_numbers(right), rel=1e-12)
        assert {**answer, "request_id": ""} == {**right, "request_id": ""}
        assert fast.headers["content-type"] == regular.headers["content-type"]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Prepared]:
    """The statements that the fast path runs from here on."""
    statements: list[Prepared] = []
    read = PreparedReads.rows

    def record(self: PreparedReads, prepared: Prepared, parameters: dict[str, object]) -> Any:  # noqa: ANN401 - rows
        statements.append(prepared)
        return read(self, prepared, parameters)

    monkeypatch.setattr(PreparedReads, "rows", record)
    return statements


@pytest.mark.parametrize("question", ["/scores?movie=m0", "/recommendations?limit=2"])
def test_the_fast_path_takes_one_statement_and_the_first_time_of_a_user_two(
    client: TestClient,
    trained: str,
    statements: list[Prepared],
    answer_counts: Counter[str],
    question: str,
) -> None:
    client.get(f"{trained}{USER}/scores")
    counts = []
    for _ in range(3):
        statements.clear()
        assert client.get(f"{trained}{USER}{question}").status_code == 200
        counts.append(len(statements))
    assert counts == [2, 1, 1]
    assert answer_counts.total() == 3


@pytest.mark.parametrize("pairs", [1, 1000])
def test_pairs_take_two_statements_however_many_they_are(
    client: TestClient, trained: str, statements: list[Prepared], pairs: int
) -> None:
    client.get(f"{trained}{USER}/scores")
    statements.clear()
    body = {"pairs": [[str(number % 3), f"m{number % 2}"] for number in range(pairs)]}
    assert len(client.post(f"{trained}/scores", json=body).json()["scores"]) == pairs
    assert len(statements) == 2


PAIRS = {"pairs": [["0", "m1"], ["1", "m1"], ["0", "m0"]]}


def _agree(client: TestClient, path: str) -> list[float]:
    """Return the scores of `PAIRS`, which must be those that each of their users is shown."""
    found: list[float] = client.post(f"{path}/scores", json=PAIRS).json()["scores"]
    for (user, movie), score in zip(PAIRS["pairs"], found, strict=True):
        shown = client.get(f"{path}/users/{user}/scores?movie={movie}").json()["scores"][0]["score"]
        assert score == pytest.approx(shown, abs=1e-12)
    return found


def test_scores_of_pairs_are_those_of_their_users_now(
    client: TestClient, worker: Worker, trained: str, settings: Settings
) -> None:
    first = client.get(f"{trained}{USER}/scores").json()["training"]
    scores = [_agree(client, trained)]
    with TestClient(create_app(settings)) as other:
        assert other.put(f"{trained}{USER}/responses/m1", json={"response": 0.5}).is_success
        scores.append(_agree(client, trained))
        train(other, worker, trained, trainer="mixed_effects", options={})
        scores.append(_agree(client, trained))
        assert other.delete(f"{trained}{USER}").is_success
        scores.append(_agree(client, trained))  # nobody's
        assert other.put(f"{trained}{USER}/responses/m2", json={"response": 1.0}).is_success  # another's
        scores.append(_agree(client, trained))
        assert other.put(f"{trained}/serving", json={"training": first}).is_success
        while worker.fold_in_some():
            pass
        scores.append(_agree(client, trained))
    assert len({tuple(each) for each in scores}) == len(scores)


def test_an_answer_stored_by_another_process_is_in_the_next_ready_score(
    client: TestClient, trained: str, settings: Settings
) -> None:
    path = f"{trained}{USER}"
    client.get(f"{path}/scores")
    with TestClient(create_app(settings)) as other:
        for response in (1.0, 0.0, 0.5):
            before = client.get(f"{path}/scores?movie=m1").json()
            assert other.put(f"{path}/responses/m1", json={"response": response}).is_success
            after = client.get(f"{path}/scores?movie=m1").json()
            assert after["scores"] != before["scores"]
            assert after["scores"] == other.get(f"{path}/scores").json()["scores"][1:2]
        assert other.delete(f"{path}/responses/m1").is_success
        assert client.get(f"{path}/scores?movie=m1").json()["responses"] == 2
        recommended = client.get(f"{path}/recommendations").json()["scores"]
        assert [one["movie"] for one in recommended] == ["m1"]


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
@pytest.mark.parametrize(
    "body",
    [
        {"pairs": [["0", "m0"], ["1", "m2"], ["0", "m0"]]},
        {"pairs": []},
        {"pairs": [["0", "m0"], ["nobody", "m0"]]},
        {"pairs": [["0", "nothing"]]},
        {"pairs": [["0", "m0", "m1"]]},
        {"pairs": ["0m"]},
        {"pairs": [["0", 1]]},
        {"pairs": [[0, "m0"]]},
        {"pairs": [[True, "m0"], [None, {}]]},
        {"pairs": [[["0"], "m0"]]},
        {"pairs": [["0", "m0"]], "more": 1},
        [],
    ],
)
def test_the_fast_path_answers_pairs_as_the_regular_path(
    client: TestClient,
    worker: Worker,
    class_catalog: str,
    answer_counts: Counter[str],
    trainer: str,
    body: object,
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    train(client, worker, path, trainer=trainer, options={})
    client.get(f"{path}{USER}/scores")
    fast = client.post(f"{path}/scores", json=body)
    before = answer_counts.copy()
    regular = client.post(f"{path}/scores", json=body, headers=DECLINED)
    assert answer_counts == before
    answer, right = fast.json(), regular.json()
    assert fast.status_code == regular.status_code
    assert answer.pop("scores", []) == pytest.approx(right.pop("scores", []), rel=1e-12)
    assert {**answer, "request_id": ""} == {**right, "request_id": ""}


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_the_plainest_requests_take_the_fast_path(
    client: TestClient,
    worker: Worker,
    class_catalog: str,
    answer_counts: Counter[str],
    trainer: str,
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    client.put(f"{path}/movies/m3", json={"vector": [0.1, 0.2, 0.3]})
    train(client, worker, path, trainer=trainer, options={})
    client.get(f"{path}{USER}/scores")  # the model comes into memory
    pairs = {"pairs": [["0", "m0"], ["1", "m2"]]}
    for _ in range(2):
        assert client.get(f"{path}{USER}/recommendations?limit=1").json()["scores"][0]["movie"] == "m3"
        assert len(client.post(f"{path}/scores", json=pairs).json()["scores"]) == 2
    assert answer_counts == {"list_recommendations": 2, "score_pairs": 2}


@pytest.mark.databases
def test_what_no_database_takes_for_text_is_refused_on_the_fast_path_too(
    client: TestClient, trained: str
) -> None:
    client.get(f"{trained}{USER}/scores")
    for path in ("/v1/catalogs/%00/users/0/", f"{trained}/users/%00/"):
        for asked in ("scores?movie=m0", "recommendations"):
            assert client.get(path + asked).status_code == 422, asked
    for user in ("\\u0000", "\\ud800"):
        body = f'{{"pairs": [["{user}", "m0"]]}}'
        answer = client.post(f"{trained}/scores", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, user
    body = '{"pairs": [[NaN, "m0"]]}'
    answer = client.post(f"{trained}/scores", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    for asked in ("movies?search=%00", "movies?after=%00", "users?search=%00", "responses?after=%00/m"):
        assert client.get(f"{trained}/{asked}").status_code == 422, asked
    answer = client.get(f"{trained}/trainings/1/events", headers={"Last-Event-ID": str(2**31)})
    assert answer.status_code == 422


@given(st.text("ab=&;?é ", max_size=12).map(str.encode) | st.binary(max_size=12))
def test_a_query_is_read_as_the_standard_library_reads_it(query: bytes) -> None:
    assert fast_path.parse_query(query) == parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def test_pairs_that_come_together_all_take_the_fast_path(
    client: TestClient, trained: str, answer_counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get(f"{trained}{USER}/scores")
    writing = threading.Barrier(4)
    read = PreparedReads.rows

    def together(self: PreparedReads, prepared: Prepared, parameters: dict[str, object]) -> Any:  # noqa: ANN401 - rows
        if "users" in parameters:
            writing.wait(30)
        return read(self, prepared, parameters)

    monkeypatch.setattr(PreparedReads, "rows", together)
    with ThreadPoolExecutor(4) as callers:
        answers = [
            callers.submit(client.post, f"{trained}/scores", json={"pairs": [["0", "m0"]]}) for _ in range(4)
        ]
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert answer_counts == {"score_pairs": 4}


def test_a_user_with_very_many_responses_takes_the_regular_path(
    client: TestClient, worker: Worker, answer_counts: Counter[str]
) -> None:
    path = "/v1/catalogs/large"
    client.put(path, json={"dimensions": ["a"]})
    movies = "movie,a\n" + "".join(f"m{number},{number % 7}\n" for number in range(5_001))
    answers = "user,movie,response\n" + "".join(f"much,m{number},1\n" for number in range(5_001))
    answers += "".join(f"most,m{number},{number % 2}\n" for number in range(5_000))
    for what, rows in (("movies", movies), ("responses", answers)):
        added = client.post(f"{path}/{what}:import", content=rows, headers={"Content-Type": "text/csv"})
        assert added.is_success, added.text
    train(client, worker, path, options={"epochs": 1})
    asked = "scores?movie=m1"
    assert client.get(f"{path}/users/much/{asked}").json()["responses"] == 5_001
    assert client.get(f"{path}/users/most/{asked}").json()["responses"] == 5_000
    assert answer_counts.total() == 1
    assert client.get(f"{path}/users/much/{asked}").json()["responses"] == 5_001
    assert answer_counts.total() == 1
