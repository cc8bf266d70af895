"""ETags: what cannot change any more is sent once, and what can has none."""

import pytest
from fastapi.testclient import TestClient

from app.worker import Worker
from tests.routes.classroom import CLASS, train

TRAINING = f"{CLASS}/trainings/1"
TAGGED = (TRAINING, f"{TRAINING}/losses", f"{TRAINING}/losses.json", f"{TRAINING}/losses.csv")


@pytest.mark.parametrize("path", TAGGED)
def test_a_training_that_ended_is_sent_once(published: TestClient, path: str) -> None:
    first = published.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = published.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("given", ["*", 'W/{tag}, "x"', '"x",{tag}'])
def test_a_client_may_name_several_tags(published: TestClient, given: str) -> None:
    tag = published.get(TRAINING).headers["etag"]
    assert published.get(TRAINING, headers={"If-None-Match": given.format(tag=tag)}).status_code == 304


@pytest.mark.parametrize("given", ['"x"', "", "nonsense", "W/", ","])
def test_another_tag_gets_the_whole_answer(published: TestClient, given: str) -> None:
    answered = published.get(TRAINING, headers={"If-None-Match": given})
    assert (answered.status_code, answered.json()["id"]) == (200, 1)


def test_formats_have_tags_of_their_own(published: TestClient) -> None:
    as_json = published.get(f"{TRAINING}/losses", headers={"Accept": "application/json"})
    as_csv = published.get(f"{TRAINING}/losses", headers={"Accept": "text/csv"})
    assert as_json.headers["etag"] != as_csv.headers["etag"]
    asked = published.get(
        f"{TRAINING}/losses", headers={"Accept": "text/csv", "If-None-Match": as_json.headers["etag"]}
    )
    assert (asked.status_code, asked.text) == (200, as_csv.text)
    same = published.get(
        f"{TRAINING}/losses", headers={"Accept": "text/csv", "If-None-Match": as_csv.headers["etag"]}
    )
    assert (same.status_code, same.headers["vary"]) == (304, "Accept")


def test_a_training_that_may_still_change_has_no_tag(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    location = client.post(
        f"/v1/catalogs/{class_catalog}/trainings", json={"trainer": "gradient_descent"}
    ).headers["location"]
    for path in (location, f"{location}/losses"):
        waiting = client.get(path, headers={"If-None-Match": "*"})
        assert (waiting.status_code, waiting.headers.get("etag")) == (200, None)
    worker.run_next()
    assert "etag" in client.get(location).headers


def test_trainings_have_different_tags(client: TestClient, worker: Worker, class_catalog: str) -> None:
    assert class_catalog == "class"
    paths = [f"{CLASS}/trainings/{train(client, worker)['id']}" for _ in range(2)]
    assert len({client.get(path).headers["etag"] for path in paths}) == 2
    assert len({client.get(f"{path}/losses").headers["etag"] for path in paths}) == 2
