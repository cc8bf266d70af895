"""mixed_effects on a Ray cluster of two processes, beside the worker's two threads: one database, one run.

    python -m benchmarks.speed.training.cluster COUNT STEPS            # all of it; docs/operations.md reckons
    with it python -m benchmarks.speed.training.cluster store COUNT FILE       # a catalog of so many
    responses, to a database python -m benchmarks.speed.training.cluster learn FILE HOW STEPS   # from the
    database to what is learned of it

HOW is here-2 or here-1, the worker's threads, ray, or killed: a process of the cluster is killed half-way,
while it computes. Times are from the first read to the last taste, and the cluster's start is in them. What
is learned must be the same bits on the cluster, with a process killed, and on one thread. Does not know what
a task computes.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from sqlalchemy import Connection, insert

from app.catalogs.catalogs import put_catalog
from app.database import vectors
from app.database.tables import Movie, User
from app.database.urls import open_database, open_migrated
from app.scoring.memory import Memory
from app.settings import Settings
from app.training.dataset import read_snapshot
from app.training.outlines import read_outline
from app.training.ray.cluster import connected
from benchmarks.speed import catalogs
from benchmarks.speed.lines import Goal, Line
from models.recommender.mixed_effects.coordinate_updates import GlobalParameters, Totals
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions, result_of
from models.recommender.trainer import Step, TrainingResult
from testbed.running import check

_COUNT, _STEPS = 8_000_000, 4
_ROOT = Path(__file__).parents[3]
_MEMORY = Memory(training_bytes=2**40)


@dataclass(frozen=True)
class Run:
    """A training: seconds until the responses were there, of a step, of the end, and of all; its bits.

    ``processor`` is the processor's time of all processes that were there at the end; ``sent`` bytes by name.
    """

    how: str
    responses: int
    users: int
    movies: int
    steps: int
    seconds: float
    ready: float
    step: float
    end: float
    processor: float
    digest: str
    sent: dict[str, int]


def measure(_: Path) -> Iterator[Line]:
    """Learn from 8 M responses in the worker and on a cluster, and with a process killed half-way."""
    here, alone, ray, killed = runs(_COUNT, _STEPS)
    label = f"mixed_effects, {here.responses:,} responses, {here.steps} steps, a Ray cluster of 2 processes"
    yield Line(
        label,
        "the worker with 2 threads",
        Goal("at most", 1.15, "of its time"),
        [ray.seconds / here.seconds],
        "; ".join(map(said, (here, alone, ray))),
    )
    yield Line(
        f"{label}, one killed half-way",
        "itself undisturbed: the same bits, which is checked",
        None,
        [killed.seconds / ray.seconds],
        said(killed),
    )


def runs(count: int, steps: int) -> list[Run]:
    """Store a catalog, and learn from it in each way."""
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "catalog.db")
        _run("store", str(count), file)
        result = [
            Run(**json.loads(_run("learn", file, how, str(steps))))
            for how in ("here-2", "here-1", "ray", "killed")
        ]
    _, alone, ray, killed = result
    check(ray.digest == killed.digest == alone.digest)
    return result


def said(run: Run) -> str:
    """Return a run's times in words."""
    return (
        f"{run.how} {run.seconds:.1f} s (read after {run.ready:.1f}, a step {run.step:.2f}, "
        f"the end {run.end:.1f}; processor {run.processor:.1f})"
    )


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.speed.training.cluster", *arguments]
    output = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours
    return output.rstrip().rpartition("\n")[2]  # Ray says before that a process died


def store(count: int, file: str) -> None:
    """Store a catalog of so many responses in a new database, without the checks of an import."""
    database = open_migrated(f"sqlite:///{file}")
    triples = catalogs.drawn(count)
    movies = triples["vectors"].numpy()
    with database.writing() as connection:
        put_catalog(connection, "drawn", None, [f"d{number}" for number in range(movies.shape[1])])
        connection.execute(
            insert(Movie),
            [
                {"catalog_id": 1, "movie": f"m{row:07}", "title": "", "vector": vectors.to_bytes(vector)}
                for row, vector in enumerate(movies)
            ],
        )
        users = range(int(triples["users"].max()) + 1)
        connection.execute(insert(User), [{"catalog_id": 1, "user": f"u{row:08}"} for row in users])
        driver: Any = connection.connection.driver_connection
        keys = (triples["users"] + 1).tolist(), (triples["items"] + 1).tolist()
        rows = zip(*keys, triples["values"].tolist(), strict=True)
        driver.executemany("INSERT INTO responses VALUES (?, ?, ?, 0)", rows)
    database.close()


