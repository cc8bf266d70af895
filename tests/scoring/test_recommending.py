"""The mixed-effects model over HTTP: strangers, intervals, explanations, influences, previews, questions."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.database.urls import open_database
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from testbed.databases import url_for
from tests.support.requests.classroom import answer, train
from tests.support.requests.refusals import check_problem

FILMS = "/v1/catalogs/films"
CSV = {"Content-Type": "text/csv"}
USERS, MOVIES = 30, 40


def load(client: TestClient, users: int = USERS) -> None:
    """Store people who like action, or romance, or neither much; half of the movies is of each."""
    draw = np.random.default_rng(5)
    vectors = np.column_stack([np.repeat([1.0, 0.0], MOVIES // 2), draw.normal(size=MOVIES)]).round(3)
    lines = [f"f{row:02},Film {row},{one},{two}" for row, (one, two) in enumerate(vectors)]
    assert client.put(FILMS, json={"dimensions": ["action", "age"]}).status_code == 201
    body = "\n".join(["movie,title,action,age", *lines])
    assert client.post(f"{FILMS}/movies:import", content=body, headers=CSV).status_code == 200
    rows = []
    for user in range(users):
        posterior = draw.normal([0.5, 0.3], [2.0, 0.5])
        for movie in draw.choice(MOVIES, size=15, replace=False):
            probable = 1 / (1 + math.exp(-float(posterior @ vectors[movie] - posterior[0] / 2)))
            rows.append(f"u{user},f{movie:02},{int(draw.random() < probable)}")
    body = "\n".join(["user,movie,response", *rows])
    assert client.post(f"{FILMS}/responses:import", content=body, headers=CSV).status_code == 200


@pytest.fixture
def films(client: TestClient, worker: Worker) -> str:
    """A catalog of its own for a test that writes."""
    load(client)
    train(client, worker, FILMS, trainer="mixed_effects")
    return FILMS


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service with the films, trained by mixed_effects, for all tests that only read."""
    settings = Settings(database_url=url_for(tmp_path_factory.mktemp("films")))
    database = open_database(settings.database_url)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        load(client)
        train(client, Worker(database, settings, name="test"), FILMS, trainer="mixed_effects")
        yield client
    database.close()


