"""Full disks, files that may not grow, and I/O errors of write and fsync, under a service that runs.

    full     the database is on a small tmpfs; a ballast takes the rest of it (root only)
    limit    RLIMIT_FSIZE of the running process ends at a random place of the log
    error    strace lets its fsync, fdatasync or pwrite64 fail with EIO, ENOSPC or EDQUOT

Under each fault a client writes until it is refused, then reads; then the fault ends and a write must
succeed, without a restart. After every tenth the service is killed while the fault lasts and started again,
and what was acknowledged must be there. Does not know how the service words its refusals.
"""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx2

from app.database.sqlite import find_driver
from app.operations.verification import verify_file
from app.settings import Settings
from testbed.live import Service, serving
from tests.faults.figures import Figure
from tests.faults.ledger import Ledger
from tests.support.stored import store_two_catalogs

_FAULTS = 300
_DISK_BYTES = 64 * 2**20
_WRITES = 60  # at most, until one is refused
_FAULTS_A_LIFE = 10
_SECONDS = 1.0
_REFUSALS = {503, 507}
_READS = (
    "/readyz",
    "/v1/catalogs/class",
    "/v1/catalogs/class/users/0/scores",
    "/v1/catalogs/class/users/w1/responses",
)
_SERVER_ERROR = 500

