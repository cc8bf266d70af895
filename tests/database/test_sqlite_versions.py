"""A SQLite that can corrupt what several processes write runs with one of them, unless told otherwise."""

from types import SimpleNamespace

import pysqlite3.dbapi2
import pytest
from fastapi.testclient import TestClient

from app.database import sqlite
from app.database.sqlite import may_write_together
from tests.support.command_line import Run

pytestmark = pytest.mark.sqlite


@pytest.mark.parametrize("version", ["3.44.6", "3.44.9", "3.50.7", "3.51.3", "3.51.10", "3.53.4", "4.0.0"])
def test_a_repaired_version_may_have_several_writers(version: str) -> None:
    assert may_write_together(version)


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.44.5", "3.45.9", "3.50.6", "3.51.2", "3.52.0"])
def test_an_affected_version_may_not(version: str) -> None:
    assert not may_write_together(version)


def test_the_version_that_comes_with_likely_may() -> None:
    assert may_write_together(sqlite.find_driver().sqlite_version)


@pytest.fixture
def affected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let SQLite call itself 3.51.2, and note what would start."""
    started: list[str] = []
    old = SimpleNamespace(**{**vars(pysqlite3.dbapi2), "sqlite_version": "3.51.2"})
    monkeypatch.setattr(sqlite, "find_driver", lambda: old)

    class Supervisor:
        def __init__(self, *_: object) -> None:
            started.append("worker")

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("app.training.supervisor.Supervisor", Supervisor)
    monkeypatch.setattr("app.cli.main._run", lambda _server: started.append("web"))
    monkeypatch.setattr("uvicorn.run", lambda **_: started.append("web"))  # of several
    monkeypatch.setattr("app.cli.main.signal.signal", lambda *_: None)
    return started


@pytest.mark.parametrize("command", [["serve"], ["serve", "--no-worker", "--web-processes", "2"], ["worker"]])
def test_several_writers_are_refused_on_an_affected_version(
    likely: Run, affected: list[str], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setenv("LIKELY_WEB_PROCESSES", "1")  # --web-processes sets it, and this puts it back
    done = likely(*command)
    assert (done.status, done.out, affected) == (1, "", [])
    [line] = done.err.splitlines()
    assert line.startswith("likely: SQLite 3.51.2 can corrupt a database that several processes write")
    assert "LIKELY_ALLOW_AFFECTED_SQLITE=true" in line


def test_one_writer_is_served_on_an_affected_version(likely: Run, affected: list[str]) -> None:
    assert likely("serve", "--no-worker").status == 1  # the process that imports writes too
    assert affected == []
    assert likely("serve", "--no-worker", LIKELY_IMPORT_PROCESSES="0").status == 0
    assert affected == ["web"]


def test_several_writers_are_served_on_an_affected_version_when_told_so(
    likely: Run, affected: list[str]
) -> None:
    assert likely("serve", LIKELY_ALLOW_AFFECTED_SQLITE="true").status == 0
    assert affected == ["worker", "web"]


@pytest.mark.usefixtures("affected")
def test_readiness_tells_an_affected_version(client: TestClient) -> None:
    assert client.get("/readyz").json()["database"] == "SQLite 3.51.2"
