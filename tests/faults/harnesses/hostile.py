"""Hostile bodies and heads for every operation of /openapi.json, over raw sockets to a real service.

No answer may be a fault of the service or take more than a second, slow senders aside; the web process may
not keep what it was sent. A second service has few places: clients that ask on and on and read nothing may
neither fill its memory nor keep the others waiting. Does not know what is hostile.
"""

import random
import re
import socket
import struct
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from testbed.live import Service, serving, wait_until_warm
from testbed.running import store_class, train_class
from tests.faults.figures import Figure
from tests.faults.hostile_requests import REQUESTS, Sending, Target, head, whole
from tests.support.requests.operations import body_of, filled, media_of, read_operations
from tests.support.requests.raw import Answer, connect, read_answer

_SECONDS = 1.0
_COMPUTING = 2  # processes, as a service has: while one is replaced the other computes
_MIB = 2**20
_GROWTH = 16 * _MIB
_WARM = 0.1
_SETTLED = 2.0
_PLACES = 4
_FLOOD = 100_000
_SERVED = 10.0
_FILLED = 5.0  # seconds, until the buffers of those who do not read are full
_UNREAD_SECONDS = 0.2
_SLOW_AT_ONCE = 32
_SEED = 7
LINGER = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    longest: float = 0.0

    def add(self, name: str, sending: Sending, answer: Answer) -> None:
        """Count an answer; status 0 is none, where the connection was closed."""
        self.statuses[answer.status] += 1
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.faults.append(f"{name}: {answer.status} {answer.body[:200]!r}")
        if not sending.slow:
            self.longest = max(self.longest, answer.seconds)
            if answer.seconds > _SECONDS:
                self.late.append(f"{name}: {answer.seconds:.2f} s")


def run(scale: float) -> list[Figure]:
    """Return the figures of so large a share of all requests, and of clients that read nothing."""
    return [*ask_every_operation(scale), *without_reading()]


def ask_every_operation(scale: float) -> list[Figure]:
    """Return the figures of so large a share of all requests."""
    with TemporaryDirectory() as folder:
        store_class(folder)
        environment = {
            "LIKELY_COMPUTE_PROCESSES": str(_COMPUTING),
            "LIKELY_DRAWING_PROCESSES": "1",
            "LIKELY_RECEIVE_SECONDS": "1",
        }
        with serving(Path(folder), environment) as service:
            service.http.timeout = 120  # processes start late on a busy machine
            train_class(service)
            wait_until_warm(service, _COMPUTING)
            targets = list_targets(service)
            pairs = [(target, name) for target in targets for name in REQUESTS]
            random.Random(_SEED).shuffle(pairs)
            pairs = pairs[: round(len(pairs) * scale)]
            pairs.sort(
                key=lambda pair: pair[0].method == "DELETE"
            )  # so that the others find what they ask for
            for (
                target
            ) in targets:  # what is brought along with the first of its kind is here before it counts
                if target.method != "DELETE":
                    send(service.url, Sending(whole(target, target.body)))
            seen, before = Seen(), 0
            slow = []
            for number, (target, name) in enumerate(pairs):
                if number == int(len(pairs) * _WARM):
                    before = _kept(service)
                sending, said = REQUESTS[name](target), f"{target.method} {target.path}, {name}"
                if sending.slow:
                    slow.append((said, sending))
                else:
                    seen.add(said, sending, send(service.url, sending))
            with ThreadPoolExecutor(_SLOW_AT_ONCE) as senders:
                for said, sending, answer in senders.map(lambda one: (*one, send(service.url, one[1])), slow):
                    seen.add(said, sending, answer)
            growth = _kept(service) - before
            alive = service.http.get("/readyz").is_success
    return _figures(len(REQUESTS), len(targets), seen, growth, alive=alive)


