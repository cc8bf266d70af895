"""Imports of a million responses over HTTP, beside sqlite3.executemany of the same rows.

The peer has everything made easy: rows that are Python tuples already, integer keys, nothing to check, no
foreign keys, a file of its own. Its table has the key and the index of the service's. Both end with a commit
that is on disk. The catalog is made here: users and movies by power laws, in the order of MovieLens' files.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pysqlite3.dbapi2

from app.catalogs.imports.file_format import CONTENT_TYPES, Format
from app.database.urls import open_database
from benchmarks.speed.client import Client
from benchmarks.speed.lines import Goal, Line
from testbed.live import descendants_of, serving
from testbed.running import check

RESPONSES = 1_000_000
_USERS, _MOVIES = 6_000, 10_000
_REPETITIONS = 3
_LOOK_EACH = 0.02  # seconds between two looks at the processes' memory
_GOALS = {Format.CSV: 0.35, Format.NDJSON: 0.25, Format.PARQUET: 0.35}
_WORDS = {Format.CSV: "CSV", Format.NDJSON: "NDJSON", Format.PARQUET: "Parquet"}
# The pages that SQLite keeps during an import, up to this (`app.catalogs.imports.store`): a quarter of the
# rows does not fill them. Nothing else may grow with the rows.
_FLAT = Goal("at most", 48, "MiB more: SQLite's cache")

_BARE_TABLE = (
    "CREATE TABLE responses (user_id INTEGER, movie_id INTEGER, response DOUBLE, timestamp DOUBLE, "
    "PRIMARY KEY (user_id, movie_id)) WITHOUT ROWID"
)


@dataclass(frozen=True)
class Answers:
    """Responses as columns: int64 users and movies, 0 or 1, whole seconds; no user answers a movie twice."""

    users: npt.NDArray[np.int64]
    movies: npt.NDArray[np.int64]
    responses: npt.NDArray[np.float64]
    timestamps: npt.NDArray[np.float64]

    @classmethod
    def drawn(cls, count: int, seed: int) -> "Answers":
        """Draw users and movies by power laws; ordered by user, then movie."""
        random = np.random.default_rng(seed)
        cells = np.empty(0, dtype=np.int64)
        while len(cells) < count:
            users, movies = (_drawn(random, maximum, count) for maximum in (_USERS, _MOVIES))
            cells = np.unique(np.concatenate([cells, users * _MOVIES + movies]))
        cells = np.sort(random.permutation(cells)[:count])
        return cls(
            cells // _MOVIES,
            cells % _MOVIES,
            (random.random(count) < 0.5).astype(np.float64),  # noqa: PLR2004 - as often as not
            random.integers(800_000_000, 1_600_000_000, count).astype(np.float64),
        )

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Return them as a file has them, with texts for ids."""
        return pl.DataFrame(
            {
                "user": self.users.astype(str),
                "movie": self.movies.astype(str),
                "response": self.responses,
                "timestamp": self.timestamps,
            }
        )

    def first(self, count: int) -> "Answers":
        """Return every n-th of them, so many: the same users and movies."""
        step = len(self.users) // count
        return Answers(
            self.users[::step], self.movies[::step], self.responses[::step], self.timestamps[::step]
        )

    def write(self, folder: Path, file_format: Format) -> Path:
        """Write the file."""
        file = folder / f"{len(self.users)}.{file_format}"
        match file_format:
            case Format.CSV:
                self.frame.write_csv(file)
            case Format.NDJSON:
                self.frame.write_ndjson(file)
            case Format.PARQUET:
                self.frame.write_parquet(file)
        return file


def _drawn(random: np.random.Generator, maximum: int, count: int) -> npt.NDArray[np.int64]:
    """Draw numbers below ``maximum``, the n-th as likely as (n + most/50)⁻¹, in no order."""
    weights = 1.0 / (np.arange(maximum) + maximum / 50)
    samples = random.choice(maximum, size=count, p=weights / weights.sum())
    return random.permutation(maximum)[samples]


