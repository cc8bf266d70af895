"""What survives what: killed workers, killed services, cancelled trainings, frozen workers.

Real processes and real signals. Each test tells which promise it tries to break. On PostgreSQL those run
again that are about what is stored, and by whom; test_worker.py has there how trainings are given back.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.cli.demo import load_class
from app.database.urls import open_database
from testbed.databases import url_for
from testbed.live import Service, command_of, serving, stop

TRAININGS = "/v1/catalogs/class/trainings"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the class catalog in a database."""
    database = open_database(url_for(tmp_path))
    database.migrate()
    with database.writing() as connection:
        load_class(connection)
    database.close()
    return tmp_path


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    """The service on the class catalog."""
    with serving(folder) as running:
        yield running


LONG = {"epochs": 100_000, "optimizer": "adam"}  # takes many seconds; plain descent of the class takes one


def start(service: Service, **body: Any) -> str:  # noqa: ANN401 - a JSON body
    answer = service.http.post(TRAININGS, json={"trainer": "gradient_descent", "seed": 7, **body})
    assert answer.status_code == 202
    return str(answer.headers["location"])


def embeddings(folder: Path, training: int) -> list[tuple[Any, ...]]:
    query = "SELECT user_id, version, embedding FROM user_embeddings WHERE training_id = :id ORDER BY user_id"
    return _query(folder, query, training)


def steps(folder: Path, training: int) -> list[tuple[Any, ...]]:
    query = "SELECT step, loss, data_loss, penalty FROM training_steps WHERE training_id = :id ORDER BY step"
    return _query(folder, query, training)


def _query(folder: Path, query: str, training: int) -> list[tuple[Any, ...]]:
    database = open_database(url_for(folder))
    with database.reading() as connection:
        rows = [tuple(row) for row in connection.execute(text(query), {"id": training})]
    database.close()
    return rows


@pytest.mark.databases
def test_killing_the_worker_again_and_again_changes_no_bit(folder: Path, service: Service) -> None:
    options = {"epochs": 20_000}
    undisturbed = start(service, options=options, serve=False)
    assert service.wait_for(undisturbed, "succeeded", "failed")["status"] == "succeeded"

    disturbed = start(service, options=options, serve=False)
    moments = random.Random(1)
    for _ in range(4):
        service.wait_for(disturbed, "running")
        time.sleep(moments.uniform(0.0, 0.6))
        for pid in service.worker_pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
    assert service.wait_for(disturbed, "succeeded", "failed")["status"] == "succeeded"

    assert embeddings(folder, 1) == embeddings(folder, 2) != []
    assert steps(folder, 1) == steps(folder, 2)
    assert [row[0] for row in steps(folder, 2)] == list(range(1, 20_001))


@pytest.mark.databases
def test_a_killed_service_loses_no_answer_and_goes_on_training(folder: Path) -> None:
    with serving(folder) as service:
        training = start(service, options={"epochs": 30_000})
        service.wait_for(training, "running")
        put = service.http.put("/v1/catalogs/class/users/9/responses/m0", json={"response": 1})
        assert put.status_code == 201
        workers = service.worker_pids()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
    deadline = time.monotonic() + 10
    while any("worker" in command_of(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any("worker" in command_of(pid) for pid in workers), "the worker outlived its service"
    with serving(folder) as service:
        assert service.wait_for(training, "succeeded", "failed")["status"] == "succeeded"
        content = service.http.get("/v1/catalogs/class/users/9/scores?movie=m0").json()
        assert (content["training"], content["responses"]) == (1, 1)
        assert content["scores"][0]["score"] > 0.5


def test_a_cancelled_training_stops_and_frees_its_worker(service: Service) -> None:
    long = start(service, options=LONG)
    service.wait_for(long, "running")
    answer = service.http.post(f"{long}:cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    # The next training starts only when the worker has let go of this one.
    following = start(service, options={"epochs": 10})
    service.wait_for(following, "succeeded", seconds=5)
    done = service.training(long)
    time.sleep(0.3)
    assert service.training(long) == done
    assert done["status"] == "cancelled"
    assert done["steps_done"] < 100_000


def test_an_orderly_stop_gives_the_training_back(folder: Path) -> None:
    with serving(folder) as service:
        training = start(service, options=LONG)
        service.wait_for(training, "running")
        stop(service.process)
        said = service.log.read_text()
        assert service.process.returncode == 0, said
        assert "Error" not in said
        assert "Traceback" not in said
    [row] = _query(folder, "SELECT status, attempts FROM trainings WHERE id = :id", 1)
    assert row == ("queued", 0)


@pytest.mark.databases
def test_a_frozen_worker_cannot_write_when_it_wakes(folder: Path) -> None:
    with serving(folder, {"LIKELY_LEASE_SECONDS": "0.5"}, "--no-worker") as service:
        first = _start_worker(folder)
        training = start(service, options={"epochs": 50_000})
        service.wait_for(training, "running")
        os.kill(first.pid, signal.SIGSTOP)
        second = _start_worker(folder)
        try:
            done = service.wait_for(training, "succeeded", "failed")
            before = embeddings(folder, 1), steps(folder, 1)
            os.kill(first.pid, signal.SIGCONT)
            time.sleep(1.0)
            assert (embeddings(folder, 1), steps(folder, 1)) == before
            assert service.training(training) == done
            assert done["status"] == "succeeded"
            assert first.poll() is None, "the worker that woke up goes on with other work"
        finally:
            stop(first)
            stop(second)


def test_an_answer_given_while_training_runs_is_in_what_it_publishes(folder: Path, service: Service) -> None:
    training = start(service, options={"epochs": 20_000})
    service.wait_for(training, "running")
    for movie, response in (("m0", 0), ("m1", 1), ("m2", 0)):  # user 0 changes their mind
        path = f"/v1/catalogs/class/users/0/responses/{movie}"
        assert service.http.put(path, json={"response": response}).status_code in {200, 201}
    assert service.training(training)["status"] == "running", "the answers came too late to be a test"
    service.wait_for(training, "succeeded")
    content = service.http.get("/v1/catalogs/class/users/0/embedding").json()
    assert content["embedding_version"] == 5  # three answers, two of them changed
    stored = {row[0]: row[1] for row in embeddings(folder, 1)}
    assert stored[1] == 5, "the stored embedding is older than the answers"
    scored = service.http.get("/v1/catalogs/class/users/0/scores?movie=m0&movie=m1").json()["scores"]
    assert scored[0]["score"] < 0.5 < scored[1]["score"]


@pytest.mark.databases
def test_several_web_processes_see_each_others_writes_and_end_with_their_service(folder: Path) -> None:
    with serving(folder, {}, "--web-processes", "2") as service:
        service.wait_for(start(service, options={"epochs": 50}), "succeeded")
        path = "/v1/catalogs/class/users/0"
        for number in range(20):
            liked = number % 2
            # A connection of its own each, so that either process may answer.
            put = httpx2.put(f"{service.url}{path}/responses/m2", json={"response": liked})
            assert put.status_code == 200
            scored = httpx2.get(f"{service.url}{path}/scores?movie=m2").json()["scores"][0]
            assert (scored["score"] > 0.5) == bool(liked)
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        deadline = time.monotonic() + 15
        while _answers(service.url) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not _answers(service.url), "web processes outlived their service, and keep its port"


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/livez").status_code == 200
    except httpx2.TransportError:
        return False


def _start_worker(folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "LIKELY_DATABASE_URL": url_for(folder),
        "LIKELY_LEASE_SECONDS": "0.5",
    }
    return subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker"], env=environment)
