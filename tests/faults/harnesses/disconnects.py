"""Clients that hang up: in streams, imports, computations and pictures, at any moment, politely or not.

Afterwards the service has the processes, descriptors and free places that it had before, holds no
transaction, and keeps no file of an import. Does not know what the answers would have been.
"""

import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pysqlite3 import dbapi2 as sqlite3

from app.cli.demo import CATALOG, SEED
from app.database.urls import open_database
from app.settings import Settings
from app.training.trainings import create_training
from app.training.worker import Worker
from testbed.live import Service, children_of, serving, wait_until_warm
from testbed.running import check, store_class
from tests.faults.figures import Figure
from tests.faults.harnesses.hostile import LINGER
from tests.faults.hostile_requests import Target, head, whole
from tests.support.requests.raw import connect

_TIMES = 2000
_SEED = 11
_STREAMS = 16
_COMPUTE, _DRAWING, _IMPORTING = 1, 1, 1
_LONGEST = 0.08  # from sending to hanging up
_SETTLED = 60.0

_WATCHED = "/v1/catalogs/watched/trainings/2/events"
_ENDLESS = json.dumps({"inputs": [1] * 1000, "weights": [0] * 1000, "epochs": 100_000}).encode()
_NETWORK = b'{"layers": [1, 50, 1], "inputs": [[1]], "targets": [1], "epochs": 100000, "stream": true}'
_ROWS = b"".join(b'{"user": "u%d", "movie": "m%d", "response": 1}\n' % (row, row % 3) for row in range(5000))
_IMPORT = Target("POST", "/v1/catalogs/class/responses:import", _ROWS, b"application/x-ndjson")

# What is sent, by what is interrupted.
_KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "streams of a training": lambda _: head(Target("GET", _WATCHED)),
    "streams of a computation": lambda _: whole(Target("POST", "/v1/compute/mlp"), _NETWORK),
    "computations": lambda _: whole(Target("POST", "/v1/compute/neuron"), _ENDLESS),
    "imports half sent": lambda source: whole(_IMPORT, _ROWS)[: source.randrange(200, len(_ROWS))],
    "imports being stored": lambda _: whole(_IMPORT, _ROWS),
    "pictures": lambda source: head(
        Target("GET", f"/v1/catalogs/class/plots/heatmap.svg?dimension=language&user={source.randrange(3)}")
    ),
}


@dataclass(frozen=True)
class Held:
    """What a service holds: of its processes, its descriptors, its files."""

    children: int
    descriptors: int
    files: int
    responses: int


def run(scale: float) -> list[Figure]:
    """Return the figures of so large a share of the disconnects."""
    times = round(_TIMES * scale)
    source = random.Random(_SEED)
    with TemporaryDirectory() as name:
        folder = Path(name)
        store_class(name)
        _train_class(folder)
        with serving(folder, _environment(folder), "--no-worker") as service:
            service.http.timeout = 120  # processes start late on a busy machine
            wait_until_warm(service, _COMPUTE)
            service.http.put("/v1/catalogs/watched", json={"dimensions": []})
            waits = service.http.post("/v1/catalogs/watched/trainings", json={"trainer": "gradient_descent"})
            check(f"{waits.headers['location']}/events" == _WATCHED)
            service.http.get("/v1/catalogs/class/plots/heatmap.svg").raise_for_status()
            _dry_run(service)
            before = _held(service, folder)
            check(before.children == _COMPUTE + _DRAWING + _IMPORTING)
            outcome = dict.fromkeys(_KINDS, 0)
            for number in range(times):
                kind = list(_KINDS)[number % len(_KINDS)]
                hang_up(service, _KINDS[kind](source), source)
                outcome[kind] += 1
            after = _settled(service, folder, before)
            streams = _streams_left(service)
            transaction = _transaction_held(folder)
    label = ", ".join(f"{count:,} {kind}" for kind, count in outcome.items())
    return [
        Figure(
            f"{times:,} clients that disconnected: {label}",
            "0 leaked processes",
            *_more(before.children, after.children),
        ),
        Figure(
            "likewise, the database's connections aside",
            "0 leaked descriptors",
            *_more(before.descriptors, after.descriptors),
        ),
        Figure("likewise", "0 transactions held", "one" if transaction else "0", not transaction),
        Figure("likewise", "no file of an import is left", *_more(before.files, after.files)),
        Figure("likewise", "imports are whole or not there", *_whole(after.responses)),
        Figure("likewise", f"all of {_STREAMS} streams can be opened", str(streams), streams == _STREAMS),
    ]


