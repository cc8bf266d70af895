"""SIGKILL at random moments while clients write, import, train and promote.

Four clients write, each what nobody else writes, and note what was acknowledged and what is not known.
Whenever the web was killed, the database is compared with their notes, and what was lost on the way is
asked for again under its key. Every so often it is `likely serve`, started from nothing, whose processes
are all killed. A client that fails of anything but a lost connection ends the harness.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from app.catalogs.catalogs import put_catalog
from app.catalogs.movies import put_movie
from app.database.database import Database
from app.database.tables import (
    Movie,
    Response,
    Serving,
    Training,
    TrainingState,
    TrainingStep,
    User,
    UserEmbedding,
)
from app.database.urls import open_migrated
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from testbed.live import free_port
from tests.faults.client import Client, Lost, Reply
from tests.faults.figures import Figure
from tests.faults.processes import Processes, Whole, kill, processes, wait_until_ready
from tests.faults.states import check_sound, opened

KILLS = 1000
SECONDS = 7200.0
_AT_LEAST = 300.0  # seconds for however few kills
CATALOG = "/v1/catalogs/c"
MOVIES = [f"m{number}" for number in range(12)]
GROUPS, GROUP = 4, 20  # an import writes every answer of a group of users
READY = 3.0
_WHOLE_EVERY = 12  # starts
_NDJSON = {"Content-Type": "application/x-ndjson"}
Learned = UserEmbedding | TrainingState | TrainingStep
_UNAVAILABLE = 503
_ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Notes:
    """What clients know: the value of a thing, or the values that it may have."""

    known: dict[str, set[object]] = field(default_factory=dict)
    acknowledged: int = 0

    def write(self, name: str, value: object, ask: Callable[[], Reply]) -> Reply:
        """Ask for something to be written; until that is answered both values are possible."""
        before = self.known.get(name, {None})
        self.known[name] = before | {value}
        reply = ask()
        if reply.done:
            self.known[name] = {value}
            self.acknowledged += 1
        elif reply.status < 500:
            self.known[name] = before
        return reply

    def lost(self, result: dict[str, object]) -> list[str]:
        """Say what is not as it was acknowledged, and take what was found for what is known."""
        wrong = [
            f"{name} is {result.get(name)}, not {values}"
            for name, values in self.known.items()
            if result.get(name) not in values
        ]
        self.known = {name: {result.get(name)} for name in self.known}
        return wrong


@dataclass
class Keyed:
    """A POST that was sent under a key, and what it was answered, once that is known."""

    key: str
    path: str
    body: object
    headers: dict[str, str]
    answer: Reply | None = None

    def ask(self, client: Client) -> Reply:
        """Send it, the first time or again."""
        self.answer = client.ask("POST", self.path, self.body, self.headers | {"Idempotency-Key": self.key})
        return self.answer


@dataclass
class Book:
    """All that the clients noted, and what was found broken."""

    notes: list[Notes] = field(default_factory=lambda: [Notes() for _ in range(4)])
    trainings: list[Keyed] = field(default_factory=list)
    imports: list[Keyed] = field(default_factory=list)
    succeeded: list[int] = field(default_factory=list)
    checked: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    halves: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def run(scale: float) -> list[Figure]:
    """Kill until there are enough kills, or the time is over."""
    with tempfile.TemporaryDirectory(prefix="likely-kills-") as name:
        folder = Path(name)
        _make(folder)
        with ThreadPoolExecutor(4) as clients, processes(folder, LEASE_SECONDS="5") as started:
            killing = Killing(started, clients, random.Random(7))
            enough = round(KILLS * scale)
            ends = time.monotonic() + max(_AT_LEAST, SECONDS * scale)
            while killing.kills < enough and time.monotonic() < ends:
                killing.cycle()
            return killing.figures(enough)


class Killing:
    """Cycles of starting, writing, killing and looking."""

    def __init__(self, processes: Processes, clients: ThreadPoolExecutor, moments: random.Random) -> None:
        self._processes, self._clients, self._moments = processes, clients, moments
        self.book = Book()
        self.book.notes[1].known = {f"title {movie}": {movie} for movie in MOVIES}
        self.book.notes[2].known = {f"group {group}": {0.5} for group in range(GROUPS)}
        self._port = free_port()
        self._names = 0
        self.kills = self._cycles = 0
        self.ready: list[float] = []
        self.ready_whole: list[float] = []

    def cycle(self) -> None:
        """Start, let the clients write, kill the worker some times, then the web, and look what is there."""
        self._cycles += 1
        if self._cycles % _WHOLE_EVERY == 0:
            self._whole_cycle()
        else:
            self._forked_cycle()
        self._look()

    def _forked_cycle(self) -> None:
        began = time.monotonic()
        web = self._processes.web(self._port)
        name, worker = self._start_worker()
        if self._moments.randrange(10) == 0:  # killed as it starts
            time.sleep(self._moments.uniform(0.0, 0.4))
        else:
            self.ready.append(wait_until_ready(self._port, began))
            self._settle()
            clients = self._begin_writing()
            for _ in range(self._moments.randrange(4)):
                time.sleep(self._moments.uniform(0.0, 0.3))
                self._kill_worker(name, worker)
                name, worker = self._start_worker()
            time.sleep(self._moments.uniform(0.0, 0.4))
            kill(web)
            for client in clients:
                client.result()
        kill(web)
        self._kill_worker(name, worker)
        self.kills += 1

    def _whole_cycle(self) -> None:
        began = time.monotonic()
        service = Whole(self._processes, self._port)
        self.ready_whole.append(wait_until_ready(self._port, began))
        self._settle()
        clients = self._begin_writing()
        time.sleep(self._moments.uniform(0.0, 2.0))
        service.kill()
        service.wait()
        self.kills += 1
        for client in clients:
            client.result()
        with opened(self._processes.folder) as database, database.writing() as connection:
            connection.execute(update(Training).values(lease_until=0.0).where(Training.status == "running"))

    def _start_worker(self) -> tuple[str, ForkServerProcess]:
        self._names += 1
        name = f"w{self._names}"
        return name, self._processes.worker(name)

    def _kill_worker(self, name: str, worker: ForkServerProcess) -> None:
        kill(worker)
        self._processes.bury(name)
        self.kills += 1

    def _settle(self) -> None:
        """Ask again for what was lost, until it is known: nothing of it may be done twice."""
        book = self.book
        with Client(self._port) as client:
            for training in [*book.trainings, *book.imports]:
                if training.answer is None and not training.ask(client).done:
                    book.refused.append(f"{training.path}: {training.answer}")
            total = _show(client, f"{CATALOG}/trainings?limit=1")["items"]
        self._note_imports()
        keys = {training.key: training.answer.json["id"] for training in book.trainings if training.answer}
        if len(set(keys.values())) != len(keys) or (
            total and total[0]["id"] != max(keys.values(), default=0)
        ):
            book.duplicates.append(f"{len(keys)} trainings were asked for, the last one is {total}")

    def _note_imports(self) -> None:
        """Take what was imported for known, and forget it."""
        for import_value in self.book.imports:
            group, value = str(import_value.headers["X-Group"]), float(import_value.headers["X-Value"])
            self.book.notes[2].known[f"group {group}"] = {value}
        self.book.imports.clear()

    def _begin_writing(self) -> list[Future[None]]:
        return [
            self._clients.submit(self._write, write, random.Random(self._moments.random()))
            for write in (self._answer, self._rename, self._import, self._train)
        ]

    def _write(self, write: Callable[[Client, random.Random], None], source: random.Random) -> None:
        with suppress(Lost), Client(self._port) as client:
            while True:
                write(client, source)

    def _answer(self, client: Client, source: random.Random) -> None:
        user, movie, value = source.randrange(10), source.choice(MOVIES[1:]), source.randrange(1000) / 1000
        path, name = f"{CATALOG}/users/own{user}/responses/{movie}", f"own{user} {movie}"
        notes = self.book.notes[0]
        if source.randrange(5) == 0 and notes.known.get(name, {None}) != {None}:
            notes.write(name, None, lambda: client.ask("DELETE", path))
        else:
            notes.write(name, value, lambda: client.ask("PUT", path, {"response": value}))

    def _rename(self, client: Client, source: random.Random) -> None:
        movie, title = source.choice(MOVIES), f"T{source.randrange(10**6)}"
        body = {"title": title, "vector": [len(movie) / 10, int(movie[1:]) / 12, 0.5]}
        self.book.notes[1].write(
            f"title {movie}", title, lambda: client.ask("PUT", f"{CATALOG}/movies/{movie}", body)
        )

    def _import(self, client: Client, source: random.Random) -> None:
        group, value = source.randrange(GROUPS), source.randrange(1, 1000) / 1000
        notes = self.book.notes[2]
        sent = Keyed(
            f"i{source.random()}",
            f"{CATALOG}/responses:import",
            _group_rows(group, value),
            _NDJSON | {"X-Group": str(group), "X-Value": str(value)},
        )
        self.book.imports.append(sent)
        notes.write(f"group {group}", value, lambda: sent.ask(client))
        self.book.imports.remove(sent)

    def _train(self, client: Client, source: random.Random) -> None:
        body = {
            "trainer": "gradient_descent",
            "serve": False,
            "options": {"epochs": source.choice([20, 200, 2000])},
        }
        sent = Keyed(f"t{source.random()}", f"{CATALOG}/trainings", body, {})
        self.book.trainings.append(sent)
        answer = sent.ask(client)
        if not answer.done:
            self.book.refused.append(f"training: {answer}")
            return
        notes, training = self.book.notes[3], answer.json["id"]
        if source.randrange(5) == 0:
            reply = client.ask("POST", f"{CATALOG}/trainings/{training}:cancel")
            if reply.done:
                notes.known[f"cancelled {training}"] = {"cancelled"}
        deadline = time.monotonic() + source.uniform(0.0, 2.0)
        while time.monotonic() < deadline:
            output = _show(client, f"{CATALOG}/trainings/{training}")
            if output["status"] == "succeeded":
                self.book.succeeded.append(training)
            if output["status"] in _ENDED:
                break
            time.sleep(0.02)
        if self.book.succeeded:
            choice = source.choice(self.book.succeeded[-5:])
            notes.write(
                "serving", choice, lambda: client.ask("PUT", f"{CATALOG}/serving", {"training": choice})
            )

    def _look(self) -> None:
        """Compare the database with what the clients know."""
        with opened(self._processes.folder) as database:
            result = self._found(database)
        for notes in self.book.notes:
            self.book.lost += notes.lost(result)

    def _found(self, database: Database) -> dict[str, object]:
        with database.reading() as connection:
            if self._cycles % 10 == 0:
                check_sound(connection)
            answers = connection.execute(
                select(User.user, Movie.movie, Response.response)
                .join(Response, Response.user_id == User.id)
                .join(Movie, Movie.id == Response.movie_id)
            ).all()
            result: dict[str, object] = {f"{user} {movie}": value for user, movie, value in answers}
            titles = connection.execute(select(Movie.movie, Movie.title))
            result |= {f"title {movie}": title for movie, title in titles}
            result["serving"] = connection.scalar(select(Serving.training_id))
            for group in range(GROUPS):
                values = {value for user, _, value in answers if user.startswith(f"g{group}-")}
                if len(values) > 1:
                    self.book.halves.append(f"group {group} has {values}")
                result[f"group {group}"] = next(iter(values), None)
            users = len({user for user, _, _ in answers})
            columns = (Training.id, Training.status, Training.steps_done, Training.steps_total)
            for row in connection.execute(select(*columns)):
                if row.status == "cancelled":
                    result[f"cancelled {row.id}"] = "cancelled"
                if row.id not in self.book.checked:
                    self._check_training(connection, row, users)
                if row.status in _ENDED:
                    self.book.checked.add(row.id)
        return result

    def _check_training(self, connection: Connection, row: Row[int, str, int, int], users: int) -> None:
        if row.status == "failed":
            self.book.halves.append(f"training {row.id} failed")
        there = [_count(connection, table, row.id) for table in (UserEmbedding, TrainingState)]
        complete = [users, 1] if row.status == "succeeded" else [0, 0]
        if there != complete:
            self.book.halves.append(f"training {row.id} {row.status} has {there}, not {complete}")
        steps = _count(connection, TrainingStep, row.id)
        if steps != row.steps_done:  # those of a worker that was killed are forgotten when another begins
            self.book.halves.append(f"training {row.id} has {steps} steps, and says {row.steps_done}")
        if row.status == "succeeded" and steps != row.steps_total:
            self.book.halves.append(f"training {row.id} has {steps} steps of {row.steps_total}")

    def figures(self, enough: int) -> list[Figure]:
        """Say what came out, which is nothing without so many kills."""
        book = self.book
        written = sum(notes.acknowledged for notes in book.notes)
        label = (
            f"{self.kills:,} of {KILLS:,} kills of web processes, workers and whole services, in "
            f"{self._cycles} lives of the service, during {written:,} acknowledged writes, imports, "
            f"promotions and {len(book.trainings):,} trainings"
        )
        broken = [*book.lost, *book.halves, *book.duplicates, *book.refused]
        result = (
            f"{len(book.lost)} lost, {len(book.halves)} partial writes, {len(book.duplicates)} duplicates, "
            f"{len(book.refused)} refused when sent again"
        )
        if broken:
            result += f" ({'; '.join(broken)[:400]})"
        asked = "0 acknowledged writes lost, 0 partial writes, 0 duplicates"
        held = not broken and self.kills >= enough and written > 0
        return [Figure(label, asked, result, held), self._ready_figure()]

    def _ready_figure(self) -> Figure:
        complete, forked = sorted(self.ready_whole), sorted(self.ready)
        within = sum(seconds <= READY for seconds in complete)
        label = (
            f"{len(complete)} starts of `likely serve` after a kill, and {len(forked)} of a web process "
            "that had everything imported"
        )
        asked = f"ready again in ≤ {READY:g} s"
        if not complete:
            slowest = max(forked, default=inf)
            return Figure(label, asked, f"{slowest:.1f} s at most", slowest <= READY)
        result = (
            f"`likely serve` {complete[-1]:.1f} s at most, {complete[len(complete) // 2]:.1f} in the middle, "
            f"{within} of {len(complete)} within {READY:g}; web process {forked[-1]:.1f} s at most; "
            f"with a load of {os.getloadavg()[1]:.0f}"
        )
        return Figure(label, asked, result, complete[-1] <= READY)


def _make(folder: Path) -> None:
    database = open_migrated(f"sqlite:///{folder}/likely.db")
    models = TrainedModels()
    with database.writing() as connection:
        put_catalog(connection, "c", None, ["a", "b", "c"])
        for movie in MOVIES:
            put_movie(connection, "c", movie, None, [len(movie) / 10, int(movie[1:]) / 12, 0.5])
        for user in range(10):  # never without a response
            put_response(connection, models, "c", f"own{user}", MOVIES[0], 0.5, 1.0)
        for group in range(GROUPS):
            for user in range(GROUP):
                for movie in MOVIES:
                    put_response(connection, models, "c", f"g{group}-{user}", movie, 0.5, 1.0)
    database.close()


def _show(client: Client, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what is shown; asks again as long as the service is busy."""
    while (reply := client.ask("GET", path)).status == _UNAVAILABLE:
        time.sleep(0.02)
    if not reply.done:
        raise RuntimeError(f"{path} was answered {reply}")
    return reply.json


def _group_rows(group: int, value: float) -> bytes:
    return b"".join(
        b'{"user": "g%d-%d", "movie": "%s", "response": %f}\n' % (group, user, movie.encode(), value)
        for user in range(GROUP)
        for movie in MOVIES
    )


def _count(connection: Connection, table: type[Learned], training: int) -> int:
    return connection.execute(
        select(func.count()).select_from(table).where(table.training_id == training)
    ).scalar_one()
