"""Heads: which requests are refused by theirs, and what every answer tells browsers."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.main import create_app
from app.settings import Settings
from testbed.databases import url_for
from tests.support.requests.refusals import check_problem

ANSWERS = {
    "/livez": 200,
    "/v1/catalogs": 200,
    "/v1/nothing": 404,
    "/v1/catalogs/class?x=1": 422,
    "/": 200,
    "/docs": 200,
    "/openapi.json": 200,
    "/metrics": 200,
}


def hosted(settings: Settings, *hosts: str, host: str = "127.0.0.1") -> TestClient:
    return TestClient(create_app(settings.model_copy(update={"trusted_hosts": hosts, "host": host})))


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_tells_browsers_to_take_it_for_what_it_is(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == ANSWERS[path]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.usefixtures("class_catalog")
def test_only_an_answer_with_an_etag_may_be_kept(client: TestClient) -> None:
    for path in ANSWERS:
        answer = client.get(path)
        assert answer.headers["cache-control"] == ("no-cache" if "etag" in answer.headers else "no-store")


def test_pages_that_may_use_the_api_may_include_its_answers(settings: Settings) -> None:
    opened = settings.model_copy(update={"cors_origins": ("https://app.example.org",)})
    answer = TestClient(create_app(opened)).get("/livez")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, identity", "nonsense"])
def test_a_packed_body_is_refused_unread(client: TestClient, encoding: str) -> None:
    body = json.dumps({"program": "1"}).encode()
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    for path in ("/v1/compute/tensor", "/v1/catalogs/c/movies:import", "/v1/nothing"):
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 415
        assert "without Content-Encoding" in check_problem(answer)["detail"]
        assert answer.headers["accept-encoding"] == "identity"


def test_a_body_said_to_be_packed_in_nothing_is_read(client: TestClient) -> None:
    headers = {"Content-Encoding": "identity"}
    assert client.put("/v1/catalogs/c", json={"dimensions": []}, headers=headers).status_code == 201


def test_on_a_loopback_address_other_names_lead_nowhere(settings: Settings) -> None:
    client = hosted(settings)
    right = ("localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "localhost:")
    for host in right:
        assert client.get("/livez", headers={"Host": host}).status_code == 200, host
    wrong = (
        "evil.example.org",
        "localhost.evil.org",
        "127.0.0.2",
        "",
        ":80",
        "localhost:x",
        "::1",
        "a localhost",
    )
    for host in wrong:
        answer = client.get("/livez", headers={"Host": host})
        assert answer.status_code == 421, host
        assert "LIKELY_TRUSTED_HOSTS" in check_problem(answer)["detail"]
        assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["LOCALHOST", "::1", "[::1]", "127.0.0.9"])
def test_a_loopback_address_is_one_however_it_is_written(settings: Settings, host: str) -> None:
    assert hosted(settings, host=host).get("/livez", headers={"Host": "evil.example.org"}).status_code == 421


def test_elsewhere_every_name_is_answered_unless_some_are_set(settings: Settings) -> None:
    assert hosted(settings, host="0.0.0.0").get("/livez").status_code == 200  # noqa: S104 - not bound
    named = hosted(settings, "likely.example.org", host="0.0.0.0")  # noqa: S104 - likewise
    assert named.get("/livez", headers={"Host": "likely.example.org"}).status_code == 200
    assert named.get("/livez").status_code == 421
    assert hosted(settings, "*").get("/livez", headers={"Host": "any.example.org"}).status_code == 200


def test_two_hosts_are_none(settings: Settings) -> None:
    for client in (hosted(settings), hosted(settings, "*")):
        answer = client.get("/livez", headers=[("Host", "localhost"), ("Host", "localhost")])
        assert answer.status_code == 422
        assert check_problem(answer)["errors"][0]["parameter"] == "host"


@pytest.mark.parametrize("bad", ["https://a.org", "a.org:80", "A.org", "a.org/", "::1"])
def test_what_is_no_host_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("LIKELY_TRUSTED_HOSTS", f"localhost,{bad}")
    with pytest.raises(ValidationError, match="is no host"):
        Settings()


def test_brackets_nest_as_deeply_as_is_allowed(settings: Settings, tmp_path: Path) -> None:
    narrow = settings.model_copy(update={"max_json_depth": 10, "database_url": url_for(tmp_path, "a.db")})
    with TestClient(create_app(narrow)) as client:
        for depth, status in ((8, 200), (9, 400), (1000, 400)):
            nested = "[" * depth + "1" + "]" * depth
            body = f'{{"program": "1", "variables": {{"x": {nested}}}}}'
            for media in ("application/json", "application/JSON", "Application/Problem+Json"):
                headers = {"Content-Type": media}
                answer = client.post("/v1/compute/tensor", content=body, headers=headers)
                assert answer.status_code == status, media
        assert "nest too deeply" in check_problem(answer)["detail"]
        assert check_problem(answer)["type"] == "urn:likely:problem:malformed-json"