def _train_class(folder: Path) -> None:
    """Train the class here: the service has no worker, so that a training that is watched waits."""
    settings = Settings(database_url=f"sqlite:///{folder}/likely.db")
    database = open_database(settings.database_url)
    with database.writing() as connection:
        create_training(connection, CATALOG, "gradient_descent", {"epochs": 100}, SEED, serve=True)
    check(Worker(database, settings, "harness").run_next())
    database.close()


def hang_up(service: Service, data: bytes, source: random.Random) -> None:
    """Send a request, and hang up after a while: closing, resetting, or ending only the sending side."""
    end = source.choice(("close", "reset", "half"))
    with connect(service.url) as connection, suppress(OSError):
        connection.sendall(data)
        connection.settimeout(0.001 + source.random() * _LONGEST)
        with suppress(TimeoutError):
            connection.recv(200)
        if end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        elif end == "half":
            connection.shutdown(socket.SHUT_WR)
            with suppress(TimeoutError):
                connection.recv(200)


def _environment(folder: Path) -> dict[str, str]:
    (folder / "temporary").mkdir(exist_ok=True)
    return {
        "LIKELY_COMPUTE_PROCESSES": str(_COMPUTE),
        "LIKELY_DRAWING_PROCESSES": str(_DRAWING),
        "LIKELY_IMPORT_PROCESSES": str(_IMPORTING),
        "LIKELY_STREAMS": str(_STREAMS),
        "TMPDIR": str(folder / "temporary"),
    }


def _dry_run(service: Service) -> None:
    """Let the service bring along what imports need, and make its threads and connections."""
    headers = {"Content-Type": "application/x-ndjson"}
    path = f"{_IMPORT.path}?dry_run=true"
    service.http.post(path, content=_ROWS, headers=headers).raise_for_status()


def _held(service: Service, folder: Path) -> Held:
    pid = service.process.pid
    connection = sqlite3.connect(f"file:{folder}/likely.db?mode=ro", uri=True)
    summary = "SELECT count(*) FROM responses WHERE user_id IN (SELECT id FROM users WHERE user LIKE 'u%')"
    responses = connection.execute(summary).fetchone()[0]
    connection.close()
    return Held(
        len(children_of(pid)),
        len(_descriptors(pid)),
        len(list((folder / "temporary").glob("likely-import-*"))),
        responses,
    )


def _descriptors(pid: int) -> list[str]:
    """Return what a process has open beside the database, of whose connections up to 48 are kept (Linux)."""
    result = []
    for item in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            result.append(str(item.readlink()))
    return [name for name in result if "/likely.db" not in name]


def _settled(service: Service, folder: Path, before: Held) -> Held:
    """Return what the service holds when it has come to rest, or has had the time to."""
    deadline = time.monotonic() + _SETTLED
    while time.monotonic() < deadline:
        held = _held(service, folder)
        more = held.descriptors > before.descriptors or held.files > before.files
        if held.children == before.children and not more:
            return held
        time.sleep(0.2)
    return held


def _streams_left(service: Service) -> int:
    """Return how many streams can be opened at once."""
    result = 0
    with ExitStack() as opened:
        for _ in range(_STREAMS):
            connection = opened.enter_context(connect(service.url))
            connection.sendall(head(Target("GET", _WATCHED)))
            result += connection.recv(200).startswith(b"HTTP/1.1 200")
    return result


def _transaction_held(folder: Path) -> bool:
    """Return whether anybody holds the database: then another cannot write, or the log not be emptied."""
    connection = sqlite3.connect(folder / "likely.db", timeout=1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()


def _more(before: int, after: int) -> tuple[str, bool]:
    return f"{max(0, after - before)} ({before} before, {after} after)", after <= before


def _whole(responses: int) -> tuple[str, bool]:
    rows = _ROWS.count(b"\n")
    return f"{responses:,} of {rows:,} rows", responses in {0, rows}
