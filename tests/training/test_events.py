"""The stream of a training: every step once and in order, then how it ended; also after an interruption."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from app.training.worker import Worker
from models.recommender.trainer import Step
from tests.support.requests.classroom import CLASS, train


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    id: str | None
    data: Any


def parse(text: str) -> list[Event]:
    """Read a stream as browsers do (HTML standard, section 9.2.6), comments left out."""
    events = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        if "data" in fields:
            events.append(Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])))
    return events


def stream(client: TestClient, path: str, last: str | None = None) -> list[Event]:
    """Read a stream to its end."""
    answered = client.get(f"{path}/events", headers={} if last is None else {"Last-Event-ID": last})
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/event-stream")
    return parse(answered.text)


@contextmanager
def streaming(client: TestClient, path: str) -> Iterator[list[Event]]:
    """Read a stream in a thread; the list is filled when the block has ended."""
    events: list[Event] = []
    thread = threading.Thread(target=lambda: events.extend(stream(client, path)))
    thread.start()
    try:
        yield events
    finally:
        thread.join(60)
    assert not thread.is_alive(), "the stream did not end"


def queue(client: TestClient, **options: object) -> str:
    body = {"trainer": "gradient_descent", "seed": 6789, "options": options}
    location: str = client.post(f"{CLASS}/trainings", json=body).headers["location"]
    return location


@pytest.mark.parametrize("epochs", [1, 1000, 1500])
def test_a_stream_has_every_step_once_and_then_the_end(
    client: TestClient, worker: Worker, class_catalog: str, epochs: int
) -> None:
    training = train(client, worker, f"/v1/catalogs/{class_catalog}", options={"epochs": epochs})
    path = f"{CLASS}/trainings/{training['id']}"
    *steps, end = stream(client, path)
    assert [step.data for step in steps] == client.get(f"{path}/losses").json()["losses"]
    assert [step.id for step in steps] == [str(step) for step in range(1, epochs + 1)]
    assert {step.name for step in steps} == {"step"}
    assert (end.name, end.data) == ("succeeded", training)


@pytest.mark.usefixtures("class_catalog")
def test_a_stream_that_is_watched_while_the_training_runs_is_complete(
    client: TestClient, worker: Worker
) -> None:
    path = queue(client)
    with streaming(client, path) as events:
        assert worker.run_next()
    *steps, end = events
    assert [step.id for step in steps] == [str(step) for step in range(1, 1001)]
    assert (end.name, end.data) == ("succeeded", client.get(path).json())


def test_a_stream_resumes_behind_the_last_event_seen(client: TestClient, trained: str) -> None:
    path = f"{trained}/trainings/1"
    everything = stream(client, path)
    for seen in (0, 500, 999, 1000):
        assert stream(client, path, last=str(seen)) == everything[seen:]


@pytest.mark.usefixtures("class_catalog")
def test_a_stream_cut_while_the_training_runs_resumes_without_gap_or_repetition(
    client: TestClient, worker: Worker
) -> None:
    path = queue(client, epochs=400)
    seen: list[Event] = []

    def look_at_step_200(step: Step) -> None:
        if step.step == 200:  # what a client has that loses its connection now
            seen.extend(Event("step", str(loss["step"]), loss) for loss in written_losses(client, path))

    assert worker.run_next(watch=look_at_step_200)
    assert 0 < len(seen) <= 200
    *steps, end = seen + stream(client, path, last=seen[-1].id)
    assert [step.id for step in steps] == [str(step) for step in range(1, 401)]
    assert [step.data for step in steps] == client.get(f"{path}/losses").json()["losses"]
    assert end.name == "succeeded"


def written_losses(client: TestClient, path: str) -> list[dict[str, Any]]:
    """Return the losses written so far, waiting for the first."""
    for _ in range(10_000):
        losses: list[dict[str, Any]] = client.get(f"{path}/losses").json()["losses"]
        if losses:
            return losses
    raise AssertionError("no loss was written")


@pytest.mark.usefixtures("class_catalog")
def test_the_stream_of_a_cancelled_training_ends_so(client: TestClient, worker: Worker) -> None:
    path = queue(client, epochs=100_000, optimizer="adam")

    def cancel(step: Step) -> None:
        if step.step == 50:
            written_losses(client, path)
            client.post(f"{path}:cancel")

    with streaming(client, path) as events:
        assert worker.run_next(watch=cancel)
    *steps, end = events
    assert (end.name, end.data["status"]) == ("cancelled", "cancelled")
    assert [step.id for step in steps] == [str(step) for step in range(1, len(steps) + 1)]
    assert steps


@pytest.mark.usefixtures("class_catalog")
def test_the_stream_of_a_training_cancelled_before_it_ran_is_its_end_alone(client: TestClient) -> None:
    path = queue(client)
    client.post(f"{path}:cancel")
    assert [event.name for event in stream(client, path)] == ["cancelled"]


def test_the_stream_of_a_failed_training_ends_with_the_reason(client: TestClient, worker: Worker) -> None:
    client.put("/v1/catalogs/empty", json={"dimensions": ["a"]})
    training = train(client, worker, "/v1/catalogs/empty")
    (end,) = stream(client, f"/v1/catalogs/empty/trainings/{training['id']}")
    assert (end.name, end.data) == ("failed", training)
    assert end.data["error"]


def test_a_stream_of_nothing_is_a_404_and_no_stream(client: TestClient, class_catalog: str) -> None:
    for path in (f"/v1/catalogs/{class_catalog}/trainings/99", "/v1/catalogs/nowhere/trainings/1"):
        answered = client.get(f"{path}/events")
        assert answered.status_code == 404
        assert answered.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("class_catalog")
def test_a_stream_ends_when_its_catalog_is_deleted(client: TestClient, worker: Worker) -> None:
    path = queue(client, epochs=100_000, optimizer="adam")

    def delete_catalog(step: Step) -> None:
        if step.step == 50:
            written_losses(client, path)
            client.delete(CLASS)

    with streaming(client, path) as events:
        assert worker.run_next(watch=delete_catalog)
    assert [event.name for event in events][-1:] == ["cancelled"]