Fault = Callable[["Disk", Service, Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Disk:
    """Where the database is, and whether that disk can be filled."""

    folder: Path
    small: bool

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.folder / "likely.db"


@dataclass
class Tally:
    """What came out so far."""

    faults: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    unclear: list[str] = field(default_factory=list)
    slowest: float = 0.0
    reads: int = 0
    reads_refused: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    kills: int = 0


def run(scale: float) -> list[Figure]:
    """Cause so large a share of 300 faults; one of each kind at least."""
    tally, ledger = Tally(), Ledger()
    draw = Random(7)
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        disk = stack.enter_context(_disk())
        kinds = _kinds(disk)
        faults = [kinds[number % len(kinds)] for number in range(max(len(kinds), round(_FAULTS * scale)))]
        store_two_catalogs(Settings(database_url=f"sqlite:///{disk.database}", poll_seconds=0.01))
        for start in range(0, len(faults), _FAULTS_A_LIFE):
            _live(disk, logs, faults[start : start + _FAULTS_A_LIFE], draw, tally, ledger)
        with _service(disk, logs):
            tally.lost += ledger.lost(disk.database)
        tally.lost += verify_file(disk.database).faults
    return [_figure(tally, ledger)]


def _kinds(disk: Disk) -> list[str]:
    """Return what can be done here: a disk is filled by root, and strace must be installed."""
    able = {"full": disk.small, "limit": True, "error": _traces()}
    return [kind for kind, here in able.items() if here]


def _live(disk: Disk, logs: Path, kinds: list[str], draw: Random, tally: Tally, ledger: Ledger) -> None:
    """Cause some faults, and kill the service under the last of them."""
    with _service(disk, logs) as service:
        _import_nothing(service)
        tally.lost += ledger.lost(disk.database)
        for number, kind in enumerate(kinds, start=1):
            tally.faults[kind] += 1
            _checkpoint(disk.database)  # from an empty log on, each write needs space
            with _FAULT[kind](disk, service, draw):
                _write_until_refused(service, draw, tally, ledger, kind)
                _read(service, tally, kind)
                if number == len(kinds):
                    os.kill(service.process.pid, signal.SIGKILL)
                    service.process.wait()
                    tally.kills += 1
            if number < len(kinds):
                answer = ledger.write(service, draw)
                if answer is None or not answer.is_success:
                    tally.stuck.append(f"{kind}: {answer.text if answer else 'no answer'}")


def _import_nothing(service: Service) -> None:
    """Wait for the process that imports: begun under a limit of sizes, it would keep that when it is over."""
    path = "/v1/catalogs/class/responses:import?dry_run=true"
    rows = "user,movie,response\nw0,m0,1\n"
    service.http.post(path, content=rows, headers={"content-type": "text/csv"}).raise_for_status()


def _write_until_refused(service: Service, draw: Random, tally: Tally, ledger: Ledger, kind: str) -> None:
    for _ in range(_WRITES):
        start = time.perf_counter()
        answer = ledger.write(service, draw)
        if answer is not None and answer.is_success:
            continue
        tally.slowest = max(tally.slowest, time.perf_counter() - start)
        clear = answer is not None and answer.headers["content-type"] == "application/problem+json"
        if answer is not None:
            tally.refusals[answer.status_code] += 1
        if answer is None or not clear or answer.status_code not in _REFUSALS:
            tally.unclear.append(f"{kind}: {answer.text if answer else 'no answer'}")
        return
    tally.unclear.append(f"{kind}: nothing was refused")


def _read(service: Service, tally: Tally, kind: str) -> None:
    for path in _READS:
        tally.reads += 1
        try:
            answer = service.http.get(path)
        except httpx2.TransportError:
            tally.reads_refused[kind] += 1
            continue
        if answer.status_code >= _SERVER_ERROR:
            tally.reads_refused[kind] += 1


def _figure(tally: Tally, ledger: Ledger) -> Figure:
    names = {
        "full": "full disks (tmpfs)",
        "limit": "file-size limits",
        "error": "injected errors of fsync and write (strace)",
    }
    kinds = ", ".join(f"{tally.faults[kind]} {names[kind]}" for kind in names if tally.faults[kind])
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(tally.refusals.items()))
    refusals = sum(tally.reads_refused.values())
    bad = [*tally.unclear, *tally.stuck, *tally.lost]
    return Figure(
        what=f"{sum(tally.faults.values())} faults under a running service: {kinds}; "
        f"{tally.kills} kills while one lasted",
        asked="each a clear 507 or 503 within 1 s; reads go on; writes again without a restart; "
        "nothing acknowledged lost, no half",
        found=f"{statuses}, the slowest after {tally.slowest:.2f} s; "
        f"{refusals} of {tally.reads} reads refused; "
        f"{len(tally.stuck)} stuck; {len(tally.lost)} of {ledger.acknowledged} acknowledged writes lost"
        + "".join(f"; {item}" for item in bad[:3]),
        held=not bad and refusals == 0 and tally.slowest <= _SECONDS,
    )


@contextmanager
def _disk() -> Iterator[Disk]:
    """Mount a small disk; where that is not allowed, use a folder that cannot be filled."""
    with TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", name]
        small = _succeeds(mount)
        try:
            yield Disk(Path(name), small)
        finally:
            if small:
                subprocess.run(["umount", "--lazy", name], check=True)


def _traces() -> bool:
    """Return whether a process may be traced here."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-o", "/dev/null", "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _succeeds(command: list[str]) -> bool:
    if shutil.which(command[0]) is None or os.geteuid() != 0:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def _service(disk: Disk, logs: Path) -> Iterator[Service]:
    environment = {"LIKELY_DATABASE_URL": f"sqlite:///{disk.database}", "LIKELY_LOG_LEVEL": "error"}
    with serving(logs, environment, "--no-worker") as service:
        yield service


def _checkpoint(database: Path) -> None:
    connection = find_driver().connect(str(database), timeout=10.0)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@contextmanager
def _full(disk: Disk, _service: Service, draw: Random) -> Iterator[None]:
    ballast = disk.folder / "ballast"
    left = draw.randrange(0, 200_000)
    free = os.statvfs(disk.folder).f_bavail * os.statvfs(disk.folder).f_frsize
    with ballast.open("wb") as file, suppress(OSError):
        file.write(bytes(max(0, free - left)))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _limit(_disk: Disk, service: Service, draw: Random) -> Iterator[None]:
    pid, size = service.process.pid, draw.randrange(0, 200_000)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def _error(_disk: Disk, service: Service, draw: Random) -> Iterator[None]:
    calls = draw.choice(["fsync,fdatasync", "pwrite64", "fsync,fdatasync,pwrite64"])
    error = draw.choice(["EIO", "ENOSPC", "EDQUOT"] if "pwrite64" in calls else ["EIO"])
    first = draw.randrange(1, 4)
    command = ["strace", "-f", "-p", str(service.process.pid), "-o", "/dev/null", "-e", f"trace={calls}"]
    inject = f"inject={calls}:error={error}:when={first}+"
    tracer = subprocess.Popen([*command, "-e", inject], stderr=subprocess.PIPE, text=True)
    if tracer.stderr is not None:
        tracer.stderr.readline()  # it says so when it has attached to all threads
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()


_FAULT: dict[str, Fault] = {"full": _full, "limit": _limit, "error": _error}
