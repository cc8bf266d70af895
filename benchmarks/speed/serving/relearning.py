"""A response on its way: stored, durable, its user relearned, and the new score asked of another process.

Two services on one file, so that the process which is asked is never the one which was told; each response
replaces one of a user who has about 200. Beside it a bare durable INSERT into a table of the same file.
The client waits for one answer before it asks the next: what is measured is a latency, not a load.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pysqlite3.dbapi2
from sqlalchemy import func, select
from torch import Tensor

from app.catalogs.catalogs import find_catalog
from app.catalogs.imports.movielens import import_movielens
from app.database.database import Database
from app.database.tables import Movie, Response, User
from app.database.urls import open_migrated
from app.scoring.fold_in import Answers, read_answers
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import find_serving
from benchmarks.speed.client import Client
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.served import CATALOG
from benchmarks.speed.stopwatch import percentiles, said, seconds_of
from models.recommender.model import Model, UserPosterior
from models.recommender.scoring import scores
from testbed.live import serving
from testbed.running import check

_FEWEST, _MOST = 180, 220  # responses of the users who answer
_REPETITIONS = 7
_ROUNDS = 3  # in each repetition every user answers so many times
_CLOSE = 1e-6  # two ways to one score: what is kept is float32

LEAST = "two requests that do nothing, a bare INSERT, and the user folded in, each by itself, added up"
_GOALS = (Goal("at most", 5, "ms"), Goal("at most", 15, "times its time"))
WORK = f"response stored, folded in, scored by another process; users with {_FEWEST} to {_MOST} responses"


@dataclass(frozen=True)
class Asker:
    """A user who answers: their id, a movie that they have answered, and how many they have."""

    user: str
    movie: str
    responses: int


def measure(movielens: Path) -> Iterator[Line]:
    """Yield the milliseconds, and the ratio to the bare INSERT."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        database = open_migrated(f"sqlite:///{folder}/likely.db", busy_seconds=5)
        import_movielens(database, movielens, CATALOG)
        service = stack.enter_context(serving(folder))
        train = service.http.post(f"/v1/catalogs/{CATALOG}/trainings", json={"trainer": "mixed_effects"})
        check(service.wait_for(train.headers["location"], "succeeded", "failed")["status"] == "succeeded")
        other = stack.enter_context(serving(folder, {}, "--no-worker"))
        asked, told = (stack.enter_context(Client(item.url)) for item in (other, service))
        askers = _askers(database)
        for asker in askers:
            _check_exact(database, asker, _answer(told, asked, asker, 0.25)[1])
        yield from _lines(folder, database, told, asked, askers)
        database.close()


@dataclass
class _Times:
    """Seconds of a repetition, two of each answer: of all that is done, and of a bare INSERT beside it."""

    whole: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def _lines(
    folder: Path, database: Database, client: Client, asked: Client, askers: list[Asker]
) -> Iterator[Line]:
    bare = _BareInserts(folder / "likely.db")
    answers, least = ([_Times() for _ in range(_REPETITIONS)] for _ in range(2))
    stored: list[float] = []
    before: dict[str, float] = {}
    for number, times in enumerate(answers):
        for round_ in range(_ROUNDS):
            for asker in askers:
                response = float((number + round_) % 2)
                put, score, both = _answer(client, asked, asker, response)
                if asker.user in before:  # the last answer was the other one
                    check((score > before[asker.user]) == bool(response))
                before[asker.user] = score
                stored.append(put)
                times.whole.append(both)
                times.bare.append(bare.seconds())
    alone = {asker: _Alone.of(database, asker) for asker in askers}
    for times in least:  # by itself, for what this process computes pushes the services out of caches
        for asker in askers * _ROUNDS:
            times.bare.append(bare.seconds())
            times.whole.append(times.bare[-1] + _nothing(client, asked) + alone[asker].seconds())
    bare.close()
    yield from _compared(WORK, answers, _GOALS, f"; of it {said(stored)} until it is stored and folded in")
    yield from _compared(LEAST, least, (None, None), "")


def _compared(
    work: str, repetitions: list[_Times], goals: tuple[Goal | None, Goal | None], also: str
) -> Iterator[Line]:
    """Compare what was done with a clock, and with the bare INSERTs of the same repetition."""
    complete, bare = (
        [median(repetition.whole) for repetition in repetitions],
        [median(repetition.bare) for repetition in repetitions],
    )
    every = percentiles([seconds for repetition in repetitions for seconds in repetition.whole])
    inserts = said(seconds for repetition in repetitions for seconds in repetition.bare)
    words = f"{every}{also}; a bare INSERT {inserts}"
    yield Line(work, "a clock", goals[0], [1000 * middle for middle in complete], words)
    ratios = [one / other for one, other in zip(complete, bare, strict=True)]
    yield Line(work, "a bare durable INSERT in the same file", goals[1], ratios, words)


