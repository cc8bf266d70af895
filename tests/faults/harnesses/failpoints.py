"""Failpoints: at every commit of the service it is killed, before and after, and once more while it recovers.

What comes out is compared with a run that nobody disturbed: before the commit nothing is there, after it
everything, and who asks again comes to the same state, row by row.
"""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from app.catalogs.catalogs import delete_catalog, put_catalog
from app.catalogs.imports.file_format import Format
from app.cli import keys as key_commands
from app.cli import main, scores, training_runs
from app.cli.demo import load_class
from app.database.database import Database
from app.database.tables import Training
from app.database.urls import open_database, open_migrated
from app.settings import Settings
from app.training import leases
from app.training import worker as worker_module
from app.training.supervisor import Supervisor
from app.training.trainings import cancel_training, create_training
from app.training.worker import Worker
from app.web.auth import api_keys
from testbed.live import free_port
from tests.faults.client import Client, Lost, Reply
from tests.faults.commits import MIGRATION, Armed
from tests.faults.figures import Figure
from tests.faults.processes import Processes, kill, processes, wait_until_ready
from tests.faults.states import State, copied, different, opened, read_state

CLASS = "/v1/catalogs/class"
KEY = {"Idempotency-Key": "the-same"}
NDJSON = {"Content-Type": "application/x-ndjson"}
SIDES: tuple[Literal["before", "after"], ...] = ("before", "after")
WAIT = 60.0


@dataclass(frozen=True)
class Asked:
    """A request, and the function that commits it."""

    what: str
    boundary: str
    method: str
    path: str
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


_ANSWERS = b"".join(
    b'{"user": "%d", "movie": "m%d", "response": 0.5, "timestamp": 7}\n' % (user, movie)
    for user in range(9)
    for movie in range(3)
)
_MOVIES = b"".join(b'{"movie": "m%d", "title": "T", "vector": [1, 2, 3]}\n' % movie for movie in (0, 9))
_TRAINING = {"trainer": "gradient_descent", "seed": 3, "options": {"epochs": 9}}

IMPORTS = [
    Asked(
        "movies are imported",
        "app.catalogs.imports.process.run_import",
        "POST",
        f"{CLASS}/movies:import",
        _MOVIES,
        KEY | NDJSON,
    ),
    Asked(
        "responses are imported",
        "app.catalogs.imports.process.run_import",
        "POST",
        f"{CLASS}/responses:import",
        _ANSWERS,
        KEY | NDJSON,
    ),
]

REQUESTS = [
    Asked(
        "a catalog is made",
        "app.catalogs.routes.put_catalog",
        "PUT",
        "/v1/catalogs/n",
        {"dimensions": ["a"]},
    ),
    Asked(
        "a catalog's title is replaced",
        "app.catalogs.routes.put_catalog",
        "PUT",
        CLASS,
        {"title": "T", "dimensions": ["violence", "positive message", "language"]},
    ),
    Asked("a catalog is deleted", "app.catalogs.routes.delete_catalog", "DELETE", CLASS),
    Asked(
        "a training is promoted",
        "app.training.routes.promote_training",
        "PUT",
        f"{CLASS}/serving",
        {"training": 1},
    ),
    Asked(
        "a movie is made", "app.catalogs.routes.put_movie", "PUT", f"{CLASS}/movies/m9", {"vector": [1, 1, 1]}
    ),
    Asked(
        "a movie is replaced",
        "app.catalogs.routes.put_movie",
        "PUT",
        f"{CLASS}/movies/m0",
        {"vector": [1, 1, 1]},
    ),
    Asked("a movie is deleted", "app.catalogs.routes.delete_movie", "DELETE", f"{CLASS}/movies/m0"),
    Asked(
        "somebody's first response",
        "app.scoring.routes._put",
        "PUT",
        f"{CLASS}/users/new/responses/m0",
        {"response": 1, "timestamp": 5},
    ),
    Asked(
        "a response is replaced",
        "app.scoring.routes._put",
        "PUT",
        f"{CLASS}/users/0/responses/m0",
        {"response": 0.25, "timestamp": 5},
    ),
    Asked(
        "a response is taken back",
        "app.scoring.routes.delete_response",
        "DELETE",
        f"{CLASS}/users/0/responses/m0",
    ),
    Asked("a user is deleted", "app.catalogs.routes.delete_user", "DELETE", f"{CLASS}/users/0"),
    Asked(
        "a training is asked for",
        "app.training.routes.create_training",
        "POST",
        f"{CLASS}/trainings",
        _TRAINING,
        KEY,
    ),
    Asked(
        "a training is cancelled",
        "app.training.routes.cancel_training",
        "POST",
        f"{CLASS}/trainings/3:cancel",
        None,
        KEY,
    ),
    *IMPORTS,
]


