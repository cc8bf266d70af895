"""64 clients write and read through four web processes while trainings run: each must see its own writes.

Each client owns a user, and has two connections, which are made anew now and then, so that any process may
answer. After an acknowledged write each read must show it exactly: nobody else writes there. What is made of
answers, scores and embeddings, must not be what it was under other answers. Sixteen clients each are a
process. Does not know how reads are kept current.
"""

import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.catalogs.catalogs import put_catalog
from app.catalogs.movies import put_movie
from app.database.database import Database
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from testbed.live import free_port
from testbed.running import percentile
from tests.faults.client import Client, Lost, Reply
from tests.faults.figures import Figure
from tests.faults.processes import Processes, Whole, processes, wait_until_ready
from tests.faults.states import check_sound, opened

CLIENTS, WEB = 64, 4
SECONDS = 300.0
OPERATIONS = 100_000
P99 = 0.25
CATALOG = "/v1/catalogs/c"
MOVIES = [f"m{number}" for number in range(50)]
_PAUSE = 0.13  # seconds, on average: 100,000 operations in five minutes, and some to spare
_UNAVAILABLE = 503
_RECONNECT = 50  # operations
_WRITES = 10  # of so many operations one
_PROCESSES = 4
_PATIENCE = 120.0  # seconds more at most, where there are too few operations by then
_REPLACED = 0.5  # of the writes, so many change an answer that was given, so that only its value is new


@dataclass
class Tally:
    """What a client did and saw."""

    operations: int = 0
    violations: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


class Person:
    """A client and its user: what it wrote and what it must see."""

    def __init__(self, number: int, ports: list[int]) -> None:
        self._number, self._lives = number, 0
        self._source = random.Random(number)
        self._connections = [Client(port) for port in ports]
        self._begin()
        self.tally = Tally()

    def _begin(self) -> None:
        """Be a user of whom everything is known: nothing."""
        self._lives += 1
        self._user = f"u{self._number}-{self._lives}"
        self._answers: dict[str, float] = {}
        self._version = 0
        self._seen: dict[object, dict[str, float]] = {}

    def live(self, began: float, seconds: float, least: int) -> None:
        """Write and read until the time is over and there were so many operations."""
        while (past := time.time() - began) < seconds or (
            self.tally.operations < least and past < seconds + _PATIENCE
        ):
            if self.tally.operations % _RECONNECT == 0:
                self._source.choice(self._connections).close()
            client = self._source.choice(self._connections)
            try:
                if not self._answers or self._source.randrange(_WRITES) == 0:
                    self._write(client)
                else:
                    self._read(client)
            except Lost as error:
                self.tally.failures[f"lost: {error}"] += 1
                self._begin()
            self.tally.operations += 1
            time.sleep(self._source.uniform(0.0, 2 * _PAUSE))
        for client in self._connections:
            client.close()

    def _write(self, client: Client) -> None:
        replaces = self._answers and self._source.random() < _REPLACED
        movie = self._source.choice([*self._answers] if replaces else MOVIES)
        remove = len(self._answers) > 10 and movie in self._answers
        value = self._source.randrange(1000) / 1000
        began = time.perf_counter()
        reply = self._ask_write(client, movie, remove=remove, value=value)
        self.tally.writes.append(time.perf_counter() - began)
        if not reply.done:
            self._note(reply)
            return
        if remove:
            del self._answers[movie]
            self._version += 1
            return
        self._version += self._answers.get(movie) != value
        self._answers[movie] = value
        if reply.json["embedding_version"] != self._version:
            self._violation(f"{reply.body!r} where {self._version} was due")

    def _ask_write(self, client: Client, movie: str, *, remove: bool, value: float) -> Reply:
        path = f"{CATALOG}/users/{self._user}/responses/{movie}"
        return client.ask("DELETE", path) if remove else client.ask("PUT", path, {"response": value})

    def _ask_read(self, client: Client, path: str) -> Reply:
        return client.ask("GET", path)

    def _read(self, client: Client) -> None:
        user = f"{CATALOG}/users/{self._user}"
        named = urlencode([("movie", movie) for movie in self._source.sample(MOVIES, 3)])
        what = self._source.choice(["scores", "recommendations", "embedding", "responses"])
        query = {"scores": f"?{named}", "responses": "?limit=1000"}.get(what, "")
        began = time.perf_counter()
        reply = self._ask_read(client, f"{user}/{what}{query}")
        self.tally.reads.append(time.perf_counter() - began)
        if not reply.done:
            self._note(reply)
        elif not self._right(what, reply):
            self._violation(f"{what} of {self._user}: {reply.body[:200]!r} after {self._version}")

    def _right(self, label: str, reply: Reply) -> bool:
        """Return whether an answer is of all that was acknowledged, and of nothing else."""
        output = reply.json
        if label == "embedding":
            current = (output["responses"], output["embedding_version"]) == (
                len(self._answers),
                self._version,
            )
            made = output["training"], *output["embedding"].values(), output["offset"], *output["learned"]
            return current and self._is_new(made)
        if label == "responses":
            return {score["movie"]: score["response"] for score in output["items"]} == self._answers
        named = {score["movie"] for score in output["scores"]}
        answers = label == "recommendations" and named & self._answers.keys()
        current = output["responses"] == len(self._answers) and not answers
        if output["basis"] != "learned":
            return current
        made = (output["training"], *((score["movie"], score["logit"]) for score in output["scores"]))
        return current and self._is_new(made)

    def _is_new(self, made: tuple[Any, ...]) -> bool:
        """Return whether numbers that a training makes of answers were never made of other answers."""
        return self._seen.setdefault(made, dict(self._answers)) == self._answers

    def _note(self, reply: Reply) -> None:
        answer = reply.json.get("detail", "")
        self.tally.failures[f"{reply.status} {answer[:80]}"] += 1

    def _violation(self, label: str) -> None:
        self.tally.violations.append(label)


