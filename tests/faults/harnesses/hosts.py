"""Three web services over one PostgreSQL: one is killed every ten seconds, connections are cut every second.

Clients ask any of the three, as behind a proxy that balances, and write users of their own. An answer that
did not come, or was a 5xx, is unknown, and a client begins anew as another user; each of its lives is
compared with the database in the end. Does not know how a lost connection is noticed.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.pool import NullPool

from app.database.database import Database
from app.database.tables import Movie, Response, User
from app.database.urls import open_database
from testbed.databases import start_server
from testbed.live import free_port
from testbed.running import percentile
from tests.faults.client import Client, Lost
from tests.faults.figures import Figure
from tests.faults.guests import LONGEST, Guest, Importing, Promoting
from tests.faults.harnesses.clients import make_catalog
from tests.faults.processes import READY_WITHIN, Processes, Whole, kill, processes

HOSTS, CLIENTS = 3, 24
SECONDS = 300.0
_AT_LEAST = 8.0
KILL_EVERY, CUT_EVERY = 10.0, 1.0  # seconds
READY = 3.0
SERVED = 1.0
_SHARE = 0.34  # of the connections, so many are cut at a time
_SERVER = ("max_connections=200", "shared_buffers=128MB")


@dataclass(frozen=True)
class Web:
    """A web service that runs: what kills it, and whether it has ended by itself."""

    kill: Callable[[], None]
    ended: Callable[[], bool]


class Breaking:
    """Kills services and cuts connections, and starts the services again, as a supervisor does."""

    def __init__(self, started: Processes, ports: list[int], *, complete: bool) -> None:
        self._started, self._ports, self._whole = started, ports, complete
        self._running = {port: self._start(port) for port in ports}
        self.kills = self.cut = self.again = 0
        self.ready: list[float] = []

    def _start(self, port: int) -> Web:
        if self._whole:
            service = Whole(self._started, port, "--no-worker")
            return Web(lambda: _end(service), lambda: service.ended)
        process = self._started.web(port)
        return Web(lambda: kill(process), lambda: not process.is_alive())

    def wait_until_ready(self, port: int, began: float) -> float:
        """Return the seconds since ``began`` when it answers; one that ended meanwhile is started again."""
        with Client(port) as client:
            while time.monotonic() < began + READY_WITHIN:
                if self._running[port].ended():  # its connection was cut before it served
                    self._running[port] = self._start(port)
                    self.again += 1
                with suppress(Lost):
                    if client.ask("GET", "/readyz").done:
                        return time.monotonic() - began
                time.sleep(0.01)
        raise RuntimeError(f"the service was not ready after {READY_WITHIN} s")

    def kill(self, over: Event, every: float) -> None:
        """Kill one of them every so often, and wait until it is there again."""
        source = random.Random(3)
        began = time.monotonic()
        while not over.wait(max(0.0, began + every - time.monotonic())):
            port = source.choice(self._ports)
            began = time.monotonic()
            self._running[port].kill()
            self._running[port] = self._start(port)
            self.kills += 1
            self.ready.append(self.wait_until_ready(port, began))

    def cut_connections(self, over: Event, server: Engine, every: float) -> None:
        """End some connections, whatever they are doing, every so often."""
        command = text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < :share"
        )
        while not over.wait(every):
            with server.connect() as connection:
                self.cut += connection.execute(command, {"share": _SHARE}).scalar_one()

    def stop(self) -> None:
        """Kill them all."""
        for web in self._running.values():
            web.kill()


def _end(service: Whole) -> None:
    service.kill()
    service.wait()


def run(scale: float) -> list[Figure]:
    """Break and look for so long."""
    seconds = max(_AT_LEAST, SECONDS * scale)
    with tempfile.TemporaryDirectory(prefix="likely-hosts-") as name, _database() as address:
        database = open_database(address)
        make_catalog(database)
        with processes(Path(name), address, POLL_SECONDS="0.1", LEASE_SECONDS="5") as started:
            figures = _break(started, database, seconds, complete=scale == 1.0)
        database.close()
    return figures


@contextmanager
def _database() -> Iterator[str]:
    url = start_server(*_SERVER).set(drivername="postgresql")
    yield url.render_as_string(hide_password=False)


def _break(started: Processes, database: Database, seconds: float, *, complete: bool) -> list[Figure]:
    ports = [free_port() for _ in range(HOSTS)]
    breaking = Breaking(started, ports, complete=complete)
    server = create_engine(database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    started.worker("w1")
    started.worker("w2")
    guests, importing, promoting = (
        [Guest(number, ports) for number in range(CLIENTS)],
        Importing(ports),
        Promoting(ports),
    )
    over = Event()
    try:
        for port in ports:
            breaking.wait_until_ready(port, time.monotonic())
        every = min(KILL_EVERY, seconds / 5)
        with ThreadPoolExecutor(CLIENTS + 4) as threads:
            began = time.time()
            living = [threads.submit(guest.live, began, seconds, 0) for guest in guests]
            beside: list[Future[None]] = [
                threads.submit(breaking.kill, over, every),
                threads.submit(breaking.cut_connections, over, server, CUT_EVERY),
                threads.submit(importing.live, over),
                threads.submit(promoting.live, over),
            ]
            try:
                for item in living:
                    item.result()
            finally:
                over.set()
            for item in beside:
                item.result()
    finally:
        breaking.stop()
    result = _found(database)
    lost = importing.lost(result)
    for guest in guests:
        for life in [*guest.lives, guest.life()]:
            lost += life.lost(result.get(life.user, {}))
    return _figures(guests, importing, promoting, breaking, lost, seconds)


def _found(database: Database) -> Mapping[str, dict[str, float]]:
    result: dict[str, dict[str, float]] = {}
    with database.reading() as connection:
        for user, movie, value in connection.execute(
            select(User.user, Movie.movie, Response.response)
            .join(Response, Response.user_id == User.id)
            .join(Movie, Movie.id == Response.movie_id)
        ):
            result.setdefault(user, {})[movie] = value
    return result


def _figures(
    guests: list[Guest],
    importing: Importing,
    promoting: Promoting,
    breaking: Breaking,
    lost: list[str],
    seconds: float,
) -> list[Figure]:
    tallies = [guest.tally for guest in guests]
    operations = sum(tally.operations for tally in tallies)
    violations = [violation for tally in tallies for violation in tally.violations]
    failures = sum(count for tally in tallies for count in tally.failures.values())
    writes = sum(len(tally.writes) for tally in tallies)
    label = (
        f"{HOSTS} web processes over one PostgreSQL, {seconds:.0f} s: {breaking.kills} kills, "
        f"{breaking.cut:,} connections cut; {operations:,} operations of {CLIENTS} clients, {writes:,} of "
        f"them writes, and {importing.acknowledged} imports"
    )
    broken = [*lost, *violations]
    came = f"{len(lost)} lost, {len(violations)} violations; {failures} answers lost or 5xx"
    if broken:
        came += f" ({'; '.join(broken)[:400]})"
    enough = (
        breaking.kills >= 0.9 * seconds / KILL_EVERY - 1
        and breaking.cut > 0
        and writes > 0
        and importing.acknowledged > 0
    )
    silent = [one for guest in guests for one in guest.silent] or [LONGEST]
    ready, served = max(breaking.ready), max(promoting.seconds, default=LONGEST)
    middle = percentile(breaking.ready, 50)
    return [
        Figure(label, "0 acknowledged writes lost; each reads its own", came, not broken and enough),
        Figure(
            "until a killed web process answers again, everything else going on",
            f"≤ {READY:g} s",
            f"{ready:.1f} s at most, {middle:.1f} in the middle; {breaking.again} were cut off before they "
            f"served, and started again; with a load of {os.getloadavg()[0]:.0f}",
            ready <= READY,
        ),
        Figure(
            f"until a client whose answer was lost, or a 5xx, is answered again: {len(silent):,} times",
            f"≤ {READY:g} s",
            f"{max(silent):.1f} s at most, p99 {percentile(silent, 99):.2f}",
            max(silent) <= READY,
        ),
        Figure(
            f"until a web process serves a promoted training, {len(promoting.seconds)} looks",
            f"≤ {SERVED:g} s",
            f"{served:.2f} s at most",
            served <= SERVED,
        ),
    ]