@dataclass(frozen=True)
class Work:
    """What a worker does when it finds a database that was made ready, and the function that commits it."""

    what: str
    boundary: str
    ready: Callable[[Database], None]


def _nothing(_: Database) -> None:
    """Leave the training that waits."""


def _without_responses(database: Database) -> None:
    with database.writing() as connection:
        cancel_training(connection, "class", 3)
        put_catalog(connection, "empty", None, ["a"])
        create_training(connection, "empty", "gradient_descent", {}, 1, serve=True)


def _left_stale(database: Database) -> None:
    from app.catalogs.imports.store import import_responses

    with tempfile.NamedTemporaryFile() as file, database.writing() as connection:
        file.write(_ANSWERS)
        file.flush()
        cancel_training(connection, "class", 3)
        import_responses(connection, "class", Path(file.name), Format.NDJSON, 1000)


WORK = [
    Work("a training is claimed", "app.training.worker.Worker._claim", _nothing),
    Work("steps are reported", "app.training.worker.Reporter._write_regularly", _nothing),
    Work("a training is published", "app.training.publishing.Publication._publish_once", _nothing),
    Work("a training fails", "app.training.worker.Worker._under", _without_responses),
    Work("embeddings are relearned", "app.training.worker.Worker._fold_in_catalog", _left_stale),
]


@dataclass(frozen=True)
class Command:
    """What a process does that is neither of the web nor a worker, and the function that commits it."""

    what: str
    boundary: str
    ready: Callable[[Database], None]
    work: Callable[[], None]
    anew: bool = False  # done once more by who asks again: it takes no key to know the first by


def _without_class(database: Database) -> None:
    with database.writing() as connection:
        delete_catalog(connection, "class")


def _load_class() -> None:
    scores.demo()


def _import_movielens() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "movies.csv").write_text(
            "movieId,title,genres\n1,A (1999),Drama\n2,B (2000),Comedy|Drama\n"
        )
        (folder / "ratings.csv").write_text(
            "userId,movieId,rating,timestamp\n1,1,5.0,7\n2,1,1.0,8\n2,2,4.0,9\n"
        )
        main.import_movielens(folder)


def _claimed(database: Database) -> None:
    with database.writing() as connection:
        leases.claim(connection, "dead", 3600.0, 10)


def _expire_leases() -> None:
    supervisor = object.__new__(Supervisor)  # without the worker that it would start
    supervisor.__dict__.update(_database=open_migrated(Settings().database_url), _name="dead")
    supervisor._expire_leases()


def _give_up_relearning() -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    setattr(worker_module, "fold_in_stale", fail)  # noqa: B010 - mypy takes the module for one that does not export it
    settings = Settings()
    Worker(open_migrated(settings.database_url), settings, "w").fold_in_some()


def _create_key() -> None:
    key_commands.create(scope=[api_keys.Scope.READ], label="l", expires_days=None)


def _with_key(database: Database) -> None:
    with database.writing() as connection:
        api_keys.create_key(connection, "l", {api_keys.Scope.READ}, None)


def _revoke_key() -> None:
    with open_database(Settings().database_url).reading() as connection:
        (key,) = api_keys.list_keys(connection)
    key_commands.revoke(key.key)


def _without_trainings(database: Database) -> None:
    with database.writing() as connection:
        cancel_training(connection, "class", 3)


def _train() -> None:
    settings = Settings()
    database = open_migrated(settings.database_url)
    training_runs.run_training(database, settings, "class", "gradient_descent", {"epochs": 9}, 3, serve=True)