def without_reading() -> list[Figure]:
    """Return the figures of clients that read nothing, where places are taken and where they take them."""
    environment = {"LIKELY_REQUESTS_AT_ONCE": str(_PLACES), "LIKELY_RECEIVE_SECONDS": "3"}
    with TemporaryDirectory() as name, serving(Path(name), environment, "--no-worker") as service:
        target, before = Target("GET", "/v1/catalogs"), _memory(service)
        with ExitStack() as held:
            for _ in range(_PLACES):
                half = head(
                    Target("PUT", "/v1/catalogs/c"), b"Content-Type: application/json", b"Content-Length: 100"
                )
                held.enter_context(connect(service.url)).sendall(half)
            full = _is_full(service, head(target))
            sent = _flood(held.enter_context(_deaf(service.url)), head(target), _FLOOD)
            growth = _memory(service) - before
        with ExitStack() as held:
            for _ in range(2 * _PLACES):
                _flood(held.enter_context(_deaf(service.url)), head(Target("GET", "/openapi.json")), 200)
            time.sleep(_FILLED)
            began = time.perf_counter()
            while (
                not (served := send(service.url, Sending(head(target))).status == HTTPStatus.OK)
                and time.perf_counter() - began < 3 * _SERVED
            ):
                time.sleep(0.1)
            waited = time.perf_counter() - began
    return [
        Figure(
            f"{sent:,} requests in a row by a client that reads no answer, while all places are taken",
            "growth of the web process ≤ 16 MiB",
            f"{growth / _MIB:.1f} MiB" + ("" if full else "; places were free"),
            full and growth <= _GROWTH,
        ),
        Figure(
            f"{2 * _PLACES} clients, each with 200 requests in a row of which it reads no answer, at "
            f"{_PLACES} places",
            f"others are served within {_SERVED:g} s",
            f"after {waited:.1f} s" if served else f"not within {waited:.0f} s",
            served and waited <= _SERVED,
        ),
    ]


def _is_full(service: Service, request: bytes) -> bool:
    """Return whether a request finds no place, as soon as that is so."""
    for _ in range(20):
        if send(service.url, Sending(request)).status == HTTPStatus.SERVICE_UNAVAILABLE:
            return True
        time.sleep(0.1)
    return False


def _deaf(url: str) -> socket.socket:
    """Return a connection that takes hardly anything in before somebody reads."""
    u_r_l = httpx2.URL(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(1.0)
    connection.connect((u_r_l.host, u_r_l.port))
    return connection


def _flood(connection: socket.socket, request: bytes, times: int) -> int:
    """Send a request so many times, or until the service takes no more; return how many were sent, about."""
    sent = 0
    with suppress(OSError):  # closed, or full
        while sent < times:
            connection.sendall(request * min(100, times - sent))
            sent += min(100, times - sent)
    return sent


def list_targets(service: Service) -> list[Target]:
    """Return every operation of the OpenAPI document."""
    return [
        Target(
            operation.method,
            filled(operation.path),
            body_of(operation) or b"",
            media_of(operation).encode(),
        )
        for operation in read_operations(service.http.get("/openapi.json").json())
    ]


def send(url: str, sending: Sending) -> Answer:
    """Send on a connection of its own; return the answer, of status 0 if there is none."""
    with connect(url, timeout=10) as connection, suppress(ConnectionError):
        began = time.perf_counter()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sending.end == "unread":
            connection.settimeout(_UNREAD_SECONDS)  # the service need not take what it does not answer
        with suppress(ConnectionError, TimeoutError):  # closed while it was sent: the answer may be here
            connection.sendall(sending.data)
            for piece in sending.pieces:
                connection.sendall(piece)
                time.sleep(0.05)
        if sending.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            return Answer(0, {}, b"", 0)
        if sending.end == "unread":
            time.sleep(_UNREAD_SECONDS)
            return Answer(0, {}, b"", 0)
        if sending.end == "half":
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        try:
            return read_answer(connection, began, sending.data.partition(b" ")[0].decode("latin-1"))
        except TimeoutError:
            return Answer(0, {}, b"", time.perf_counter() - began)
    return Answer(0, {}, b"", 0)


def _kept(service: Service) -> int:
    """Return what the web process has when nothing is asked of it: what it freed goes back in a moment."""
    time.sleep(_SETTLED)
    return _memory(service)


def _memory(service: Service) -> int:
    """Return the bytes that the web process has of its own (Linux)."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    result = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 1024 * int(result[1]) if result else 0


def _figures(kinds: int, operations: int, seen: Seen, growth: int, *, alive: bool) -> list[Figure]:
    count = seen.statuses.total()
    label = f"{count:,} of {kinds} hostile bodies and headers × {operations} operations"
    answers = ", ".join(
        f"{number:,} {status or 'closed'}" for status, number in sorted(seen.statuses.items())
    )
    faults = "; ".join(seen.faults[:5])
    late = "; ".join(seen.late[:5])
    return [
        Figure(
            label,
            "0 responses ≥ 500",
            f"{len(seen.faults)} ({answers}){': ' + faults if faults else ''}",
            not seen.faults and alive,
        ),
        Figure(
            "their answers, slow senders aside",
            "none over 1 s",
            f"{len(seen.late)}; the longest {seen.longest:.2f} s{': ' + late if late else ''}",
            not seen.late,
        ),
        Figure(
            "memory of the web process, from the first tenth of them to the end",
            "growth ≤ 16 MiB",
            f"{growth / _MIB:.1f} MiB",
            growth <= _GROWTH,
        ),
    ]
