"""More requests than are begun at once, against a real service: refused before anything is done with them."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.observability.metrics import ServiceMetrics
from app.settings import Settings
from app.web.limits import Slots
from app.web.server import LoadShedding
from testbed.live import Service, serving
from tests.support.requests.raw import Answer, ask, connect, read_answer

GET = b"GET /v1/catalogs HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT /v1/catalogs/c HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"dimensions": []}'
WITH_BODY = PUT + b"Content-Length: %d\r\n\r\n" % len(BODY)
PAGE = "https://app.example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {
        "LIKELY_REQUESTS_AT_ONCE": "2",
        "LIKELY_TRUSTED_HOSTS": "",
        "LIKELY_CORS_ORIGINS": PAGE,
    }
    with serving(tmp_path_factory.mktemp("overload"), environment, "--no-worker") as service:
        yield service


@pytest.fixture
def full(service: Service) -> Iterator[Service]:
    """The service with as many requests under way as it begins: their bodies have not come."""
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(connect(service.url))
            connection.sendall(WITH_BODY)
            stack.callback(finish, connection)
        while ask(service.url, GET + b"\r\n").status == 200:
            pass  # those two are read later than they are sent
        yield service


def finish(begun: socket.socket) -> None:
    """Let a request come to its end."""
    begun.sendall(BODY)
    read_answer(begun)


def check_refused(answer: Answer) -> None:
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    problem = answer.problem()
    assert problem["type"] == "urn:likely:problem:overloaded"
    assert "2 requests are under way" in problem["detail"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch("[0-9a-f]{16}", problem["request_id"])


def test_one_more_is_refused_and_what_was_begun_is_answered(service: Service) -> None:
    with connect(service.url) as first, connect(service.url) as second:
        for connection in (first, second):
            connection.sendall(WITH_BODY)
        while (refused := ask(service.url, GET + b"\r\n")).status == 200:
            pass
        check_refused(refused)
        for path in ("/livez", "/readyz", "/metrics", "/livez?a=b"):
            assert service.http.get(path).status_code in {200, 422}
        for connection in (first, second):
            connection.sendall(BODY)
            assert read_answer(connection).status in {200, 201}
    while ask(service.url, GET + b"\r\n").status == 503:
        pass
    assert service.http.get("/v1/catalogs").status_code == 200


def test_every_refusal_has_a_name_of_its_own_and_is_counted(full: Service) -> None:
    names = {ask(full.url, GET + b"\r\n").problem()["request_id"] for _ in range(5)}
    assert len(names) == 5
    counted = full.http.get("/metrics").text
    assert re.search(r'likely_requests_total\{method="GET",route="none",status="503"\} [1-9]', counted)


def test_a_refused_body_is_read_past_and_the_connection_goes_on(full: Service) -> None:
    with connect(full.url) as connection:
        for request in (WITH_BODY + BODY, GET + b"\r\n"):
            connection.sendall(request)
            check_refused(read_answer(connection))
        connection.sendall(WITH_BODY)
        check_refused(read_answer(connection))
        connection.sendall(BODY + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(connection).status == 200


def test_a_large_refused_body_is_read_past_and_one_that_is_larger_than_any_is_not(full: Service) -> None:
    large = PUT + b"Content-Length: %d\r\n\r\n" % 2**30
    with connect(full.url) as connection:  # looks for the answer when all is sent, as most clients do
        connection.sendall(large + b" " * 2**21)
        check_refused(read_answer(connection))
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * 2**26)


def test_who_reads_no_refusals_is_let_go(full: Service) -> None:
    with connect(full.url) as connection, pytest.raises(ConnectionError):
        connection.sendall((GET + b"\r\n") * 500_000)


def test_a_refusal_names_the_request_as_its_caller_did(full: Service) -> None:
    assert ask(full.url, GET + b"X-Request-ID: mine\r\n\r\n").problem()["request_id"] == "mine"
    assert ask(full.url, GET + b"X-Request-ID: \xff\r\n\r\n").problem()["request_id"] != "\xff"


def test_a_page_of_an_allowed_origin_may_read_the_refusal(full: Service) -> None:
    allowed = ask(full.url, GET + b"Origin: " + PAGE.encode() + b"\r\n\r\n").headers
    assert allowed["access-control-allow-origin"] == PAGE
    assert "Retry-After" in allowed["access-control-expose-headers"]
    assert allowed["vary"] == "Origin"
    other = ask(full.url, GET + b"Origin: https://evil.example.org\r\n\r\n").headers
    assert "access-control-allow-origin" not in other


def test_any_page_may_read_the_refusal_where_any_may() -> None:
    shedding = LoadShedding(Settings(cors_origins=("*",)), Slots(1, "streams"), ServiceMetrics())
    for origin in (PAGE, "null"):
        answered = shedding.shed(b"GET", [(b"origin", origin.encode())], keep_alive=True)
        assert b"\r\naccess-control-allow-origin: *\r\n" in answered
    assert b"access-control" not in shedding.shed(b"GET", [], keep_alive=True)


@pytest.mark.parametrize(
    "request_", [GET.replace(b"1.1", b"1.0") + b"\r\n", GET + b"Connection: close\r\n\r\n"]
)
def test_who_wants_no_more_answers_gets_no_more(full: Service, request_: bytes) -> None:
    with connect(full.url) as connection:
        connection.sendall(request_)
        refused = read_answer(connection)
        check_refused(refused)
        assert refused.headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_refused_head_has_no_body(full: Service) -> None:
    with connect(full.url) as connection:
        connection.sendall(GET.replace(b"GET", b"HEAD") + b"\r\n")
        refused = read_answer(connection, method="HEAD")
        assert (refused.status, refused.body) == (503, b"")
        connection.sendall(GET + b"\r\n")
        check_refused(read_answer(connection))


def test_a_request_behind_another_is_begun_when_that_is_answered(service: Service) -> None:
    with connect(service.url) as first, connect(service.url) as second:
        for connection in (first, second):
            connection.sendall(WITH_BODY)
        first.sendall(BODY + GET + b"\r\n")
        assert read_answer(first).status in {200, 201}
        second.sendall(BODY)
        assert read_answer(second).status in {200, 201}
