"""Keys over HTTP: every route says what it needs, the document shows it, and no key is ever repeated."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute

from app.database.database import Database
from app.database.urls import open_migrated
from app.main import create_app
from app.observability.logs import configure_logs
from app.settings import Settings
from app.web.auth.api_keys import OpenToAllError, Scope, create_key
from app.web.auth.routes import READ, WRITE, AuthenticatedRoute
from app.web.auth.tokens import make_token
from testbed.databases import url_for
from testbed.live import serving
from tests.faults.harnesses.credentials import needed
from tests.support.requests.refusals import check_problem

OPEN = {
    *("/livez", "/readyz", "/metrics"),
    *("/", "/console/{file}"),
    *("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs"),
}


def routes_of(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """Walk through what an application answers, routers that were included too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from routes_of(included.routes)


@pytest.fixture
def key(database: Database) -> str:
    """A key that may only read."""
    with database.writing() as connection:
        return create_key(connection, "test", {Scope.READ}, None)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_every_route_needs_a_scope_but_for_the_few_that_are_open(settings: Settings) -> None:
    app = create_app(settings)
    routes = list(routes_of(app.router.routes))
    assert {route.path for route in routes if not isinstance(route, AuthenticatedRoute)} == OPEN  # type: ignore[attr-defined]
    keyed = [route for route in routes if isinstance(route, AuthenticatedRoute)]
    described = {path: set(methods) for path, methods in app.openapi()["paths"].items() if path not in OPEN}
    found: dict[str, set[str]] = {}
    for route in keyed:
        assert route.path.startswith("/v1/")
        found.setdefault(route.path_format, set()).update(method.lower() for method in route.methods or ())
        for method in route.methods or ():
            assert route.scope is needed(method, route.path_format), (method, route.path)
    assert found == described, "the walk has seen every operation"


@pytest.mark.parametrize("dependencies", [[], [READ, WRITE], [READ, READ]])
def test_a_route_that_declares_no_scope_or_two_cannot_be_made(dependencies: list[Any]) -> None:
    router = APIRouter(route_class=AuthenticatedRoute)
    with pytest.raises(TypeError, match="/v1/new declares the scopes"):
        router.get("/v1/new", dependencies=dependencies)(lambda: None)


def test_the_openapi_document_shows_the_scope_of_every_operation(settings: Settings) -> None:
    document = create_app(settings).openapi()
    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in OPEN:
                assert "security" not in operation
            else:
                assert operation["security"] == [{"key": [needed(method.upper(), path).value]}], path


def test_without_a_key_the_probes_and_the_pages_still_answer(client: TestClient, key: str) -> None:
    assert key
    for path in ("/livez", "/readyz", "/metrics", "/", "/console/console.js", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200, path


def test_a_missing_key_is_asked_for_and_a_missing_scope_is_named(client: TestClient, key: str) -> None:
    missing = client.get("/v1/catalogs")
    assert check_problem(missing)["type"] == "urn:likely:problem:unauthorized"
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/v1/catalogs", headers=bearer(key)).json() == {"items": [], "next": None}
    weak = client.put("/v1/catalogs/a", headers=bearer(key), json={"dimensions": []})
    assert weak.status_code == 403
    assert "the scope write; this one has read" in check_problem(weak)["detail"]


def test_a_mistyped_key_is_told_from_one_that_is_not_valid(client: TestClient, key: str) -> None:
    mistyped = check_problem(client.get("/v1/catalogs", headers=bearer(key[:-1])))
    assert mistyped["status"] == 401
    assert "a character is missing or wrong" in mistyped["detail"]
    assert "valid API key" in check_problem(client.get("/v1/catalogs"))["detail"]


def test_a_service_that_others_reach_does_not_start_without_a_key(
    settings: Settings, database: Database
) -> None:
    outside = settings.model_copy(update={"host": "0.0.0.0"})  # noqa: S104 - nothing listens
    with (
        pytest.raises(OpenToAllError, match="run `likely keys create"),
        TestClient(create_app(outside)),
    ):
        raise AssertionError("it started")
    with database.writing() as connection:
        create_key(connection, "test", {Scope.READ}, None)
    with TestClient(create_app(outside)) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/catalogs").status_code == 401


def test_pages_of_a_named_origin_may_send_a_key(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": ("https://app.example.org",)}))
    asked = {
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    assert TestClient(app).options("/v1/catalogs", headers=asked).status_code == 200


def test_no_key_is_in_a_log_an_answer_or_a_metric_wherever_it_was_sent(
    tmp_path: Path,
) -> None:
    """At the most talkative level, of the service and of the server."""
    database = open_migrated(url_for(tmp_path))
    with database.writing() as connection:
        keys = [create_key(connection, "test", {Scope(scope)}, None) for scope in ("admin", "read")]
    database.close()
    admin, reader = keys
    with serving(tmp_path, {"LIKELY_LOG_LEVEL": "debug"}) as service:
        said = []
        for text, other in ((admin, reader), (reader, admin)):
            encoded = other.replace("_", "%5F")
            for method, path in (
                *((method, f"/v1/catalogs/{other}") for method in ("GET", "PUT", "DELETE", "PATCH")),
                *(
                    ("GET", f"/v1/catalogs/{name}/users/{name}/scores?movie={name}")
                    for name in (other, encoded)
                ),
                *(
                    ("GET", f"/v1/catalogs?{query}")
                    for query in (f"key={other}", f"{other}=1", f"after={encoded}")
                ),
                *(("GET", path) for path in (f"/{other}", f"/console/{other}", f"//{encoded}")),
                ("POST", "/v1/compute/tensor"),
            ):
                headers = {**bearer(text), "X-Request-ID": other, "Cookie": f"a={other}", "X-API-Key": other}
                body = {other: other, "dimensions": [other], "program": other}
                said.append(service.http.request(method, path, headers=headers, json=body).text)
                said.append(service.http.request(method, path, headers={"Authorization": other}).text)
        said.append(service.http.get("/metrics").text)
        said.append(service.http.get("/v1/catalogs?limit=1", headers=bearer(admin)).text)
    log = service.log.read_text()
    assert '"/v1/catalogs/{catalog}"' in log, "the log tells of these requests"
    for text in keys:
        secret = text[16:]
        assert secret not in log
        assert not any(secret in one for one in said[:-1])


def test_an_exception_with_a_key_in_its_words_is_logged_without(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug")
    text = make_token()
    server = logging.getLogger("uvicorn.error")
    try:
        int(text)  # whose words have what it was given
    except ValueError:
        server.exception("failed: %s", text)
    server.error(text)
    written = capsys.readouterr().err
    assert written.count(f"{text[:15]}_...") == 2  # an exception's own words are left out
    assert text not in written
