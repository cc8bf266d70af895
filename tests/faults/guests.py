"""Clients of several web services over one database, any of which may be gone at any moment.

An answer that did not come, or was a 5xx, is unknown. Does not know who breaks what.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event

from tests.faults.client import Client, Lost, Reply
from tests.faults.harnesses.clients import CATALOG, MOVIES, Person

LONGEST = 30.0  # seconds that a client waits for a promoted training
_GROUP = 100  # rows of an import
_SERVER_ERRORS = 500

Answers = Mapping[str, float]


@dataclass(frozen=True)
class Life:
    """What a client was acknowledged of a user, and the movie whose answer is unknown, if one is."""

    user: str
    answers: Answers
    unknown: str | None

    def lost(self, found: Answers) -> list[str]:
        """Say what is not as it was acknowledged."""
        return [
            f"{self.user} {movie} is {found.get(movie)}, not {self.answers.get(movie)}"
            for movie in self.answers.keys() | found.keys()
            if movie != self.unknown and found.get(movie) != self.answers.get(movie)
        ]


class Guest(Person):
    """A client that knows that a 5xx says no more than a lost connection does."""

    def __init__(self, number: int, ports: list[int]) -> None:
        self.lives: list[Life] = []
        self.silent: list[float] = []  # seconds from a failure to the next answer
        self._asked: str | None = None
        self._failed_at: float | None = None
        super().__init__(number, ports)

    def life(self) -> Life:
        """Return the life that it lives now."""
        return Life(self._user, dict(self._answers), self._asked)

    def _begin(self) -> None:
        if hasattr(self, "_user"):
            self.lives.append(self.life())
            self._failed_at = self._failed_at or time.monotonic()
        self._asked = None
        super()._begin()

    def _ask_write(self, client: Client, movie: str, *, remove: bool, value: float) -> Reply:
        self._asked = movie
        reply = super()._ask_write(client, movie, remove=remove, value=value)
        if reply.status < _SERVER_ERRORS:
            self._asked = None
        return self._answered(reply)

    def _ask_read(self, client: Client, path: str) -> Reply:
        return self._answered(super()._ask_read(client, path))

    def _answered(self, reply: Reply) -> Reply:
        if reply.status == _SERVER_ERRORS:
            self._violation(f"a 500: {reply.body[:200]!r}")
        if reply.status >= _SERVER_ERRORS:
            raise Lost(f"{reply.status} {reply.json.get('detail', '')[:60]}")
        if self._failed_at is not None:
            self.silent.append(time.monotonic() - self._failed_at)
            self._failed_at = None
        return reply


@dataclass
class Importing:
    """A client that imports groups of users, each time another value for all rows of a group."""

    ports: list[int]
    allowed: dict[str, set[float | None]] = field(default_factory=dict)
    acknowledged: int = 0

    def live(self, over: Event) -> None:
        """Import until it is over."""
        source = random.Random(5)
        while not over.wait(0.5):
            group, value = f"g{source.randrange(5)}", source.randrange(1, 1000) / 1000
            rows = b"".join(
                json.dumps(
                    {"user": f"{group}-{row}", "movie": MOVIES[row % len(MOVIES)], "response": value}
                ).encode()
                + b"\n"
                for row in range(_GROUP)
            )
            self.allowed.setdefault(group, {None}).add(value)
            try:
                with Client(source.choice(self.ports)) as client:
                    reply = client.ask(
                        "POST", f"{CATALOG}/responses:import", rows, {"Content-Type": "application/x-ndjson"}
                    )
            except Lost:
                continue
            if reply.done:
                self.allowed[group] = {value}
                self.acknowledged += 1

    def lost(self, found: Mapping[str, Answers]) -> list[str]:
        """Say which group is not as it was acknowledged, or is there by halves."""
        wrong = []
        for group, allowed in self.allowed.items():
            there = [
                value for user, own in found.items() if user.startswith(f"{group}-") for value in own.values()
            ]
            if len(set(there)) > 1 or len(there) not in {0, _GROUP} or next(iter(there), None) not in allowed:
                wrong.append(f"{group} has {len(there)} rows of {sorted(set(there))}, not one of {allowed}")
        return wrong


@dataclass
class Promoting:
    """A client that trains again and again, and looks when each web service serves the newest."""

    ports: list[int]
    seconds: list[float] = field(default_factory=list)

    def live(self, over: Event) -> None:
        """Train until it is over."""
        while not over.is_set():
            training = self._train(over)
            if training is not None:
                began = time.monotonic()
                served = [self._served(port, training, began) for port in self.ports]
                self.seconds += [one for one in served if one is not None]

    def _train(self, over: Event) -> int | None:
        """Return the training that serves now, None when that is not known."""
        body = {"trainer": "mixed_effects", "options": {"learned_dimensions": 2}}
        try:
            with Client(random.choice(self.ports)) as client:
                answer = client.ask("POST", f"{CATALOG}/trainings", body)
                if not answer.done:
                    return None
                while not over.is_set():
                    output = client.ask("GET", answer.headers["location"])
                    if not output.done:
                        return None
                    if output.json["status"] not in {"queued", "running"}:
                        return int(output.json["id"]) if output.json["status"] == "succeeded" else None
                    time.sleep(0.1)
        except Lost:
            time.sleep(0.1)
        return None

    def _served(self, port: int, training: int, began: float) -> float | None:
        """Return the seconds after which a service says so, None when it was killed or failed meanwhile."""
        try:
            with Client(port) as client:
                while time.monotonic() < began + LONGEST:
                    reply = client.ask("GET", f"{CATALOG}/users/s0/scores?movie=m0")
                    if not reply.done:
                        return None
                    if reply.json["training"] >= training:
                        return time.monotonic() - began
        except Lost:
            return None
        return LONGEST
