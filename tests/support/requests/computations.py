"""Computations asked for over HTTP. Does not know what they should give."""

from typing import Any

from fastapi.testclient import TestClient

from tests.support.requests.refusals import check_problem


def computed(client: TestClient, path: str, **body: object) -> dict[str, Any]:
    """Return the answer to a computation that is right."""
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    output: dict[str, Any] = answer.json()
    return output


def refused(client: TestClient, path: str, status: int, **body: object) -> dict[str, Any]:
    """Return the problem that answers a computation with this status."""
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return check_problem(answer)
