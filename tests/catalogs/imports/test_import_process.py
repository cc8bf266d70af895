"""Imports in a process beside the web process: answered as in it, and nothing left of one that was killed."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.cli.demo import load_class
from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from testbed.live import children_of, command_of
from tests.faults.commits import Armed
from tests.faults.importers import dying_importers
from tests.support.requests.refusals import check_problem

IMPORT = "/v1/catalogs/class/responses:import"
CSV = {"Content-Type": "text/csv"}
GOOD = b"user,movie,response\nnew,m1,1\nnew,m2,0\n"
BAD = b"user,movie,response\nnew,m1,2\nnew,nowhere,0\n"


@pytest.fixture
def clients(database: Database, settings: Settings) -> Iterator[list[TestClient]]:
    """The same database, served with a process that imports and without one."""
    with database.writing() as connection:
        load_class(connection)
    beside = settings.model_copy(update={"import_processes": 1})
    with TestClient(create_app(beside)) as one, TestClient(create_app(settings)) as other:
        yield [one, other]


def movies(client: TestClient) -> list[str]:
    return [each["movie"] for each in client.get("/v1/catalogs/class/movies").json()["items"]]


def importers() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if "app.catalogs.imports.process" in command_of(pid)]


def test_a_file_is_stored_and_refused_with_the_same_words_in_either(clients: list[TestClient]) -> None:
    first, second = movies(clients[0])[:2]
    good = GOOD.replace(b"m1", first.encode()).replace(b"m2", second.encode())
    path = IMPORT + "?dry_run=true"
    kept, refused, missing = (
        [client.post(url, content=content, headers=CSV) for client in clients]
        for url, content in ((path, good), (path, BAD), (path.replace("class", "nowhere"), good))
    )
    assert [each.json() for each in kept] == [{"rows": 2, "created": 2, "replaced": 0}] * 2
    for pair, status in ((refused, 422), (missing, 404)):
        one, other = ({**check_problem(each), "request_id": ""} for each in pair)
        assert one == other
        assert one["status"] == status


def test_an_import_that_is_sent_again_is_answered_as_before(clients: list[TestClient]) -> None:
    content = GOOD.replace(b"m1", movies(clients[0])[0].encode()).replace(b"new,m2,0\n", b"")
    headers = {**CSV, "Idempotency-Key": "once"}
    answers = [clients[number].post(IMPORT, content=content, headers=headers) for number in (0, 1, 0)]
    assert [answer.json() for answer in answers] == [{"rows": 1, "created": 1, "replaced": 0}] * 3
    assert ["idempotent-replayed" in answer.headers for answer in answers] == [False, True, True]


def check_unknown(response: Response) -> dict[str, Any]:
    """Return a problem that leaves open whether the import was stored."""
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["type"]) == (503, "urn:likely:problem:unavailable")
    assert "under the same Idempotency-Key" in problem["detail"]
    assert int(response.headers["retry-after"]) > 0
    return problem


_LOCKED = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


def being_written(database: Database) -> bool:
    connection = database.connect_nonblocking()
    try:
        if database.sends_notifications:  # PostgreSQL: there the writers' lock is an advisory one
            return bool(connection.execute(_LOCKED).fetchone()[0])
        connection.execute("BEGIN IMMEDIATE")
    except database.errors:
        return True
    finally:
        connection.close()
    return False


def test_of_a_killed_import_nothing_is_left_and_the_next_one_is_stored(
    database: Database, clients: list[TestClient]
) -> None:
    client, movie = clients[0], movies(clients[0])[0]
    rows = "".join(f"user{number},{movie},1\n" for number in range(300_000))
    before = set(importers())

    def kill() -> None:
        while not (found := set(importers()) - before):
            time.sleep(0.01)
        while not being_written(database):
            time.sleep(0.001)
        os.kill(found.pop(), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    answer = client.post(IMPORT, content=f"user,movie,response\n{rows}".encode(), headers=CSV)
    killer.join()
    assert "memory" in check_unknown(answer)["detail"]  # a system short of it kills so
    assert len(client.get("/v1/catalogs/class/users").json()["items"]) == 3
    answer = client.post(IMPORT, content=f"user,movie,response\nnew,{movie},1\n".encode(), headers=CSV)
    assert answer.json() == {"rows": 1, "created": 1, "replaced": 0}


def test_an_import_whose_time_ends_may_have_been_stored(database: Database, settings: Settings) -> None:
    with database.writing() as connection:
        load_class(connection)
    hasty = settings.model_copy(update={"import_processes": 1, "import_seconds": 0.001})
    with TestClient(create_app(hasty)) as client:
        rows = "".join(f"user{number},heat,1\n" for number in range(20_000))
        answer = client.post(IMPORT, content=f"user,movie,response\n{rows}".encode(), headers=CSV)
    assert "longer than the 0.001 seconds that an import has" in check_unknown(answer)["detail"]


def test_an_import_that_finds_no_free_process_in_time_is_told_to_try_again(
    database: Database, settings: Settings
) -> None:
    with database.writing() as connection:
        load_class(connection)
    hasty = settings.model_copy(update={"import_processes": 1, "busy_seconds": 0.5})
    app, others = create_app(hasty), set(importers())
    with TestClient(app) as client:
        content = f"user,movie,response\nnew,{movies(client)[0]},1\n".encode()
        assert client.post(IMPORT, content=content, headers=CSV).status_code == 200
        os.kill(next(iter(set(importers()) - others)), signal.SIGSTOP)
        held = threading.Thread(target=lambda: client.post(IMPORT, content=content, headers=CSV))
        held.start()
        while not app.state.importing._free.empty():  # noqa: SLF001 - whether it is in its hands
            time.sleep(0.01)
        answer = client.post(IMPORT, content=content, headers=CSV)
        os.kill(next(iter(set(importers()) - others)), signal.SIGKILL)
        held.join()
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "urn:likely:problem:overloaded")
    assert problem["detail"] == "no process came free in 0.5 seconds for an import; try again"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.sqlite  # the failpoint is in its driver
def test_an_import_whose_process_is_killed_after_its_commit_is_no_mistake_of_the_callers(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    with database.writing() as connection:
        load_class(connection)
    beside = settings.model_copy(update={"import_processes": 1})
    app, told = create_app(beside), tmp_path / "told"
    headers = {**CSV, "Idempotency-Key": "once"}
    with TestClient(app) as client:
        content = f"user,movie,response\nnew,{movies(client)[0]},1\n".encode()
        with dying_importers(app, Armed("app.catalogs.imports.process.run_import", "after", told)):
            answer = client.post(IMPORT, content=content, headers=headers)
            assert told.exists()
            check_unknown(answer)
            assert "new" in {each["user"] for each in client.get("/v1/catalogs/class/users").json()["items"]}
    with TestClient(create_app(beside)) as client:
        again = client.post(IMPORT, content=content, headers=headers)
        assert again.json() == {"rows": 1, "created": 1, "replaced": 0}
        assert again.headers["idempotent-replayed"] == "true"