def learn(file: str, how: str, steps: int) -> Run:
    """Learn from the database, in this process or on a cluster that it starts."""
    settings = Settings(database_url=f"sqlite:///{file}", ray_address="local", training_threads=2)
    trainer = MixedEffects(MixedEffectsOptions(max_steps=steps))
    times = [time.perf_counter()]
    outcome = 0

    def heard(step: Step) -> None:
        nonlocal outcome
        outcome = step.step
        times.append(time.perf_counter())
        if how == "killed" and step.step == steps // 2:
            threading.Thread(target=_kill_one, args=(_processes(),)).start()

    with open_database(settings.database_url).reading() as connection:
        if how.startswith("here"):
            result, sizes, sent, processor = _here(connection, trainer, int(how[-1]), heard, times)
        else:
            result, sizes, sent, processor = _apart(connection, trainer, settings, heard, times)
    end = time.perf_counter()
    lasted = [later - earlier for earlier, later in pairwise(times[1:])]
    return Run(
        how,
        *sizes,
        steps=outcome,
        seconds=end - times[0],
        ready=times[1] - times[0],
        step=median(lasted[1:]),
        end=end - times[-1],
        processor=processor,
        digest=_digest(result),
        sent=sent,
    )


_Found = tuple[TrainingResult, tuple[int, int, int], dict[str, int], float]


def _here(
    connection: Connection,
    trainer: MixedEffects,
    threads: int,
    heard: Callable[[Step], None],
    times: list[float],
) -> _Found:
    torch.set_num_threads(threads)
    snapshot = read_snapshot(connection, 1, _MEMORY, trainer.sizes)
    times.append(time.perf_counter())
    result = trainer.fit(snapshot.responses, 1, heard)
    sizes = (snapshot.answers, len(snapshot.users), len(snapshot.movies))
    return result, sizes, {}, time.process_time()


def _apart(
    connection: Connection,
    trainer: MixedEffects,
    settings: Settings,
    heard: Callable[[Step], None],
    times: list[float],
) -> _Found:
    torch.set_num_threads(1)
    outline = read_outline(connection, 1, _MEMORY, trainer.sizes)
    with connected(settings):
        from app.training.ray.tasks import OnCluster, Place

        class Weighed(OnCluster):
            """Counts the bytes of what is put into the cluster and left there."""

            sent: ClassVar[Counter[str]] = Counter()

            def update_users(self, common: GlobalParameters) -> Totals:
                totals = super().update_users(common)
                self.sent["ranges"], self.sent["steps"] = len(self._ranges), self.sent["steps"] + 1
                self.sent["responses, kept"] = _weight(self._ranges)
                self.sent["weights and pulls, kept"] = _weight(self._known)
                self.sent["sums over users, a step"] = _weight(list(chain.from_iterable(self._sums)))
                return totals

            def _put(self, common: GlobalParameters) -> Any:  # noqa: ANN401 - as in OnCluster
                answer = super()._put(common)
                self.sent["movies and prior, a step"] = _weight([answer])
                return answer

        size = trainer.sizes(outline.movies.vectors.shape[1]).embedding
        steps = Weighed(outline, Place(settings.database_url, settings.busy_seconds), size, lambda: None)
        times.append(time.perf_counter())
        fit = trainer.learn_by(steps, outline.movies.vectors, 1, heard)
        result = result_of(fit, steps.found.answered)
        sizes = (int(steps.found.counts.sum()), len(steps.found.places), len(outline.movies.keys))
        return result, sizes, dict(Weighed.sent), _processor()


def _weight(references: Sequence[Any]) -> int:
    """Return the bytes of objects in the cluster."""
    from ray.experimental import get_object_locations

    return sum(result["object_size"] or 0 for result in get_object_locations(list(references)).values())


def _processes() -> list[int]:
    """Return the cluster's processes that run tasks."""
    import ray

    @ray.remote
    def process() -> int:
        time.sleep(1.0)  # so that the other one has to take the other
        return os.getpid()

    return list(set(ray.get([process.remote() for _ in range(2)])))


def _kill_one(processes: Sequence[int]) -> None:
    time.sleep(1.0)  # into the next step
    os.kill(processes[0], signal.SIGKILL)


def _processor() -> float:
    """Return the processor's time of this process and all that come from it."""
    parents, times = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            times[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(times[process] for process in ours)


def _digest(result: TrainingResult) -> str:
    digest = hashlib.sha256()
    for numbers in (result.embeddings, result.posteriors.factors, result.items):
        if numbers is not None:
            digest.update(numbers.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["store", count, file]:
            store(int(count), file)
        case ["learn", file, how, steps]:
            sys.stdout.write(json.dumps(asdict(learn(file, how, int(steps)))) + "\n")
        case [count, steps]:
            for item in runs(int(count), int(steps)):
                sys.stdout.write(f"{said(item)}\n{json.dumps(asdict(item))}\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
