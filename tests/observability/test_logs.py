"""The log: a JSON object a line, each with its request's id, and nothing of what anybody asked or stored.

Every operation is exercised at debug level with ids, titles, queries and bodies that hold a mark, right ones
and wrong ones; then the whole log is searched for it.
"""

import json
import logging
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.catalogs import users
from app.database.database import Database
from app.main import create_app
from app.observability.logs import configure_logs
from app.settings import Settings
from app.web.auth.tokens import make_token
from testbed.live import serving
from tests.support.requests.classroom import CLASS
from tests.support.requests.operations import OPERATIONS, body_of

MARK = "mark7f3a"
CATALOG = f"/v1/catalogs/{MARK}"


def marked(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: "1" if name[1] == "training" else MARK, path)


@pytest.fixture(autouse=True)
def as_before() -> object:
    """Leave logging as it was."""
    handlers, level, kept = logging.root.handlers[:], logging.root.level, structlog.get_config()
    yield
    logging.root.handlers[:], logging.root.level = handlers, level
    structlog.configure(**kept)


def test_no_line_at_any_level_tells_what_was_asked_or_stored(tmp_path: Path) -> None:
    with serving(tmp_path, {"LIKELY_LOG_LEVEL": "debug"}) as service:
        http = service.http
        assert http.put(CATALOG, json={"title": MARK, "dimensions": [MARK]}).status_code == 201
        movie, response = f"{CATALOG}/movies/{MARK}", f"{CATALOG}/users/{MARK}/responses/{MARK}"
        assert http.put(movie, json={"title": MARK, "vector": [1]}).status_code == 201
        assert http.put(response, json={"response": 1}).status_code == 201
        for trainer in ("gradient_descent", "mixed_effects"):
            answer = http.post(f"{CATALOG}/trainings", json={"trainer": trainer, "serve": True})
            service.wait_for(answer.headers["location"], "succeeded", "failed")
        for path in ("movies:import", "responses:import"):
            for body in (f'{{"movie": "{MARK}"', f'{{"user": "{MARK}", "movie": "{MARK}", "response": 9}}\n'):
                headers = {"Content-Type": "application/x-ndjson"}
                assert http.post(f"{CATALOG}/{path}", content=body, headers=headers).status_code == 422
        for operation in sorted(OPERATIONS, key=lambda one: one.method == "DELETE"):
            path, right = marked(operation.path), body_of(operation)
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {MARK}", "Cookie": MARK}
            for query in ("", f"?movie={MARK}&search={MARK}&after={MARK}"):
                for content in (right, f'{{"{MARK}": "{MARK}"}}'.encode(), f'"{MARK}'.encode()):
                    answer = http.request(operation.method, path + query, content=content, headers=headers)
                    assert answer.status_code < 500 or answer.json()["type"].endswith("switched-off")
        http.get(f"/{MARK}", headers={"X-Request-ID": "given-by-the-caller"})
        http.get("/livez", headers={"Host": f"{MARK}.example.org", "User-Agent": MARK})
    log = service.log.read_text()
    assert MARK not in log
    _, *lines = log.splitlines()  # the first one is for the person who started it
    requests = [line for line in map(json.loads, lines) if line["event"] == "request"]
    assert len(requests) > 3 * len(OPERATIONS)
    assert {operation.path for operation in OPERATIONS} <= {
        request["route"].replace(":segment", "") for request in requests
    }
    assert requests[-2]["request_id"] == "given-by-the-caller"
    assert len({request["request_id"] for request in requests}) == len(requests)
    assert {"method", "route", "status", "seconds", "timestamp", "level"} <= set(requests[0])


def test_a_bug_is_logged_with_its_place_and_request_and_without_its_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        try:
            dict[str, int]()[MARK]
        except KeyError as error:
            raise ValueError(f"this was {MARK}") from error

    configure_logs("debug")
    monkeypatch.setattr(users, "list_users", fail)
    with TestClient(create_app(settings), raise_server_exceptions=True) as client:
        client.put(CLASS, json={"dimensions": []})
        with pytest.raises(ValueError, match=MARK) as raised:
            client.get(f"{CLASS}/users?search={MARK}", headers={"X-Request-ID": "asked"})
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=raised.value)
    said = capsys.readouterr().err
    assert MARK not in said
    lines = [json.loads(line) for line in said.splitlines()]
    failed = next(line for line in lines if line["event"] == "request failed")
    assert (failed["request_id"], failed["route"]) == ("asked", "/v1/catalogs/{catalog}/users")
    trace = lines[-1]["exception"]
    assert trace.index("builtins.KeyError") < trace.index("and then") < trace.index("builtins.ValueError")
    assert "line" in trace
    assert "in fail" in trace


def test_what_the_system_says_of_an_error_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    try:
        Path(MARK).read_text()
    except OSError:
        structlog.get_logger().exception("failed")
    said = json.loads(capsys.readouterr().err)
    assert "builtins.FileNotFoundError: No such file or directory" in said["exception"]
    assert MARK not in str(said)


def test_an_error_of_the_database_does_not_show_what_was_to_be_stored(database: Database) -> None:
    with pytest.raises(IntegrityError) as refused, database.writing() as connection:
        connection.execute(text("INSERT INTO catalogs (catalog) VALUES (:mark)"), {"mark": MARK})
    assert MARK not in str(refused.value)


def test_what_libraries_were_working_on_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task %s>", MARK)
    logging.getLogger("some.library").info(MARK)
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"]) == ("Task exception was never retrieved", "error")


def test_a_key_that_comes_into_an_event_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    key = make_token()
    structlog.get_logger().info("an event", header=f"Bearer {key}", number=1)
    logging.getLogger("some.library").error("refused %s", key)
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert key not in said


def test_a_line_that_cannot_be_written_is_lost_and_nobody_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logs("info")
    with suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        structlog.get_logger().info("to a full disk")
        logging.getLogger("uvicorn.error").warning("likewise")
        monkeypatch.undo()
        full.flush()  # what could not be written is still there
