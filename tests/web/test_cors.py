"""CORS: closed to other origins, and opened to those that the settings name."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.catalogs import catalogs
from app.main import create_app
from app.settings import Settings

FRONTEND = "https://app.example.org"


@pytest.fixture
def opened(settings: Settings) -> Iterator[TestClient]:
    opened = settings.model_copy(update={"cors_origins": (FRONTEND, "http://localhost:5173")})
    with TestClient(create_app(opened), raise_server_exceptions=False) as client:
        yield client


def preflight(client: TestClient, origin: str, method: str = "PUT", headers: str = "content-type") -> int:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return client.options("/v1/catalogs/class", headers=asked).status_code


def test_other_origins_get_no_leave_by_default(client: TestClient) -> None:
    answer = client.get("/v1/catalogs", headers={"Origin": FRONTEND})
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert preflight(client, FRONTEND) == 405


def test_a_named_origin_may_use_the_whole_api(opened: TestClient) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert preflight(opened, FRONTEND, method, "content-type, if-none-match, x-request-id") == 200
    answer = opened.get("/v1/catalogs", headers={"Origin": FRONTEND})
    assert answer.headers["access-control-allow-origin"] == FRONTEND
    assert "Origin" in answer.headers["vary"]
    exposed = answer.headers["access-control-expose-headers"]
    assert {"Location", "ETag", "X-Request-ID"} <= set(exposed.split(", "))
    assert "access-control-allow-credentials" not in answer.headers


def test_a_named_origin_reads_problems_too(opened: TestClient) -> None:
    answer = opened.get("/v1/catalogs/nowhere", headers={"Origin": FRONTEND})
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == FRONTEND


def test_a_named_origin_reads_also_that_something_went_wrong(
    opened: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(catalogs, "list_catalogs", fail)
    answer = opened.get("/v1/catalogs", headers={"Origin": FRONTEND})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:likely:problem:internal-error")
    assert answer.headers["access-control-allow-origin"] == FRONTEND
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_an_origin_that_is_not_named_stays_outside(opened: TestClient) -> None:
    for origin in ("https://evil.example.org", "null", FRONTEND + ".evil.org", "http://app.example.org"):
        answer = opened.get("/v1/catalogs", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert preflight(opened, origin) == 400


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", ()),
        (FRONTEND, (FRONTEND,)),
        (f"{FRONTEND}, http://localhost:5173", (FRONTEND, "http://localhost:5173")),
        ("http://[::1]:8000 http://192.168.0.1", ("http://[::1]:8000", "http://192.168.0.1")),
        ("*", ("*",)),
    ],
)
def test_origins_stand_in_the_environment_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, given: str, read: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LIKELY_CORS_ORIGINS", given)
    assert Settings().cors_origins == read


@pytest.mark.parametrize(
    "bad",
    ["app.example.org", f"{FRONTEND}/", f"{FRONTEND}/app", "https://", "ftp://x", "https://APP.example.org"],
)
def test_what_no_browser_sends_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("LIKELY_CORS_ORIGINS", f"{FRONTEND},{bad}")
    with pytest.raises(ValidationError, match="is no origin as browsers send it") as refused:
        Settings()
    assert repr(bad) in str(refused.value)