def measure(_movielens: Path) -> Iterator[Line]:
    """Yield each format's share of the peer's rows a second, and how its memory grows."""
    answers = Answers.drawn(RESPONSES, seed=1)
    rows = list(
        zip(
            *(
                item.tolist()
                for item in (answers.users, answers.movies, answers.responses, answers.timestamps)
            ),
            strict=True,
        )
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quarter = answers.first(RESPONSES // 4)
        few = {item: _imported(folder, item, quarter, exact=True) for item in Format}
        measurement: dict[Format, list[_Imported]] = {item: [] for item in Format}
        bare: list[float] = []
        roomy: list[float] = []
        for _ in range(_REPETITIONS):
            for item in Format:
                measurement[item].append(_imported(folder, item, answers))
            bare.append(_bare_seconds(folder, rows))
            roomy.append(_bare_seconds(folder, rows, f"PRAGMA cache_size = -{48 * 2**10}"))
        yield from chain.from_iterable(
            _lines(item, measurement[item], few[item], bare, roomy) for item in Format
        )


@dataclass(frozen=True)
class _Imported:
    """An import over HTTP: its seconds, and the bytes that the web process and its descendants took more."""

    seconds: float
    bytes: int


def _lines(
    file_format: Format, measurement: list[_Imported], few: _Imported, bare: list[float], roomy: list[float]
) -> Iterator[Line]:
    word = _WORDS[file_format]
    work = f"import of {RESPONSES:,} responses over HTTP, {word}"
    seconds = median(item.seconds for item in measurement)
    message = (
        f"{seconds:.2f} s, {RESPONSES / seconds:,.0f} rows a second; "
        f"executemany {median(bare):.2f} s, {RESPONSES / median(bare):,.0f}"
    )
    goal = Goal("at least", _GOALS[file_format], "of its rows a second")
    shares = [one / item.seconds for one, item in zip(bare, measurement, strict=True)]
    yield Line(work, "sqlite3.executemany of the same rows", goal, shares, message)
    shares = [one / item.seconds for one, item in zip(roomy, measurement, strict=True)]
    message = f"executemany {median(roomy):.2f} s"
    yield Line(work, "the same with 48 MiB of cache, as an import has", None, shares, message)
    growth = [(item.bytes - few.bytes) / 2**20 for item in measurement]
    message = (
        f"{_mib(median(item.bytes for item in measurement))} beyond what it had before, and {_mib(few.bytes)}"
    )
    work = f"memory of the web process and all that it starts, {RESPONSES:,} rows, {word}"
    yield Line(work, "a quarter of the rows", _FLAT, growth, message)


def _mib(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


def _imported(folder: Path, file_format: Format, answers: Answers, *, exact: bool = False) -> _Imported:
    """Import into a new service, and check what is stored then: all of it, or how much there is."""
    file = answers.write(folder, file_format)
    with tempfile.TemporaryDirectory(dir=folder) as name, serving(Path(name), {}, "--no-worker") as service:
        with Client(service.url) as client:
            client.ask("PUT", "/v1/catalogs/made", {"dimensions": []})
            movies = "".join(f'{{"movie":"{movie}","vector":[]}}\n' for movie in range(_MOVIES))
            client.send("POST", "/v1/catalogs/made/movies:import", movies.encode(), "application/x-ndjson")
            content_type = next(name for name, item in CONTENT_TYPES.items() if item is file_format)
            content = file.read_bytes()
            with Peaks(service.process.pid) as peaks:
                start = time.perf_counter()
                answer = client.send("POST", "/v1/catalogs/made/responses:import", content, content_type)
                seconds = time.perf_counter() - start
        count = len(answers.users)
        check(answer == {"rows": count, "created": count, "replaced": 0})
        _check_stored(Path(name), answers, exact=exact)
    return _Imported(seconds, peaks.taken)


class Peaks:
    """The most memory that a process and all its descendants have had each since this began (Linux).

    Looked at again and again by a thread, because the process which reads Parquet ends with the import.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._bytes, self._ended = pid, dict[int, int](), threading.Event()
        for item in (pid, *descendants_of(pid)):
            Path(f"/proc/{item}/clear_refs").write_text("5")
        self._look()
        self._before = sum(self._bytes.values())
        self._thread = threading.Thread(target=self._look_often)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def taken(self) -> int:
        """The sum of the most that each had, not always at the same time, less what all had at first."""
        return sum(list(self._bytes.values())) - self._before

    def _look_often(self) -> None:
        while not self._ended.wait(_LOOK_EACH):
            self._look()

    def _look(self) -> None:
        for item in (self._pid, *descendants_of(self._pid)):
            self._bytes[item] = max(self._bytes.get(item, 0), _peak_of(item))


def _peak_of(pid: int) -> int:
    """Return the most bytes that a process had; 0 when it has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _check_stored(folder: Path, answers: Answers, *, exact: bool) -> None:
    database = open_database(f"sqlite:///{folder}/likely.db")
    joined = " FROM responses JOIN users ON users.id = user_id JOIN movies ON movies.id = movie_id"
    with database.reading() as connection:
        if exact:
            result = connection.exec_driver_sql(f"SELECT user, movie, response, timestamp {joined}").all()
            check(set(map(tuple, result)) == set(answers.frame.iter_rows()))
        sums = "count(*), sum(response), sum(timestamp), sum(user * response), sum(movie * timestamp)"
        result = connection.exec_driver_sql(f"SELECT {sums} {joined}").one()
        expected = (
            len(answers.users),
            answers.responses.sum(),
            answers.timestamps.sum(),
            (answers.users * answers.responses).sum(),
            (answers.movies * answers.timestamps).sum(),
        )
        check(np.allclose(np.array(result, dtype=float), np.array(expected, dtype=float), rtol=1e-12))
    database.close()


def _bare_seconds(folder: Path, rows: list[tuple[int, int, float, float]], *settings: str) -> float:
    """Insert all rows in one durable transaction, and return how long it took."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        connection = pysqlite3.dbapi2.connect(f"{name}/bare.db", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            *settings,
            _BARE_TABLE,
            "CREATE INDEX responses_movie_id ON responses (movie_id)",
        ):
            connection.execute(statement)
        start = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO responses VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        seconds = time.perf_counter() - start
        check(connection.execute("SELECT count(*) FROM responses").fetchone() == (len(rows),))
        connection.close()
    return seconds