def _cancel_training() -> None:
    training_runs._cancel(open_migrated(Settings().database_url), "class", 3)  # noqa: SLF001 - as Ctrl-C does


COMMANDS = [
    Command("the class is loaded", "app.cli.scores.demo", _without_class, _load_class),
    Command(
        "MovieLens is imported",
        "app.catalogs.imports.movielens.import_movielens",
        _nothing,
        _import_movielens,
    ),
    Command("leases end", "app.training.supervisor.Supervisor._expire_leases", _claimed, _expire_leases),
    Command(
        "relearning fails", "app.training.worker.Worker._stop_folding_in", _left_stale, _give_up_relearning
    ),
    Command("an API key is made", "app.cli.keys.create", _nothing, _create_key, anew=True),
    Command("an API key is revoked", "app.cli.keys.revoke", _with_key, _revoke_key),
    Command("a terminal trains", "app.cli.training_runs.run_training", _without_trainings, _train, anew=True),
    Command("a terminal gives up", "app.cli.training_runs._cancel", _nothing, _cancel_training),
]


BOUNDARIES = {
    *(request.boundary for request in REQUESTS),
    *(each.boundary for each in WORK),
    *(command.boundary for command in COMMANDS),
}


def run(scale: float) -> list[Figure]:
    """Try the failpoints, every so manieth of them."""
    step = max(1, round(1 / scale))
    with tempfile.TemporaryDirectory(prefix="likely-failpoints-") as name:
        attempts = Tried(Path(name))
        for place, attempt in enumerate(attempts.attempts()):
            if place % step == 0:
                attempts.note(attempt)
        return [attempts.figure()]


