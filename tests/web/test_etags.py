"""ETags: what the client has is not sent again; of what may still change only pictures have one."""

import pytest
from fastapi.testclient import TestClient

from app.training.worker import Worker
from tests.support.requests.classroom import CLASS, answer, train

TRAINING = f"{CLASS}/trainings/1"
PLOTS = [f"{CLASS}/plots/{plot}" for plot in ("heatmap", "scatter", "scores")]
TAGGED = (
    TRAINING,
    f"{TRAINING}/losses",
    *(f"{TRAINING}/losses.{suffix}" for suffix in ("json", "csv", "svg", "txt", "vl.json")),
    *PLOTS,
    *(f"{plot}.svg" for plot in PLOTS),
)


@pytest.mark.parametrize("path", TAGGED)
def test_what_did_not_change_is_sent_once(published: TestClient, path: str) -> None:
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
    reply = published.get(TRAINING, headers={"If-None-Match": given})
    assert (reply.status_code, reply.json()["id"]) == (200, 1)


def test_formats_have_tags_of_their_own(published: TestClient) -> None:
    as_json = published.get(f"{TRAINING}/losses", headers={"Accept": "application/json"})
    as_csv = published.get(f"{TRAINING}/losses", headers={"Accept": "text/csv"})
    assert as_json.headers["etag"] != as_csv.headers["etag"]
    reply = published.get(
        f"{TRAINING}/losses", headers={"Accept": "text/csv", "If-None-Match": as_json.headers["etag"]}
    )
    assert (reply.status_code, reply.text) == (200, as_csv.text)
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


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_another_after_a_response(client: TestClient, trained: str, plot: str) -> None:
    before = client.get(plot)
    answer(client, trained, "0", "m0", 0)
    reply = client.get(plot, headers={"If-None-Match": before.headers["etag"]})
    assert (reply.status_code, reply.text != before.text) == (200, True)
    assert reply.headers["etag"] != before.headers["etag"]


def test_forms_of_a_plot_have_tags_of_their_own(published: TestClient) -> None:
    forms = [published.get(f"{PLOTS[0]}.{suffix}") for suffix in ("svg", "png", "json", "vl.json", "txt")]
    assert len({form.headers["etag"] for form in forms}) == len(forms)