def run(scale: float) -> list[Figure]:
    """Let them all live for so long."""
    seconds = SECONDS * scale
    with tempfile.TemporaryDirectory(prefix="likely-clients-") as name:
        folder = Path(name)
        with opened(folder) as database:
            make_catalog(database)
        with processes(folder, POLL_SECONDS="0.1") as started:
            web, ports, stop = (_start_whole if scale == 1.0 else _start_forked)(started)
            try:
                _train(ports[0])
                tallies, trainings, lasted = _live(ports, seconds, round(OPERATIONS * scale))
            finally:
                stop()
            text = started.log.read_text()
        with opened(folder) as database, database.reading() as connection:
            check_sound(connection)
        locked = text.count("database is locked")
        return _figures(tallies, web, trainings, locked, lasted, round(OPERATIONS * scale))


Started = tuple[int, list[int], Callable[[], None]]


def _start_whole(started: Processes) -> Started:
    """Start `likely serve`; return how many web processes it has, a port a connection, and what ends it."""
    port = free_port()
    service = Whole(started, port, "--web-processes", str(WEB))
    wait_until_ready(port, time.monotonic())
    return WEB, [port, port], service.stop


def _start_forked(started: Processes) -> Started:
    """Start two web processes, each at a port of its own, for a part of the whole."""
    ports = [free_port(), free_port()]
    for port in ports:
        started.web(port)
    started.worker("w")
    for port in ports:
        wait_until_ready(port, time.monotonic())
    return len(ports), ports, lambda: None


def _live(ports: list[int], seconds: float, least: int) -> tuple[list[Tally], int, float]:
    """Run the clients, each so many in a process, and trainings one after the other beside them."""
    share = CLIENTS // _PROCESSES
    trainings, began = 0, time.time()
    with ProcessPoolExecutor(_PROCESSES, get_context("forkserver")) as crowds:
        living = [
            crowds.submit(_crowd, range(first, first + share), ports, seconds, -(-least // CLIENTS))
            for first in range(0, CLIENTS, share)
        ]
        while not all(crowd.done() for crowd in living):
            trainings += _train(ports[0])
    return [tally for crowd in living for tally in crowd.result()], trainings, time.time() - began


def _crowd(numbers: range, ports: list[int], seconds: float, least: int) -> list[Tally]:
    began = time.time()
    people = [Person(number, ports) for number in numbers]
    with ThreadPoolExecutor(len(people)) as threads:
        living = [threads.submit(person.live, began, seconds, least) for person in people]
    for person in living:
        person.result()
    return [person.tally for person in people]


def _train(port: int) -> int:
    """Run a training to its end; return how many that were."""
    body = {"trainer": "mixed_effects", "options": {"learned_dimensions": 2}}
    try:
        with Client(port) as client:
            answer = client.ask("POST", f"{CATALOG}/trainings", body)
            if not answer.done:
                return 0
            while (output := client.ask("GET", answer.headers["location"])).status == _UNAVAILABLE or (
                output.json["status"] in {"queued", "running"}
            ):
                time.sleep(0.2)
    except Lost:
        return 0
    return int(output.json["status"] == "succeeded")


def _figures(
    tallies: list[Tally], web: int, trainings: int, locked: int, seconds: float, least: int
) -> list[Figure]:
    operations = sum(tally.operations for tally in tallies)
    violations = [violation for tally in tallies for violation in tally.violations]
    failures = sum((tally.failures for tally in tallies), Counter[str]())
    locked += sum(count for message, count in failures.items() if "locked" in message)
    writes = [write for tally in tallies for write in tally.writes]
    reads = [read for tally in tallies for read in tally.reads]
    enough = operations >= least and trainings > 0
    label = (
        f"{len(tallies)} clients through {web} web processes, {seconds:.0f} s, {trainings} trainings beside "
        f"them: {operations:,} operations, {operations / seconds:.0f} a second"
    )
    result = f"{locked} locked, {len(violations)} violations, {sum(failures.values())} refused or lost"
    message = "; ".join([*violations[:3], *(f"{count} × {one}" for one, count in failures.most_common(3))])
    asked = f"0 “database is locked”, 0 violations of promise 3 in {OPERATIONS:,} operations"
    p99 = percentile(writes, 99)
    times = (
        f"p50 {1000 * percentile(writes, 50):.0f} ms, p99 {1000 * p99:.0f} ms, "
        f"at most {1000 * max(writes):.0f} ms; reads p99 {1000 * percentile(reads, 99):.0f} ms; "
        f"with a load of {os.getloadavg()[1]:.0f}"
    )
    return [
        Figure(label, asked, f"{result} {message[:400]}".strip(), not locked and not violations and enough),
        Figure(f"{len(writes):,} writes of these clients", "p99 ≤ 250 ms", times, p99 <= P99),
    ]


def make_catalog(database: Database) -> None:
    """Make the catalog that all of them use, with some answers to learn from at the beginning."""
    source = random.Random(1)
    database.migrate()
    with database.writing() as connection:
        put_catalog(connection, "c", None, ["a", "b", "c"])
        for movie in MOVIES:
            put_movie(connection, "c", movie, None, [source.gauss(0, 1) for _ in range(3)])
        for user in range(20):
            for movie in source.sample(MOVIES, 20):
                put_response(connection, TrainedModels(), "c", f"s{user}", movie, source.random(), None)
