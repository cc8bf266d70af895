"""A response on its way: stored, durable, its user relearned, and the new score asked of another process.

Two services on one file, so that the process which is asked is never the one which was told; each response
replaces one of a user who has about 200. Beside it a bare durable INSERT into a table of the same file.
The client waits for one answer before it asks the next: what is measured is a latency, not a load.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pysqlite3.dbapi2
from sqlalchemy import func, select

from app.catalogs import find_catalog
from app.database import Database
from app.embeddings import find_serving
from app.movielens import import_movielens
from app.relearning import read_answers
from app.tables import Movie, Response, User
from app.trained_models import TrainedModels
from benchmarks.running import check
from benchmarks.speed.client import Client
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.served import CATALOG
from models.scoring import scores
from tests.live import serving

_FEWEST, _MOST = 180, 220  # responses of the users who answer
_REPETITIONS = 7
_ROUNDS = 3  # in each repetition every user answers so many times
_CLOSE = 1e-6  # two ways to one score: what is kept is float32

WORK = f"response stored, relearned, scored by another process; users with {_FEWEST} to {_MOST} responses"


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
        database = Database.migrated(f"sqlite:///{folder}/likely.db", busy_seconds=5)
        import_movielens(database, movielens, CATALOG)
        service = stack.enter_context(serving(folder))
        train = service.http.post(f"/v1/catalogs/{CATALOG}/trainings", json={"trainer": "mixed_effects"})
        check(service.wait_for(train.headers["location"], "succeeded", "failed")["status"] == "succeeded")
        other = stack.enter_context(serving(folder, {}, "--no-worker"))
        asked, told = (stack.enter_context(Client(each.url)) for each in (other, service))
        askers = _askers(database)
        for asker in askers:
            _check_exact(database, asker, _answer(told, asked, asker, 0.25)[1])
        yield from _lines(folder, told, asked, askers)
        database.close()


def _lines(folder: Path, told: Client, asked: Client, askers: list[Asker]) -> Iterator[Line]:
    bare = _BareInserts(folder / "likely.db")
    whole: list[list[float]] = [[] for _ in range(_REPETITIONS)]
    stored: list[list[float]] = [[] for _ in range(_REPETITIONS)]
    bares: list[list[float]] = [[] for _ in range(_REPETITIONS)]
    before: dict[str, float] = {}
    for repetition in range(_REPETITIONS):
        for round_ in range(_ROUNDS):
            for asker in askers:
                response = float((repetition + round_) % 2)
                put, score, both = _answer(told, asked, asker, response)
                if asker.user in before:  # the last answer was the other one
                    check((score > before[asker.user]) == bool(response))
                before[asker.user] = score
                stored[repetition].append(put)
                whole[repetition].append(both)
                bares[repetition].append(bare.seconds())
    bare.close()
    milliseconds = [1000 * median(each) for each in whole]
    times = [median(each) / median(one) for each, one in zip(whole, bares, strict=True)]
    put, insert = (1000 * median(map(median, each)) for each in (stored, bares))
    said = (
        f"median {median(milliseconds):.2f} ms, of it {put:.2f} ms until it is stored and relearned; "
        f"a bare INSERT {insert:.2f} ms"
    )
    yield Line(WORK, "a clock", Goal("at most", 5, "ms"), milliseconds, said)
    yield Line(
        WORK, "a bare durable INSERT in the same file", Goal("at most", 15, "times its time"), times, said
    )


def _answer(told: Client, asked: Client, asker: Asker, response: float) -> tuple[float, float, float]:
    """Answer, and ask the other process; return the seconds to the answer, the new score, and all seconds."""
    user = f"/v1/catalogs/{CATALOG}/users/{asker.user}"
    started = time.perf_counter()
    put = told.ask("PUT", f"{user}/responses/{asker.movie}", {"response": response})
    stored = time.perf_counter()
    score = asked.ask("GET", f"{user}/scores?movie={asker.movie}")
    ended = time.perf_counter()
    check(put["response"] == response and score["responses"] == asker.responses)
    here = told.ask("GET", f"{user}/scores?movie={asker.movie}")
    check(here["scores"] == score["scores"])
    return stored - started, score["scores"][0]["score"], ended - started


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
    with database.reading() as connection:
        catalog = find_catalog(connection, CATALOG)
        trained = find_serving(connection, _MODELS, catalog)
        user = connection.scalar(
            select(User.id).where(User.catalog_id == catalog.id, User.user == asker.user)
        )
        answers = read_answers(connection, trained, user or 0)
        taste = trained.model.relearn(answers.rows, answers.answers, None, 0.0)
        row = answers.rows.new_tensor([trained.movies.rows[asker.movie]])
        check(abs(float(scores(trained.model.predict(taste, row).logits)) - score) < _CLOSE)


_MODELS = TrainedModels()