def get(client: TestClient, path: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx2's own
    shown = client.get(f"{FILMS}/{path}", params=params)
    assert shown.status_code == 200, shown.text
    found: dict[str, Any] = shown.json()
    return found


def preview(client: TestClient, **body: object) -> dict[str, Any]:
    shown = client.post(f"{FILMS}/scores:preview", json=body)
    assert shown.status_code == 200, shown.text
    found: dict[str, Any] = shown.json()
    return found


def test_a_cold_start_user_is_scored_as_the_population_until_the_first_answer(
    client: TestClient, films: str
) -> None:
    before = get(client, "users/nobody/scores", movie=["f00", "f30"])
    assert (before["basis"], before["responses"]) == ("population", 0)
    answer(client, films, "nobody", "f00", 0)
    after = get(client, "users/nobody/scores", movie=["f00", "f30"])
    assert (after["basis"], after["responses"]) == ("learned", 1)
    assert after["scores"][0]["score"] < before["scores"][0]["score"]


def test_a_cold_start_user_has_recommendations_and_pairs_but_no_embedding(reading: TestClient) -> None:
    best = get(reading, "users/nobody/recommendations", limit=3)
    assert (best["basis"], len(best["scores"])) == ("population", 3)
    pairs = [["nobody", score["movie"]] for score in best["scores"]]
    scored = reading.post(f"{FILMS}/scores", json={"pairs": pairs}).json()["scores"]
    assert scored == pytest.approx([score["score"] for score in best["scores"]], abs=1e-12)
    assert check_problem(reading.get(f"{FILMS}/users/nobody/embedding"))["status"] == 404


def test_only_what_is_asked_for_is_included(reading: TestClient) -> None:
    [plain] = get(reading, "users/u0/scores", movie="f01")["scores"]
    assert set(plain) == {"movie", "title", "score", "logit"}
    [two] = get(reading, "users/u0/scores", movie="f01", include="interval,explanation")["scores"]
    assert set(two) == {*plain, "interval", "explanation"}
    [three] = get(reading, "users/u0/scores", movie="f01", include=["influences", "interval", "explanation"])[
        "scores"
    ]
    assert set(three) == {*two, "influences"}
    assert {name: three[name] for name in plain} == plain


@pytest.mark.parametrize("user", ["u0", "u7", "nobody"])
def test_an_explanation_adds_up_to_the_logit(reading: TestClient, user: str) -> None:
    for score in get(reading, f"users/{user}/scores", include="explanation")["scores"]:
        said = score["explanation"]
        vector = reading.get(f"{FILMS}/movies/{score['movie']}").json()["vector"]
        assert [one["dimension"] for one in said["dimensions"]] == ["action", "age"]
        assert [one["value"] for one in said["dimensions"]] == pytest.approx(vector, abs=1e-6)
        for one in said["dimensions"]:
            expected = said["damping"] * one["weight"] * one["value"]
            assert one["contribution"] == pytest.approx(expected, rel=1e-6)
        total = said["appeal"] + said["offset"] + said["learned"]
        total += sum(one["contribution"] for one in said["dimensions"])
        assert total == pytest.approx(score["logit"], abs=1e-6)


def test_the_weights_of_an_explanation_are_the_embedding(reading: TestClient) -> None:
    shown = get(reading, "users/u3/embedding")
    [score] = get(reading, "users/u3/scores", movie="f05", include="explanation")["scores"]
    weights = {one["dimension"]: one["weight"] for one in score["explanation"]["dimensions"]}
    assert weights == pytest.approx(shown["embedding"], rel=1e-6)
    assert score["explanation"]["offset"] == pytest.approx(
        score["explanation"]["damping"] * shown["offset"], rel=1e-6
    )
    assert len(shown["learned"]) == 8


def test_intervals_hold_the_score_and_narrow_with_what_is_known(reading: TestClient) -> None:
    widths = {}
    for user in ("u0", "nobody"):
        scores = get(reading, f"users/{user}/scores", include="interval")["scores"]
        for score in scores:
            interval = score["interval"]
            assert interval["level"] == 0.9
            assert 0 < interval["lower"] < score["score"] < interval["upper"] < 1
        widths[user] = sum(one["interval"]["upper"] - one["interval"]["lower"] for one in scores)
    assert widths["u0"] < widths["nobody"]


def test_influences_say_what_the_score_would_be_without_each_answer(client: TestClient, films: str) -> None:
    [score] = get(client, "users/u2/scores", movie="f03", include="influences")["scores"]
    assert 0 < len(score["influences"]) <= 5
    changes = [abs(one["change"]) for one in score["influences"]]
    assert changes == sorted(changes, reverse=True)
    responses = get(client, "users/u2/responses")["items"]
    given = {one["movie"]: one["response"] for one in responses}
    for one in score["influences"]:
        assert one["response"] == given[one["movie"]]
        assert one["change"] == pytest.approx(score["score"] - one["score_without"], abs=1e-12)
    strongest = score["influences"][0]
    client.delete(f"{films}/users/u2/responses/{strongest['movie']}")
    [without] = get(client, "users/u2/scores", movie="f03")["scores"]
    assert without["score"] == pytest.approx(strongest["score_without"], abs=1e-6)


def test_influences_on_too_many_movies_are_refused(reading: TestClient) -> None:
    problem = check_problem(reading.get(f"{FILMS}/users/u0/scores?include=influences"))
    assert problem["status"] == 422
    assert problem["errors"][0]["parameter"] == "include"
    assert "up to 20 movies" in problem["detail"]


def test_something_unknown_to_include_is_refused_by_name(reading: TestClient) -> None:
    for asked in ("everything", "interval,everything", ""):
        problem = check_problem(reading.get(f"{FILMS}/users/u0/scores?movie=f01&include={asked}"))
        assert problem["status"] == 422
        assert {place["parameter"] for place in problem["errors"]} == {"include"}


def test_a_preview_scores_as_a_user_who_gave_these_answers_and_stores_nothing(
    client: TestClient, films: str
) -> None:
    answers = {"f01": 1, "f02": 0.8, "f30": 0}
    users = client.get(films).json()["users"]
    shown = preview(client, responses=answers, movies=["f05", "f25"], include=["interval", "explanation"])
    assert client.get(films).json()["users"] == users
    for movie, response in answers.items():
        answer(client, films, "real", movie, response)
    real = get(client, "users/real/scores", movie=["f05", "f25"], include="interval,explanation")
    assert (shown["basis"], shown["responses"], shown["training"]) == ("learned", 3, real["training"])
    for one, other in zip(shown["scores"], real["scores"], strict=True):
        assert one["movie"] == other["movie"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
        assert one["interval"] == pytest.approx(other["interval"], abs=1e-6)
        assert one["explanation"]["appeal"] == pytest.approx(other["explanation"]["appeal"], abs=1e-6)


def test_a_preview_without_answers_is_of_the_population(reading: TestClient) -> None:
    shown = preview(reading, limit=4)
    stranger = get(reading, "users/nobody/recommendations", limit=4)
    assert (shown["basis"], shown["responses"]) == ("population", 0)
    assert [one["movie"] for one in shown["scores"]] == [one["movie"] for one in stranger["scores"]]


def test_a_preview_recommends_ten_that_are_neither_answered_nor_excluded(reading: TestClient) -> None:
    first = preview(reading, responses={"f01": 1})["scores"]
    assert len(first) == 10
    assert "f01" not in [one["movie"] for one in first]
    second = preview(reading, responses={"f01": 1}, exclude=[first[0]["movie"]])["scores"]
    assert [one["movie"] for one in second][:9] == [one["movie"] for one in first][1:]


def test_a_preview_names_movies_that_there_are_not(reading: TestClient) -> None:
    body = {"responses": {"nothing": 1, "f01": 1}, "movies": ["f02", "none"]}
    problem = check_problem(reading.post(f"{FILMS}/scores:preview", json=body))
    assert problem["status"] == 404
    assert [place["pointer"] for place in problem["errors"]] == ["/responses/nothing", "/movies/1"]


def test_a_preview_shows_influences_of_the_supposed_answers(reading: TestClient) -> None:
    answers = {"f01": 1, "f02": 0, "f30": 0}
    shown = preview(reading, responses=answers, movies=["f05"], include=["influences"])
    influences = {one["movie"]: one for one in shown["scores"][0]["influences"]}
    assert set(influences) == set(answers)
    without = preview(reading, responses={"f02": 0, "f30": 0}, movies=["f05"])["scores"][0]["score"]
    assert influences["f01"]["score_without"] == pytest.approx(without, abs=1e-6)


def test_three_questions_are_asked_one_after_the_other_and_never_twice(
    client: TestClient, films: str
) -> None:
    asked = []
    for _ in range(3):
        shown = get(client, "users/new/next-question")
        asked.append(shown["question"]["movie"])
        assert 0 < shown["question"]["expected_reduction"] < 1
        answer(client, films, "new", asked[-1], 1)
    assert len(set(asked)) == 3
    other = get(client, "users/new/next-question", exclude=asked)["question"]["movie"]
    assert get(client, "users/new/next-question", exclude=[*asked, other])["question"]["movie"] != other


def test_the_same_questions_can_be_asked_without_storing_anything(client: TestClient, films: str) -> None:
    answers: dict[str, float] = {}
    for _ in range(3):
        question = preview(client, responses=answers, include=["next_question"], limit=1)["next_question"]
        stored = get(client, "users/new/next-question")["question"]
        assert question["movie"] == stored["movie"]
        answers[question["movie"]] = 0
        answer(client, films, "new", question["movie"], 0)


def test_answering_the_questions_narrows_the_intervals_more_than_answering_others(
    reading: TestClient,
) -> None:
    def width(answers: dict[str, float]) -> float:
        movies = [f"f{row:02}" for row in range(MOVIES)]
        shown = preview(reading, responses=answers, movies=movies, include=["interval"])
        return math.fsum(one["interval"]["upper"] - one["interval"]["lower"] for one in shown["scores"])

    chosen: dict[str, float] = {}
    for _ in range(3):
        question = preview(reading, responses=chosen, include=["next_question"])["next_question"]
        chosen[question["movie"]] = 1.0
    others = [
        width({f"f{row:02}": 1.0 for row in np.random.default_rng(seed).choice(MOVIES, 3, replace=False)})
        for seed in range(10)
    ]
    assert width(chosen) < sum(others) / len(others)


def test_who_has_answered_everything_is_asked_nothing_more(reading: TestClient) -> None:
    everything = [f"f{row:02}" for row in range(MOVIES)]
    problem = check_problem(reading.get(f"{FILMS}/users/u0/next-question", params={"exclude": everything}))
    assert problem["status"] == 404
    assert "no movie left" in problem["detail"]


def test_a_movie_that_came_after_the_training_is_scored_by_its_vector(client: TestClient, films: str) -> None:
    assert client.put(f"{films}/movies/new", json={"vector": [1.0, 0.0]}).status_code == 201
    scores = get(client, "users/u0/scores", movie=["new"], include="interval")["scores"]
    assert 0 < scores[0]["interval"]["lower"] < scores[0]["interval"]["upper"] < 1
    answer(client, films, "u0", "new", 1)
    again = get(client, "users/u0/scores", movie=["new"])["scores"]
    assert again[0]["score"] > scores[0]["score"]


def test_a_deleted_movie_is_gone_from_what_was_learned(client: TestClient, films: str) -> None:
    before = get(client, "users/u0/scores", movie=["f02"])["scores"]
    unanswered = {f"f{row:02}" for row in range(MOVIES)}
    unanswered -= {one["movie"] for one in get(client, "users/u0/responses")["items"]}
    gone = min(unanswered - {"f02"})
    assert client.delete(f"{films}/movies/{gone}").status_code == 204
    assert len(get(client, "users/u0/scores")["scores"]) == MOVIES - 1
    after = get(client, "users/u0/scores", movie=["f02"])["scores"]
    assert after[0]["score"] == pytest.approx(before[0]["score"], abs=1e-9)


def test_an_answer_that_is_behind_is_folded_in_and_stored_by_workers(
    client: TestClient, worker: Worker, films: str
) -> None:
    body = "user,movie,response\nu1,f00,1\nu1,f39,0\n"
    assert client.post(f"{films}/responses:import", content=body, headers=CSV).status_code == 200
    before = get(client, "users/u1/scores", include="interval")["scores"]
    while worker.fold_in_some():
        pass
    after = get(client, "users/u1/scores", include="interval")["scores"]
    for one, other in zip(before, after, strict=True):
        assert one["logit"] == pytest.approx(other["logit"], abs=1e-5)
        assert one["interval"] == pytest.approx(other["interval"], abs=1e-6)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("users/0/scores?movie=m0&include=interval", "intervals"),
        ("users/0/next-question", "chooses questions"),
    ],
)
def test_what_the_class_model_does_not_know_is_a_conflict_that_says_what_does(
    published: TestClient, path: str, said: str
) -> None:
    problem = check_problem(published.get(f"/v1/catalogs/class/{path}"))
    assert problem["status"] == 409
    assert "mixed_effects" in problem["detail"]
    assert said in problem["detail"]


