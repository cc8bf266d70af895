"""What every refusal has in common: a complete problem, readable by a strict parser, and nothing stored."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import httpx2
from fastapi.testclient import TestClient

from app.database.database import Database
from app.database.sqlite import find_driver
from testbed.databases import POSTGRESQL
from tests.support.storage import contents

JSON = {"Content-Type": "application/json"}

Problem = dict[str, Any]


@dataclass(frozen=True)
class Refusing:
    """A running service with the class catalog, trained, of which a test wants only refusals."""

    client: TestClient
    database: Database

    def _state(self) -> object:
        """Return what is another thing after anything was stored.

        A connection's PRAGMA data_version is another number as soon as another connection has changed the
        file; thousands of refusals would read all rows for longer than they take.
        """
        if POSTGRESQL:
            return contents(self.database)
        return self._onlooker.execute("PRAGMA data_version").fetchone()

    @cached_property
    def _onlooker(self) -> Any:  # noqa: ANN401 - of either SQLite driver
        return find_driver().connect(self.database.url.database, check_same_thread=False)

    def close(self) -> None:
        """Close what looked on."""
        if not POSTGRESQL:
            self._onlooker.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        content: str | bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[httpx2.Response, Problem]:
        """Send what must be refused; return the answer and the problem in it."""
        before = self._state()
        sent = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        answer = self.client.request(
            method, path, content=sent, headers=JSON if headers is None and sent is not None else headers
        )
        assert self._state() == before, f"{method} {path} stored something"
        return answer, check_problem(answer)

    def refuse(self, method: str, path: str, status: int, *, content: str | bytes | None = None) -> Problem:
        """Send what must be refused with this status; return the problem."""
        answer, problem = self.send(method, path, content=content)
        assert answer.status_code == status, answer.text
        return problem


def check_problem(answer: httpx2.Response) -> Problem:
    """Return the problem that an answer holds, which must be complete and strict JSON."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Problem = json.loads(
        answer.content, parse_constant=_refuse_constant, object_pairs_hook=_without_repetitions
    )
    assert set(problem) == {"type", "title", "status", "detail", "errors", "request_id"}
    assert problem["type"].startswith("urn:likely:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    for place in problem["errors"]:
        assert place["detail"]
        assert set(place) <= {"detail", "pointer", "parameter", "line", "column"}
        assert len(place) > 1, "a mistake without a place"
    return problem


def resolve(pointer: str, body: object) -> object:
    """Follow a JSON pointer (RFC 6901) through a body; fails where it leads nowhere."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(body, list):
            body = body[int(key)]
        else:
            assert isinstance(body, dict), f"{pointer} leads nowhere"
            body = body[key]
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_repetitions(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    assert len(result) == len(pairs), "a name stands twice"
    return result
