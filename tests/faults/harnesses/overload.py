"""Five times as many requests as the service can answer, whether or not it answers: an open loop.

The peak comes from a closed loop first: clients that ask again as soon as they are answered. Two kinds of
load, each with a peak of its own: the cheapest requests that there are, of which a refusal is a large part,
and such with batches and questions among them. Who is refused early is told how many there are already; who
is told that the database was busy has waited, so was accepted and not served. An answer that is lost counts
against the service unless it was under way when the load ended. Does not know who refuses.
"""

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from testbed.live import Service, serving
from testbed.running import check
from tests.faults.figures import Figure
from tests.faults.hostile_requests import Target, head, whole

_SECONDS, _PEAK_SECONDS = 120.0, 15.0
_CLIENTS = 16
_TIMES = 5
_SEED = 13
_USERS, _MOVIES, _RESPONSES = 50, 1000, 200
_REFUSED = 0.05
_RECOVERED = 5.0
_GOOD = 0.8
_IDLE = 2.0  # seconds; after 5 the service closes a connection, and a request on its way would be lost
_EARLY = b" already; try again"  # "100 requests are under way already; try again"
_KNOWN = {200, 201, 429, 503}
_IN_A_ROW = 20
_CATALOG = "/v1/catalogs/films"


@dataclass
class Seen:
    """What came back: how often each status, and how long refusals and answers took."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    without_time: int = 0
    waited: int = 0
    lost: int = 0
    unsent: int = 0
    over: bool = False

    def add(self, status: int, head: bytes, body: bytes, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status == HTTPStatus.SERVICE_UNAVAILABLE and _EARLY not in body:
            self.waited += 1
        elif status in {429, 503}:
            self.refused.append(seconds)
            self.without_time += b"retry-after: " not in head.lower()
        else:
            self.answered.append(seconds)

    def lose(self) -> None:
        """Count an answer that did not come, or a connection that was refused; not after the end."""
        self.lost += not self.over

    @property
    def good(self) -> int:
        """Return how many were answered with what they asked for."""
        return self.statuses[200] + self.statuses[201]


class Client(asyncio.Protocol):
    """A connection that has one request under way at most, in ``idle`` while it has none."""

    def __init__(self, seen: Seen, idle: "deque[Client]", connections: "set[Client]") -> None:
        self._seen, self._idle, self._connected = seen, idle, connections
        self._came, self._asked = b"", 0.0
        self._used = time.perf_counter()
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connected.add(self)

    @property
    def fresh(self) -> bool:
        """Return whether the service is not about to close the connection, as it does when idle."""
        return not self.transport.is_closing() and time.perf_counter() - self._used < _IDLE

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self._came, self._asked = b"", time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take what came; when the answer is whole, be free for the next."""
        self._came += data
        top, end, body = self._came.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(top.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(body) >= length:
            self._used = time.perf_counter()
            self._seen.add(int(top[9:12]), top, body, self._used - self._asked)
            self._asked = 0.0
            self._idle.append(self)
            if self.done is not None and not self.done.done():
                self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Count a request whose answer never came."""
        if self._asked:
            self._seen.lose()
        self._connected.discard(self)
        if self in self._idle:
            self._idle.remove(self)
        if self.done is not None and not self.done.done():
            self.done.set_result(None)


def run(scale: float, places: int = 128) -> list[Figure]:
    """Return the figures of overloads of so large a share of the time, with places for so many requests."""
    environment = {"LIKELY_REQUESTS_AT_ONCE": str(places)}
    with TemporaryDirectory() as name, serving(Path(name), environment) as service:
        service.http.timeout = 120  # processes start late on a busy machine
        _fill(service)
        return [figure for load in _LOADS for figure in _overload(service, load, scale)]


def _overload(service: Service, load: str, scale: float) -> list[Figure]:
    source = random.Random(_SEED)
    requests = [_LOADS[load](source, number) for number in range(4000)]
    seconds = max(1.0, _PEAK_SECONDS * min(1.0, 4 * scale))
    before = asyncio.run(_closed(service.url, requests, seconds))
    peak = before.good / seconds
    length = _SECONDS * scale
    during = asyncio.run(offer(service.url, requests, _TIMES * peak, length))
    during.lost += before.lost  # the peak is no time to lose answers either
    recovered = _recovery(service, before)
    return judge(load, peak, during, length, recovered)


def _fill(service: Service) -> None:
    """Store movies, users and what they answered, and train the catalog."""
    source = random.Random(_SEED)
    service.http.put(_CATALOG, json={"dimensions": ["a", "b", "c"]}).raise_for_status()
    movies = [
        {"movie": f"m{number}", "vector": [source.random() for _ in range(3)]} for number in range(_MOVIES)
    ]
    answers = [
        {"user": f"u{user}", "movie": f"m{movie}", "response": source.randrange(2)}
        for user in range(_USERS)
        for movie in source.sample(range(_MOVIES), _RESPONSES)
    ]
    for what, rows in (("movies", movies), ("responses", answers)):
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        service.http.post(f"{_CATALOG}/{what}:import", content=lines, headers=headers).raise_for_status()
    training = service.http.post(f"{_CATALOG}/trainings", json={"trainer": "mixed_effects"})
    check(service.wait_for(training.headers["location"], "succeeded", "failed")["status"] == "succeeded")


def _cheapest(source: random.Random, number: int) -> bytes:
    """Return a response that is given, or a request for scores or recommendations."""
    user = f"{_CATALOG}/users/u{source.randrange(_USERS)}"
    movies = [f"m{movie}" for movie in source.sample(range(_MOVIES), 5)]
    if number % 2:
        return whole(Target("PUT", f"{user}/responses/{movies[0]}"), b'{"response": %.2f}' % source.random())
    scores = f"{user}/scores?" + "&".join(f"movie={movie}" for movie in movies)
    return head(Target("GET", source.choice([scores, f"{user}/recommendations"])))


def _mixed(source: random.Random, number: int) -> bytes:
    """Return one of the cheapest in three of five cases; a batch of 5,000 pairs, or a question."""
    if number % 5 == 3:
        pairs = [[f"u{number % _USERS}", f"m{movie}"] for movie in range(_MOVIES)] * 5
        return whole(Target("POST", f"{_CATALOG}/scores"), json.dumps({"pairs": pairs}).encode())
    if number % 5 == 4:
        return head(Target("GET", f"{_CATALOG}/users/u{number % _USERS}/next-question"))
    return _cheapest(source, source.randrange(2))


_LOADS: dict[str, Callable[[random.Random, int], bytes]] = {
    "a fifth batches of 5,000 pairs, a fifth questions, else half responses and half scores": _mixed,
    "the cheapest requests that there are, half responses and half scores": _cheapest,
}


async def _connect(url: str, seen: Seen, idle: "deque[Client]", connections: set[Client]) -> Client:
    address = httpx2.URL(url)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: Client(seen, idle, connections), address.host, address.port or 80
    )
    return client


async def _closed(url: str, requests: list[bytes], seconds: float, clients: int = _CLIENTS) -> Seen:
    """Let clients ask one thing after the other for so long, each at least once."""
    seen: Seen = Seen()
    end = time.perf_counter() + seconds

    async def keep_asking(first: int) -> None:
        client = await _connect(url, seen, deque(), set())
        number = first
        while number == first or time.perf_counter() < end:
            if client.transport.is_closing():
                client = await _connect(url, seen, deque(), set())
            client.done = asyncio.get_running_loop().create_future()
            client.ask(requests[number % len(requests)])
            await client.done
            number += clients
        client.transport.close()

    await asyncio.gather(*(keep_asking(number) for number in range(clients)))
    return seen


async def offer(url: str, requests: list[bytes], rate: float, seconds: float) -> Seen:
    """Send so many requests a second for so long, whatever comes back, each on a connection that is free."""
    seen: Seen = Seen()
    idle: deque[Client] = deque()
    connections: set[Client] = set()
    opening = 0

    async def open_one() -> None:
        nonlocal opening
        try:
            idle.append(await _connect(url, seen, idle, connections))
        except OSError:
            seen.lose()
        finally:
            opening -= 1

    began, sent = time.perf_counter(), 0
    tasks = set()
    while (now := time.perf_counter() - began) < seconds:
        due = int(now * rate) - sent
        for _ in range(due):
            sent += 1
            client = _take(idle)
            if client is not None:
                client.ask(requests[sent % len(requests)])
            else:
                seen.unsent += 1  # no connection is free: one more is opened for the next
                if opening < _CLIENTS and len(connections) < 1000:
                    opening += 1
                    task = asyncio.create_task(open_one())
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        await asyncio.sleep(0)  # never asleep, for to wake it would be work of those who answer
    seen.over = True  # what is under way now was not refused, and is not waited for
    for client in connections:
        client.transport.abort()
    await asyncio.sleep(0)
    return seen


def _take(idle: "deque[Client]") -> Client | None:
    """Return the connection that has waited for longest, None if none is to be had."""
    while idle:
        client = idle.popleft()
        if client.fresh:
            return client
        client.transport.close()
    return None


def _recovery(service: Service, before: Seen) -> float:
    """Return after how many seconds requests are answered in the time that they took under full load."""
    usual = sorted(before.answered)[int(len(before.answered) * 0.99)]
    began = time.perf_counter()
    good = 0
    while good < _IN_A_ROW and time.perf_counter() - began < 2 * _RECOVERED:
        if not good:
            first = time.perf_counter() - began
        start = time.perf_counter()
        answer = service.http.put(f"{_CATALOG}/users/after/responses/m0", json={"response": 1})
        good = good + 1 if answer.is_success and time.perf_counter() - start <= usual else 0
    return first if good >= _IN_A_ROW else 2 * _RECOVERED


def judge(load: str, peak: float, seen: Seen, seconds: float, recovered: float) -> list[Figure]:
    """Return the figures of a load against a service whose peak is so many answers a second."""
    goodput = seen.good / seconds
    offered = seen.statuses.total() / seconds
    refusals = sorted(seen.refused) or [0.0]
    p99 = refusals[int(len(refusals) * 0.99)]
    others = {
        **{f"{status}": count for status, count in seen.statuses.items() if status not in _KNOWN},
        **({"503 after a wait": seen.waited} if seen.waited else {}),
        **({"lost": seen.lost} if seen.lost else {}),
    }
    answers = sorted(seen.answered) or [0.0]
    label = (
        f"{_TIMES} times the peak of {peak:,.0f} answers a second for {seconds:g} s, {load}: "
        f"{offered:,.0f} requests a second came to be sent, {seen.unsent:,} found no connection"
    )
    return [
        Figure(label, "goodput ≥ 80 % of the peak", f"{goodput / peak:.0%}", goodput >= _GOOD * peak),
        Figure(
            f"the {len(seen.refused):,} refusals",
            "p99 ≤ 50 ms, each with Retry-After",
            f"median {refusals[len(refusals) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
            f"the longest {refusals[-1] * 1000:.0f} ms; {seen.without_time} without Retry-After",
            bool(seen.refused) and p99 <= _REFUSED and not seen.without_time,
        ),
        Figure(
            "what was accepted",
            "is served",
            f"{seen.good:,}, p99 {answers[int(len(answers) * 0.99)]:.2f} s; "
            f"other answers: {others or 'none'}",
            not others,
        ),
        Figure(
            "until answers take no longer than p99 at the peak",
            "≤ 5 s",
            f"{recovered:.1f} s",
            recovered <= _RECOVERED,
        ),
    ]
