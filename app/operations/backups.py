"""Backups: one snapshot of the database as a file of its own, and back; both are atomic.

A backup is written by SQLite (VACUUM INTO) from one read transaction, so the service goes on reading and
writing, and what was deleted is not in it, not even in pages that nobody uses any more. A file is written
beside its place, verified, made durable, and then gets its name.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.database.sqlite import PRIVATE, beside, find_driver, sync_folder
from app.errors import Conflict, NotFound, Unavailable
from app.operations.verification import Report, verify_file

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def back_up(source: Path, target: Path) -> Report:
    """Write one state of a database to a file that must not be there yet, and return how it was verified.

    Raises `NotFound` without a database, `Conflict` when the file is there or the copy has faults, and
    `Unavailable` when it cannot be written.
    """
    _check_file(source, "database")
    if target.exists():
        raise Conflict(f"{target} is there already; name another file")
    with _named("the backup", target), _copy(source, target) as copy:
        report = verify_file(copy)
        _check(report, f"{source} has faults, of which no backup was made; `likely verify` names them")
        _publish(copy, target)
    return report


def restore(backup: Path, target: Path, *, replace: bool) -> Report:
    """Put a backup in the place of a database that nobody uses, and return how it was verified.

    Raises `NotFound` without a backup, `Conflict` when it has faults, when the database is in use, or is
    there and is not to be replaced, and `Unavailable` when it cannot be written. The database is as it was
    then.
    """
    _check_file(backup, "backup")
    if target.exists() and not replace:
        raise Conflict(f"{target} is there already; --replace puts the backup in its place")
    report = verify_file(backup)
    _check(report, f"{backup} has faults and was not restored; `likely verify {backup}` names them")
    with _named("the database", target), _copy(backup, target) as copy:
        if target.exists():
            with _alone(target):
                copy.replace(target)
        else:
            _put_aside(beside(target))  # of a database that is gone; SQLite would take them for the new one's
            _publish(copy, target)
        sync_folder(target.parent)
    return report


def _check_file(path: Path, name: str) -> None:
    if not path.is_file():
        raise NotFound(f"there is no {name} at {path}")


def _check(report: Report, sentence: str) -> None:
    if report.faults:
        raise Conflict(f"{sentence}: {report.faults[0]}")


@contextmanager
def _named(name: str, path: Path) -> Iterator[None]:
    """Say in one sentence why a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{name} {path} cannot be written: {error.strerror or error}") from error
    except find_driver().Error as error:
        raise Unavailable(f"{name} {path} cannot be written: {error}") from error


@contextmanager
def _copy(source: Path, target: Path) -> Iterator[Path]:
    """Write a snapshot of a database to a durable file beside the target; it is removed at the end."""
    copy = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    try:
        reading = find_driver().connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=30.0)
        try:
            reading.isolation_level = None
            reading.execute("VACUUM INTO ?", (str(copy),))
        finally:
            reading.close()
        _sync(copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(copy: Path, target: Path) -> None:
    """Give a file its name, unless there is one of that name."""
    try:
        os.link(copy, target)
    except FileExistsError as error:
        raise Conflict(f"{target} came to be while it was written, and was left as it is") from error
    except OSError as error:
        if error.errno not in _NO_LINKS or target.exists():
            raise
        copy.rename(target)
    sync_folder(target.parent)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock a database exclusively; raises `Conflict` when another connection has it open.

    SQLite leaves WAL only for who is alone, and then one file holds everything: to replace it is one step.
    One that SQLite cannot read is put aside instead.
    """
    driver: Any = find_driver()
    connection = driver.connect(str(path), timeout=0.0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        if (
            connection.execute("PRAGMA journal_mode").fetchone()[0] != "delete"
        ):  # another connection came in between
            raise _in_use(path)
        yield
    except driver.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {driver.SQLITE_BUSY, driver.SQLITE_LOCKED}:
            raise
        raise _in_use(path) from error
    except driver.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in {driver.SQLITE_CORRUPT, driver.SQLITE_NOTADB}:
            raise
        connection.close()
        with _locked(path):
            _put_aside([path, *beside(path)])
            yield
    finally:
        connection.close()


def _in_use(path: Path) -> Conflict:
    return Conflict(f"{path} is in use; stop the service and its workers first")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold all the bytes that SQLite locks, of a file that this process has not open otherwise."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _in_use(path) from error
        yield


def _put_aside(files: list[Path]) -> None:
    """Rename unreadable files, and those that belonged to them."""
    for file in files:
        with suppress(FileNotFoundError):
            file.rename(file.with_name(f"{file.name}.unreadable"))