def test_the_class_model_explains_and_previews_too(published: TestClient) -> None:
    shown = published.get("/v1/catalogs/class/users/0/scores?movie=m0&include=explanation,influences").json()
    [score] = shown["scores"]
    said = score["explanation"]
    assert (said["damping"], said["appeal"], said["offset"], said["learned"]) == (1, 0, 0, 0)
    assert sum(one["contribution"] for one in said["dimensions"]) == pytest.approx(score["logit"])
    assert {one["movie"] for one in score["influences"]} == {"m0", "m1", "m2"}
    path = "/v1/catalogs/class/scores:preview"
    previewed = published.post(path, json={"responses": {"m0": 1, "m1": 0}, "movies": ["m0", "m1"]}).json()
    assert previewed["scores"][0]["score"] > 0.5 > previewed["scores"][1]["score"]
    problem = check_problem(published.post(path, json={"responses": {}}))
    assert (problem["status"], problem["errors"][0]["pointer"]) == (409, "/responses")


@pytest.mark.parametrize("new", [False, True], ids=["none are left", "others came"])
def test_when_every_movie_that_was_learned_from_is_gone_the_rest_works(
    client: TestClient, worker: Worker, films: str, *, new: bool
) -> None:
    for row in range(MOVIES):
        assert client.delete(f"{films}/movies/f{row:02}").status_code == 204
    if new:
        assert client.put(f"{films}/movies/new", json={"vector": [1.0, 0.0]}).status_code == 201
        answer(client, films, "u0", "new", 1)
    assert len(get(client, "users/u0/scores", include="interval")["scores"]) == int(new)
    assert len(preview(client)["scores"]) == int(new)
    asked = client.get(f"{films}/users/somebody/next-question")
    assert asked.status_code == (200 if new else 404)
    while worker.fold_in_some():
        pass