class Tried:
    """The failpoints that were tried, in a folder of databases that start from one template."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template"
        self._template.mkdir()
        self.hit = self.recoveries = 0
        self.missed: list[str] = []
        self.broken: list[str] = []
        _make_template(self._template)

    def attempts(self) -> Iterator[Callable[[], None]]:
        """Give what is to be tried, one after the other."""
        for side in SIDES:
            for asked in REQUESTS:
                yield lambda asked=asked, side=side: self._ask(asked, side)  # type: ignore[misc]
            for asked in IMPORTS:
                yield lambda asked=asked, side=side: self._ask(asked, side, beside=True)  # type: ignore[misc]
            for work in WORK:
                yield lambda work=work, side=side: self._work(work, side)  # type: ignore[misc]
            for command in COMMANDS:
                yield lambda command=command, side=side: self._command(command, side)  # type: ignore[misc]
            yield lambda side=side: self._migrate(side)  # type: ignore[misc]
            yield lambda side=side: self._give_back(side)  # type: ignore[misc]

    def note(self, attempt: Callable[[], None]) -> None:
        """Try one; what does not come to its end is a promise broken."""
        try:
            attempt()
        except (Lost, RuntimeError) as error:
            self.broken.append(repr(error))

    def figure(self) -> Figure:
        """Say what came out."""
        result = (
            f"{self.hit} hit, {self.recoveries} killed again in recovery, {len(self.missed)} not reached; "
        )
        result += f"{len(self.broken)} promises broken"
        if self.missed or self.broken:
            result += f" ({'; '.join([*self.missed, *self.broken])[:500]})"
        attempts = self.hit + len(self.missed)
        label = f"{attempts} failpoints, before and after every commit; killed there, and again in recovery"
        return Figure(label, "all of ≥ 30 hit, all promises hold", result, not (self.missed or self.broken))

    def _ask(self, asked: Asked, side: Literal["before", "after"], *, beside: bool = False) -> None:
        """Ask for something, and kill the web process there, or the process ``beside`` it that imports."""
        undisturbed, but_for_versions = self._undisturbed(asked)
        with self._copy(IMPORT_PROCESSES=str(int(beside))) as copy:
            before = read_state(copy.folder)
            if beside:
                self._kill_importer(copy, asked, side)
            else:
                self._kill(copy, copy.web, asked.boundary, side, asked)
            self._kill(copy, copy.web, MIGRATION, side, recovering=True)
            expected = before if side == "before" else undisturbed
            self._compare(f"{side}: {asked.what}", read_state(copy.folder), expected)
            port = free_port()
            copy.web(port)
            wait_until_ready(port, time.monotonic())
            again = _ask(port, asked)
            gone = asked.method == "DELETE" and side == "after" and again.status == 404
            if not (again.done or gone):
                self.broken.append(f"{side}: {asked.what}: asked again, it was {again.status}")
            repeated = again.headers.get("idempotent-replayed") == "true"
            if asked.headers and repeated != (side == "after"):
                self.broken.append(f"{side}: {asked.what}: repeated is {repeated}")
            found = read_state(copy.folder, versions=False)
            self._compare(f"{side}, again: {asked.what}", found, but_for_versions)

    def _undisturbed(self, asked: Asked) -> tuple[State, State]:
        with self._copy() as copy:
            port = free_port()
            copy.web(port)
            wait_until_ready(port, time.monotonic())
            answers = _ask(port, asked)
            if not answers.done:
                raise RuntimeError(f"{asked.what}: {answers}")
            return read_state(copy.folder), read_state(copy.folder, versions=False)

    def _work(self, work: Work, side: Literal["before", "after"]) -> None:
        with self._copy(work.ready) as copy:
            _finish(copy)
            state = read_state(copy.folder)
        with self._copy(work.ready) as copy:
            self._kill(copy, copy.worker, work.boundary, side)
            copy.bury("w")
            if _waiting(copy.folder):
                again = "app.training.worker.Worker._claim" if _unfinished(copy.folder) else work.boundary
                self._kill(copy, copy.worker, again, side, recovering=True)
                copy.bury("w")
            _finish(copy)
            self._compare(f"{side}: {work.what}", read_state(copy.folder), state)

    def _command(self, command: Command, side: Literal["before", "after"]) -> None:
        times = 2 if command.anew and side == "after" else 1
        with self._copy(command.ready) as copy:
            for _ in range(times):
                copy.run(command.work).join()
            undisturbed = read_state(copy.folder, versions=False)
        with self._copy(command.ready) as copy:
            told = copy.folder / "told"
            for recovering, boundary in enumerate((command.boundary, MIGRATION)):
                told.unlink(missing_ok=True)
                process = copy.run(command.work, armed=Armed(boundary, side, told))
                self._note(process, told, f"{side} {boundary}", recovering=bool(recovering))
            copy.run(command.work).join()
            state = read_state(copy.folder, versions=False)
            self._compare(f"{side}: {command.what}", state, undisturbed)

    def _migrate(self, side: Literal["before", "after"]) -> None:
        folder = self._folder / f"empty-{side}"
        folder.mkdir()
        with processes(folder) as copy:
            for again in (False, True):
                self._kill(copy, copy.worker, MIGRATION, side, recovering=again)
            copy.worker("w")
            _wait_for(lambda: (folder / "likely.db").exists() and _migrated(folder))

    def _give_back(self, side: Literal["before", "after"]) -> None:
        """Ask the worker to end amid a training, and kill it as it gives that back."""
        with self._copy(_long_training) as copy:
            told = copy.folder / "told"
            worker = copy.worker("w", Armed("app.training.worker.Worker._under", side, told))
            _wait_for(lambda: _status(copy.folder, 4) == "running")
            worker.terminate()
            self._note(worker, told, f"{side}: a training is given back")
            expected = {"before": "running", "after": "queued"}[side]
            if _status(copy.folder, 4) != expected:
                self.broken.append(f"{side}: a training is given back: it is {_status(copy.folder, 4)}")
            copy.bury("w")
            self._kill(copy, copy.worker, "app.training.worker.Worker._claim", side, recovering=True)
            copy.bury("w")
            copy.worker("another")
            _wait_for(lambda: _status(copy.folder, 4) == "running")

    def _kill(
        self,
        copy: Processes,
        start: Callable[..., ForkServerProcess],
        boundary: str,
        side: Literal["before", "after"],
        asked: Asked | None = None,
        *,
        recovering: bool = False,
    ) -> None:
        """Start a process that dies at the boundary; one of the web is asked for something to get there."""
        told = copy.folder / "told"
        told.unlink(missing_ok=True)
        port = free_port()
        process = start(port if start == copy.web else "w", Armed(boundary, side, told))
        if asked is not None:
            wait_until_ready(port, time.monotonic())
            try:
                _ask(port, asked)
            except Lost:
                pass
            else:
                self.broken.append(f"{side}: {asked.what}: answered by a process that was to be dead")
        self._note(process, told, f"{side} {boundary}", recovering=recovering)

    def _kill_importer(self, copy: Processes, asked: Asked, side: Literal["before", "after"]) -> None:
        """Let the process that imports die, and see that who asked is told that nobody knows."""
        told, port = copy.folder / "told", free_port()
        web = copy.web(port, beside=Armed(asked.boundary, side, told))
        wait_until_ready(port, time.monotonic())
        answers = _ask(port, asked)
        kill(web)
        if not told.exists():
            self.missed.append(f"{side} {asked.boundary} beside the web process was not reached")
            return
        self.hit += 1
        if answers.status != 503 or answers.json["type"] != "urn:likely:problem:unavailable":
            self.broken.append(f"{side}: {asked.what} beside the web process: answered {answers}")

    def _note(self, process: ForkServerProcess, path: Path, name: str, *, recovering: bool = False) -> None:
        process.join(WAIT)
        hit = process.exitcode == -signal.SIGKILL and path.exists()
        kill(process)
        if not hit:
            self.missed.append(f"{name} was not reached")
        elif recovering:
            self.recoveries += 1
        else:
            self.hit += 1

    def _compare(self, label: str, state: State, expected: State) -> None:
        said = different(state, expected)
        if said:
            self.broken.append(f"{label}: {said}")

    def _copy(
        self, ready: Callable[[Database], None] | None = None, **settings: str
    ) -> AbstractContextManager[Processes]:
        folder = copied(self._template, Path(tempfile.mkdtemp(dir=self._folder)) / "copy")
        if ready is not None:
            with opened(folder) as database:
                ready(database)
        return processes(folder, LEASE_SECONDS="60", **settings)


def _make_template(folder: Path) -> None:
    """Store the class catalog with two trainings that succeeded, the second serving, and one that waits."""
    url = f"sqlite:///{folder}/likely.db"
    database = open_migrated(url)
    worker = Worker(database, Settings(database_url=url), "template")
    with database.writing() as connection:
        load_class(connection)
    for seed, epochs in ((1, 50), (2, 50), (3, 2000)):
        with database.writing() as connection:
            options = {"epochs": epochs, "optimizer": "adam"}
            create_training(connection, "class", "gradient_descent", options, seed, serve=True)
        if epochs == 50:
            worker.run_next()
    database.close()


def _ask(port: int, asked: Asked) -> Reply:
    with Client(port) as client:
        return client.ask(asked.method, asked.path, asked.body, asked.headers)


def _long_training(database: Database) -> None:
    with database.writing() as connection:
        cancel_training(connection, "class", 3)
        options = {"epochs": 100_000, "optimizer": "adam"}
        create_training(connection, "class", "gradient_descent", options, 1, serve=True)


def _finish(copy: Processes) -> None:
    """Let a worker do all that there is to do."""
    worker = copy.worker("finisher")
    _wait_for(lambda: not _waiting(copy.folder))
    kill(worker)


def _waiting(folder: Path) -> bool:
    """Return whether a training waits or runs, or embeddings are behind."""
    return _unfinished(folder) or bool(_scalar(folder, "SELECT sum(embeddings_behind) FROM catalogs"))


def _unfinished(folder: Path) -> bool:
    return bool(_scalar(folder, "SELECT count(*) FROM trainings WHERE status IN ('queued', 'running')"))


def _status(folder: Path, training: int) -> object:
    with opened(folder) as database, database.reading() as connection:
        return connection.scalar(select(Training.status).where(Training.id == training))


def _migrated(folder: Path) -> bool:
    return _scalar(folder, "SELECT count(*) FROM sqlite_master WHERE name = 'idempotency_keys'") == 1


def _scalar(folder: Path, query: str) -> object:
    with opened(folder) as database, database.reading() as connection:
        return connection.exec_driver_sql(query).scalar()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.02)
