"""Connections to a real service: what is slow, too long or no HTTP ends, and nobody else notices."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from app.cli.main import server_options
from app.settings import Settings
from testbed.live import Service, serving
from tests.support.requests.raw import Answer, ask, connect, read_answer

PATIENCE = 0.5
BODY = b'{"program": "1"}'
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /v1/compute/tensor HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {
        "LIKELY_RECEIVE_SECONDS": str(PATIENCE),
        "LIKELY_TRUSTED_HOSTS": "",
        "LIKELY_STREAMS": "2",
    }
    with serving(tmp_path_factory.mktemp("connections"), environment, "--no-worker") as service:
        yield service


def open_stream(connection: socket.socket) -> int:
    """Ask for the events of a training that nobody runs; return the status."""
    connection.sendall(b"GET /v1/catalogs/watched/trainings/1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return int(connection.recv(2**16).split(b" ")[1])


def dripping(service: Service, first: bytes, drip: bytes) -> Answer:
    """Send the beginning at once and the rest a little at a time, for longer than the service waits."""
    began = time.perf_counter()
    with connect(service.url) as connection:
        connection.sendall(first)
        for _ in range(int(3 * PATIENCE / 0.1)):
            connection.settimeout(0.1)
            try:
                connection.recv(1, socket.MSG_PEEK)  # an answer or the end is there
                break
            except TimeoutError:
                connection.sendall(drip)
            except ConnectionResetError:  # closed with a drip unread, which resets instead of ending
                return Answer(0, {}, b"", time.perf_counter() - began)
        connection.settimeout(30)
        return read_answer(connection, began)


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"GET /livez HT", b""),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"),
        (b"\r\n", b"\r\n"),
    ],
    ids=["nothing", "half a line", "header after header", "empty lines"],
)
def test_a_head_that_does_not_come_ends_the_connection(service: Service, first: bytes, drip: bytes) -> None:
    answered = dripping(service, first, drip)
    assert answered.status == 0
    assert PATIENCE * 0.9 < answered.seconds < 10 * PATIENCE


def test_a_connection_that_was_used_does_not_wait_longer(service: Service) -> None:
    with connect(service.url) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(connection).status == 200
        connection.sendall(b"GET /livez HTTP")
        assert read_answer(connection).status == 0


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (HEAD + b"Content-Length: 16\r\n\r\n", b""),
        (HEAD + b"Content-Length: 1000\r\n\r\n{", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
        (
            HEAD.replace(b"json", b"x-ndjson").replace(b"compute/tensor", b"catalogs/c/movies:import")
            + b"Content-Length: 1000\r\n\r\n{",
            b" ",
        ),
    ],
    ids=["nothing", "byte by byte", "chunk by chunk", "an import"],
)
def test_a_body_that_does_not_come_is_told_so(service: Service, head: bytes, drip: bytes) -> None:
    answered = dripping(service, head, drip)
    assert answered.status == 408
    assert answered.problem()["type"] == "urn:likely:problem:too-slow"
    assert answered.headers["connection"] == "close"
    assert PATIENCE * 0.9 < answered.seconds < 10 * PATIENCE


def test_a_large_body_has_more_time(service: Service) -> None:
    piece = b" " * 2**14
    with connect(service.url) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (4 * len(piece) + len(BODY)))
        for _ in range(4):
            connection.sendall(piece)
            time.sleep(0.3)
        connection.sendall(BODY)
        assert read_answer(connection).status == 503  # computing is switched off here


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 2**20,
        b"GET /" + b"a" * 2**20,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 2**17,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 2**20,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"a" * 2**20,
    ],
    ids=["a header", "a path", "headers", "a chunk's extension", "a trailer"],
)
def test_a_head_without_end_is_refused_before_memory_is(service: Service, request_: bytes) -> None:
    answer = ask(service.url, request_)
    assert answer.status in {0, 431}
    assert answer.seconds < 5
    if answer.status:
        assert answer.problem()["type"] == "urn:likely:problem:request-header-fields-too-large"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n",
        HEAD + b"Content-Length: 16\r\nContent-Length: 17\r\n\r\n" + BODY,
        HEAD + b"Content-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_as_everything_is(service: Service, request_: bytes) -> None:
    answer = ask(service.url, request_)
    assert answer.problem()["type"] == "urn:likely:problem:bad-request"
    assert answer.headers["connection"] == "close"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_a_request_behind_a_body_with_trailers_has_its_own_headers(service: Service) -> None:
    first = (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n" + BODY + b"\r\n0\r\nHost: evil.example.org\r\n\r\n"
    )
    with connect(service.url) as connection:
        connection.sendall(first)
        assert read_answer(connection).status == 503
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(connection).status == 200


def test_streams_are_counted_while_they_run(service: Service) -> None:
    service.http.put("/v1/catalogs/watched", json={"dimensions": []})
    service.http.post("/v1/catalogs/watched/trainings", json={"trainer": "gradient_descent"})
    with connect(service.url) as first, connect(service.url) as third:
        assert open_stream(first) == 200
        with connect(service.url) as second:
            assert open_stream(second) == 200
            answer = service.http.get("/v1/catalogs/watched/trainings/1/events")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "urn:likely:problem:overloaded"
            assert service.http.get("/v1/catalogs").status_code == 200
        deadline = time.monotonic() + 10  # until the service notices who hung up
        while (status := open_stream(third)) == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status == 200


def test_who_asks_and_asks_and_reads_nothing_is_let_go(service: Service) -> None:
    for request_ in (b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", LIVEZ):
        with connect(service.url, timeout=10 * PATIENCE) as connection, pytest.raises(ConnectionError):
            connection.sendall(request_ * 500_000)


def test_a_few_requests_in_a_row_are_answered_in_their_order(service: Service) -> None:
    paths = [b"/livez", b"/none", b"/livez", b"/none"] * 3
    with connect(service.url) as connection:
        connection.sendall(b"".join(LIVEZ.replace(b"/livez", path) for path in paths))
        came = b""
        while came.count(b"HTTP/1.1 ") < len(paths):
            came += connection.recv(2**16)
    assert re.findall(rb"HTTP/1.1 (\d+)", came) == [b"200", b"404"] * 6


def test_who_does_not_read_keeps_no_place(tmp_path: Path) -> None:
    environment = {"LIKELY_RECEIVE_SECONDS": str(PATIENCE), "LIKELY_REQUESTS_AT_ONCE": "2"}
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 16
    with serving(tmp_path, environment, "--no-worker") as service, ExitStack() as stack:
        for _ in range(2):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            address = httpx2.URL(service.url)
            deaf.connect((address.host, address.port))
            deaf.sendall(asked)
        deadline = time.monotonic() + 20 * PATIENCE
        while (status := service.http.get("/v1/catalogs").status_code) == 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert status == 200


def test_an_upgrade_is_not_taken(service: Service) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert ask(service.url, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + upgrade).status == 200


def test_proxies_are_not_believed_unless_they_are_named() -> None:
    assert server_options(Settings())["proxy_headers"] is False
    named = server_options(Settings(forwarded_allow_ips=("10.0.0.1",)))
    assert (named["proxy_headers"], named["forwarded_allow_ips"]) == (True, ["10.0.0.1"])