def _nothing(*clients: Client) -> float:
    """Return how long it takes to ask each for nothing."""
    return sum(seconds_of(lambda client=client: client.ask("GET", "/livez")) for client in clients)


def _answer(client: Client, asked: Client, asker: Asker, response: float) -> tuple[float, float, float]:
    """Answer, and ask the other process; return the seconds to the answer, the new score, and all seconds."""
    user = f"/v1/catalogs/{CATALOG}/users/{asker.user}"
    started = time.perf_counter()
    put = client.ask("PUT", f"{user}/responses/{asker.movie}", {"response": response})
    stored = time.perf_counter()
    score = asked.ask("GET", f"{user}/scores?movie={asker.movie}")
    end = time.perf_counter()
    check(put["response"] == response and score["responses"] == asker.responses)
    here = client.ask("GET", f"{user}/scores?movie={asker.movie}")
    check(here["scores"] == score["scores"])
    return stored - started, score["scores"][0]["score"], end - started


@dataclass(frozen=True)
class _Alone:
    """A user relearned in this process, from a taste one answer away: nothing read and nothing kept."""

    model: Model
    rows: Tensor
    answers: Tensor
    start: UserPosterior

    @classmethod
    def of(cls, database: Database, asker: Asker) -> "_Alone":
        """Read what is needed, once."""
        trained, given = _read(database, asker)
        change = given.rows == trained.movies.rows[asker.movie]
        own, other = given.answers.clone(), given.answers.clone()
        own[change], other[change] = 1.0, 0.0
        start = trained.model.fold_in(given.rows, other, None, 0.0)
        return cls(trained.model, given.rows, own, start)

    def seconds(self) -> float:
        """Relearn them, and return how long it took."""
        return seconds_of(lambda: self.model.fold_in(self.rows, self.answers, self.start, 0.0))


class _BareInserts:
    """Rows put into a table of the database's file, one a transaction, with nothing else around."""

    def __init__(self, file: Path) -> None:
        self._connection = pysqlite3.dbapi2.connect(str(file), isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "CREATE TABLE bare (user_id INTEGER, movie_id INTEGER, response DOUBLE, timestamp DOUBLE, "
            "PRIMARY KEY (user_id, movie_id)) WITHOUT ROWID"
        )
        self._rows = 0

    def seconds(self) -> float:
        """Insert one row, and return how long it took until it was durable."""
        self._rows += 1
        row = (self._rows * 7919 % 10_007, self._rows, 1.0, 1e9)
        started = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO bare VALUES (?, ?, ?, ?)", row)
        self._connection.execute("COMMIT")
        return time.perf_counter() - started

    def close(self) -> None:
        self._connection.execute("DROP TABLE bare")
        self._connection.close()


def _askers(database: Database) -> list[Asker]:
    count = func.count()
    with database.reading() as connection:
        rows = connection.execute(
            select(User.user, func.min(Movie.movie), count)
            .join(Response, Response.user_id == User.id)
            .join(Movie, Movie.id == Response.movie_id)
            .group_by(User.id)
            .having(count.between(_FEWEST, _MOST))
        ).all()
    check(len(rows) > 0)
    return [Asker(*row) for row in rows]


def _check_exact(database: Database, asker: Asker, score: float) -> None:
    """Learn the user here, from all their responses and from nothing else: the score must be the same."""
    trained, given = _read(database, asker)
    posterior = trained.model.fold_in(given.rows, given.answers, None, 0.0)
    row = given.rows.new_tensor([trained.movies.rows[asker.movie]])
    check(abs(float(scores(trained.model.predict(posterior, row).logits)) - score) < _CLOSE)


def _read(database: Database, asker: Asker) -> tuple[TrainedModel, Answers]:
    """Return the serving model, and all that somebody answered."""
    with database.reading() as connection:
        catalog = find_catalog(connection, CATALOG)
        trained = find_serving(connection, _MODELS, catalog)
        user = connection.scalar(
            select(User.id).where(User.catalog_id == catalog.id, User.user == asker.user)
        )
        return trained, read_answers(connection, trained, user or 0)


_MODELS = TrainedModels()
