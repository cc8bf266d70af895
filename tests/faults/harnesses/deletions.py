"""Deletions while trainings run and imports come: whatever was deleted is never served again, by any process.

Two web processes on one database, both with everything in their memory that they are asked for; what is
deleted through one is asked for at both at once, and again later. Ids are never used twice here, so
whatever is served of one that was deleted is old. Does not know how things are kept in memory.
"""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import func, select

from app.catalogs.catalogs import put_catalog
from app.catalogs.movies import put_movie
from app.database.database import Database
from app.database.tables import Movie, Response, User, UserEmbedding
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from testbed.live import free_port
from tests.faults.client import Client, Lost, Reply
from tests.faults.figures import Figure
from tests.faults.processes import processes, wait_until_ready
from tests.faults.states import check_sound, opened

DELETIONS = 1000
SECONDS = 3600.0
_UNAVAILABLE = 503
KEEP = "keep"  # asks, and is never deleted
_NDJSON = {"Content-Type": "application/x-ndjson"}
_TRAINING = {"trainer": "gradient_descent", "options": {"epochs": 300}}
_STAY = [f"m{number}" for number in range(6)]  # movies that are never deleted


class Patient(Client):
    """A client to whom a lost connection is an answer: of status 0, which nobody expects."""

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request and return the answer, or how it was lost."""
        try:
            return super().ask(method, path, body, headers)
        except Lost as error:
            return Reply(0, {}, str(error).encode())


class Deleting:
    """Clients of both processes, what was deleted so far, and what was served of it nonetheless."""

    def __init__(self, clients: Sequence[Client], source: random.Random) -> None:
        self.clients, self._source = clients, source
        self._made = 0
        self.deleted: list[tuple[str, str, str]] = []  # kind, catalog, id
        self.served: list[str] = []
        self.asked = 0

    def one(self, catalog: str) -> None:
        """Make a user or a movie, get it into the memory of both processes, delete it, and ask for it."""
        self._made += 1
        kind = self._source.choice(["users", "movies"])
        name = f"{'u' if kind == 'users' else 'f'}{self._made}"
        first, second = self._source.sample(self.clients, 2)
        if kind == "users":
            body: dict[str, object] = {"response": self._source.randrange(2)}
            self._must(first.ask("PUT", f"{catalog}/users/{name}/responses/{_STAY[0]}", body))
        else:
            body = {"vector": [self._source.random(), 0.5, -1.0]}
            self._must(first.ask("PUT", f"{catalog}/movies/{name}", body))
            answers = f"{catalog}/users/{KEEP}{self._made % 3}/responses/{name}"
            self._must(first.ask("PUT", answers, {"response": 1}))
        for client in self.clients:
            for path, ask in self._questions(kind, catalog, name):
                self._must(ask(client), path)
        self._must(second.ask("DELETE", f"{catalog}/{kind}/{name}"))
        self.deleted.append((kind, catalog, name))
        self.check(kind, catalog, name)
        if len(self.deleted) > 1:
            self.check(*self._source.choice(self.deleted))

    def catalog(self, name: str) -> None:
        """Delete a whole catalog while it is trained, and make another of the same id without users."""
        path = f"/v1/catalogs/{name}"
        self._must(self.clients[0].ask("POST", f"{path}/trainings", {**_TRAINING, "serve": True}))
        self._must(self.clients[1].ask("DELETE", path))
        self.deleted.append(("catalogs", path, name))
        for client in self.clients:
            self._expect(client.ask("GET", f"{path}/users/{KEEP}0/scores"), 404, path)
        self._must(self.clients[0].ask("PUT", path, {"dimensions": ["a", "b", "c"]}))
        for client in self.clients:
            reply = client.ask("GET", f"{path}/users/{KEEP}0/scores")
            self._expect(reply, 409, f"{path} made again")

    def check(self, kind: str, catalog: str, name: str) -> None:
        """Ask both processes for what was deleted; nothing may be served of it."""
        if kind == "catalogs":
            return
        for client in self.clients:
            for path, ask in self._questions(kind, catalog, name):
                reply = ask(client)
                self._expect(reply, 404, path)
            for path in self._lists(kind, catalog):
                reply = client.ask("GET", path)
                self.asked += 1
                if f'"{name}"'.encode() in reply.body:
                    self.served.append(f"{name} in {path}")

    def _questions(
        self, kind: str, catalog: str, name: str
    ) -> Iterator[tuple[str, Callable[[Client], Reply]]]:
        """Give what can be asked of a user or a movie that is there, and nothing else."""
        keep = f"{catalog}/users/{KEEP}{self._made % 3}"
        if kind == "users":
            one = f"{catalog}/users/{name}"
            paths = [f"{one}/scores?movie={_STAY[1]}", f"{one}/recommendations", f"{one}/embedding"]
            paths += [f"{one}/responses", f"{one}/scores"]
            pair = [name, _STAY[0]]
        else:
            paths = [f"{keep}/scores?movie={name}", f"{catalog}/movies/{name}"]
            pair = [f"{KEEP}0", name]
            preview = {"responses": {_STAY[0]: 1}, "movies": [name]}
            yield f"preview {name}", lambda client: client.ask("POST", f"{catalog}/scores:preview", preview)
        yield f"pairs {pair}", lambda client: client.ask("POST", f"{catalog}/scores", {"pairs": [pair]})
        for path in paths:
            yield path, lambda client, path=path: client.ask("GET", path)  # type: ignore[misc]

    def _lists(self, kind: str, catalog: str) -> list[str]:
        if kind == "users":
            return [f"{catalog}/users?limit=1000", f"{catalog}/users?search=u"]
        keep = f"{catalog}/users/{KEEP}{self._made % 3}"
        return [
            f"{keep}/recommendations?limit=1000",
            f"{keep}/scores",
            f"{keep}/responses",
            f"{catalog}/movies?limit=1000",
        ]

    def _expect(self, reply: Reply, status: int, label: str) -> None:
        self.asked += 1
        if reply.status != status:
            self.served.append(f"{label} was answered {reply.status} {reply.body[:100]!r}")

    def _must(self, reply: Reply, label: str = "") -> None:
        if not reply.done:
            self.served.append(f"{label} was refused: {reply.status} {reply.body[:200]!r}")


def run(scale: float) -> list[Figure]:
    """Delete so many."""
    count = max(10, round(DELETIONS * scale))
    with tempfile.TemporaryDirectory(prefix="likely-deletions-") as name, ExitStack() as ends:
        folder = Path(name)
        with opened(folder) as database:
            database.migrate()
            _make(database, ["c", "gone0"])
        started = ends.enter_context(processes(folder))
        ports = [free_port(), free_port()]
        for port in ports:
            started.web(port)
        started.worker("w")
        for port in ports:
            wait_until_ready(port, time.monotonic())
        clients = [ends.enter_context(Patient(port)) for port in ports]
        deleting = Deleting(clients, random.Random(5))
        _train_first(clients[0])
        busy = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            others = [pool.submit(work, ports[0], busy) for work in (_train, _import)]
            try:
                _delete(deleting, folder, count, others)
            finally:
                busy.set()
        outcome = [other.result() for other in others]
        for kind, catalog, one in deleting.deleted[:: max(1, count // 100)]:
            deleting.check(kind, catalog, one)
        left = _left_over(folder)
    label = (
        f"{len(deleting.deleted):,} of {DELETIONS:,} deletions of users, movies and catalogs during "
        f"{outcome[0]:,} trainings and {outcome[1]:,} imports, asked for {deleting.asked:,} times at two "
        "web processes"
    )
    wrong = [*deleting.served, *left]
    result = f"{len(deleting.served)} served or wrongly refused, {len(left)} rows left over"
    held = not wrong and len(deleting.deleted) >= count and all(outcome)
    return [Figure(label, "no deleted id is ever served", f"{result} {'; '.join(wrong)[:400]}".strip(), held)]


def _delete(deleting: Deleting, folder: Path, count: int, others: list[Future[int]]) -> None:
    """Delete so many, unless the time is over or one of the others ends, which is not meant to."""
    ends = time.monotonic() + SECONDS
    while len(deleting.deleted) < count and time.monotonic() < ends and not any(map(Future.done, others)):
        deleting.one("/v1/catalogs/c")
        if len(deleting.deleted) % 20 == 10:
            with opened(folder) as database:
                name = f"gone{len(deleting.deleted)}"
                _make(database, [name])
            deleting.catalog(name)


def _train_first(client: Client) -> int:
    """Train to the end; return how many trainings that were: none while the service is busy."""
    posted = _unless_busy(client.ask("POST", "/v1/catalogs/c/trainings", _TRAINING))
    if posted is None:
        return 0
    path = f"/v1/catalogs/c/trainings/{posted.json['id']}"
    while True:
        output = _unless_busy(client.ask("GET", path))
        if output is not None and output.json["status"] in {"failed", "cancelled"}:
            raise RuntimeError(f"a training {output.json['status']}")
        if output is not None and output.json["status"] == "succeeded":
            return 1
        time.sleep(0.02)


def _train(port: int, ends: threading.Event) -> int:
    """Keep a training running, each of which serves when it has succeeded; return how many."""
    trained = 0
    with Client(port) as client:
        while not ends.is_set():
            trained += _train_first(client)
    return trained


def _import(port: int, ends: threading.Event) -> int:
    """Import answers of many users, again and again; return how often."""
    numbers = summary = 0
    with Client(port) as client:
        while not ends.wait(0.1):
            numbers += 1
            rows = b"".join(
                b'{"user": "i%d", "movie": "%s", "response": %f}\n'
                % (user, movie.encode(), numbers % 10 / 10)
                for user in range(40)
                for movie in _STAY
            )
            reply = _unless_busy(client.ask("POST", "/v1/catalogs/c/responses:import", rows, _NDJSON))
            summary += reply is not None
    return summary


def _unless_busy(reply: Reply) -> Reply | None:
    """Return an answer, None where the service has no time; raises `RuntimeError` for any other refusal."""
    if reply.status == _UNAVAILABLE:
        return None
    if not reply.done:
        raise RuntimeError(f"{reply.status} {reply.body[:200]!r}")
    return reply


def _make(database: Database, names: list[str]) -> None:
    models = TrainedModels()
    with database.writing() as connection:
        for name in names:
            put_catalog(connection, name, None, ["a", "b", "c"])
            for number, movie in enumerate(_STAY):
                put_movie(connection, name, movie, None, [number / 6, 1 - number / 6, 0.3])
            for user in range(3):
                for number, movie in enumerate(_STAY[:4]):
                    put_response(connection, models, name, f"{KEEP}{user}", movie, (user + number) % 2, None)


def _left_over(folder: Path) -> list[str]:
    """Say which rows are left of what was deleted, or of nobody."""
    with opened(folder) as database, database.reading() as connection:
        check_sound(connection)
        users = connection.scalars(select(User.user).where(User.user.like("u%"))).all()
        movies = connection.scalars(select(Movie.movie).where(Movie.movie.not_in(_STAY))).all()
        astray = connection.scalar(
            select(func.count())
            .select_from(UserEmbedding)
            .where(UserEmbedding.user_id.not_in(select(User.id)))
        )
        astray = (astray or 0) + (
            connection.scalar(
                select(func.count()).select_from(Response).where(Response.movie_id.not_in(select(Movie.id)))
            )
            or 0
        )
    return [*users, *movies, *([f"{astray} rows of nobody"] if astray else [])]