def test_a_movie_beyond_all_sense_can_be_answered_and_scored(client: TestClient, worker: Worker) -> None:
    client.put(FILMS, json={"dimensions": ["a", "b"]})
    for row in range(8):
        client.put(f"{FILMS}/movies/m{row}", json={"vector": [1e-12 * row, 1e-12 * (row % 3)]})
        for user in "xyz":
            answer(client, FILMS, user, f"m{row}", int((row + ord(user)) % 2))
    train(client, worker, FILMS, trainer="mixed_effects")
    client.put(f"{FILMS}/movies/far", json={"vector": [1e9, -1e9]})
    answer(client, FILMS, "x", "far", 1)
    body = "user,movie,response\ny,far,0\n"
    assert client.post(f"{FILMS}/responses:import", content=body, headers=CSV).status_code == 200
    for user in "xyz":
        for score in get(client, f"users/{user}/scores", include="interval,explanation")["scores"]:
            said = score["explanation"]
            total = said["appeal"] + said["offset"] + said["learned"]
            total += sum(one["contribution"] for one in said["dimensions"])
            assert total == pytest.approx(score["logit"], abs=1e-6)


def test_many_cold_start_users_are_scored_alike(reading: TestClient) -> None:
    pairs = [[f"stranger {number}", "f03"] for number in range(5000)]
    scores = reading.post(f"{FILMS}/scores", json={"pairs": pairs}).json()["scores"]
    assert len(set(scores)) == 1


def test_what_a_preview_cannot_include_is_said_of_the_body(client: TestClient, films: str) -> None:
    body: dict[str, Any] = {"movies": [f"f{row:02}" for row in range(21)], "include": ["influences"]}
    problem = check_problem(client.post(f"{films}/scores:preview", json=body))
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/include")
    body = {"responses": {"a~b": 1}}
    problem = check_problem(client.post(f"{films}/scores:preview", json=body))
    assert problem["errors"][0]["pointer"] == "/responses/a~0b"
