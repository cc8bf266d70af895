"""Transactions: what is on disk when, who waits for whom, which SQLite runs."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from app.database.database import Database, now
from app.database.tables import Catalog, Movie
from app.database.urls import open_database, open_migrated
from app.errors import Busy, DatabaseUnusableError, Unavailable

A_CATALOG = {"catalog": "c", "title": "c", "dimensions": [], "created_at": 0.0}


def catalogs(database: Database) -> int:
    with database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(Catalog)) or 0


@pytest.mark.sqlite
def test_the_sqlite_that_runs_is_free_of_the_wal_bug(database: Database) -> None:
    name, _, version = database.version.partition(" ")
    assert name == "SQLite"
    assert tuple(int(part) for part in version.split(".")) >= (3, 51, 3)


@pytest.mark.sqlite
def test_every_connection_is_durable_and_checks_foreign_keys(database: Database) -> None:
    with database.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "mmap_size")
        }
    full = 2
    expected = {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "trusted_schema": 0}
    assert pragmas == {**expected, "mmap_size": 0}


def test_a_transaction_that_raises_stores_nothing(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(Catalog), [A_CATALOG, A_CATALOG])
    assert catalogs(database) == 0


def test_a_row_that_refers_to_nothing_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(Movie).values(catalog_id=7, movie="m", title="m", vector=b""))


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    count = select(func.count()).select_from(Catalog)
    with database.reading() as reader:
        assert reader.scalar(count) == 0
        with database.writing() as connection:
            connection.execute(insert(Catalog).values(A_CATALOG))
        assert reader.scalar(count) == 0
    assert catalogs(database) == 1


def test_many_threads_and_processes_write_without_losing_anything(database: Database) -> None:
    other = open_database(
        str(database.url), busy_seconds=30
    )  # as another process would: with a lock of its own
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        for step in range(5):
            with (database, other)[number % 2].writing() as connection:
                count = connection.scalar(select(func.count()).select_from(Catalog))
                row = {**A_CATALOG, "catalog": f"{number}-{step}", "title": str(count)}
                connection.execute(insert(Catalog).values(row))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    with database.reading() as connection:
        titles = {int(title) for title in connection.scalars(select(Catalog.title))}
    assert titles == set(range(40)), "two writers saw the same state"


def test_a_writer_that_waits_too_long_is_told_so(database: Database) -> None:
    impatient = open_database(str(database.url), busy_seconds=0.05)
    with database.writing(), pytest.raises(Busy, match="try again"), impatient.writing():
        pass
    with impatient.writing(), pytest.raises(Busy, match="try again"), impatient.writing():
        pass
    impatient.close()


@pytest.mark.sqlite
def test_only_the_write_lock_is_looked_for_and_all_else_is_waited_for(database: Database) -> None:
    """A writer looks for the lock often instead of sleeping inside SQLite; its commit must still wait."""
    with database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


def test_a_database_that_is_up_to_date_is_opened_while_another_writes(database: Database) -> None:
    """A process that starts beside a long import must not wait for it, nor give up."""
    with database.writing():
        opened = open_migrated(str(database.url), busy_seconds=0.01)
    opened.close()


@pytest.mark.sqlite
def test_the_databases_clock_counts_seconds_since_1970(database: Database) -> None:
    with database.reading() as connection:
        first, sqlite = connection.execute(select(now(), func.unixepoch("subsec"))).one()
    assert first == pytest.approx(sqlite, abs=0.01)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "no database URL"),
        ("sqlite://", "share a file"),
        ("sqlite:///:memory:", "share a file"),
        ("sqlite:////does/not/exist/likely.db", "folder /does/not/exist does not exist"),
        ("mysql://localhost/likely", "SQLite or PostgreSQL, not in mysql"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_in_one_sentence(url: str, reason: str) -> None:
    with pytest.raises(DatabaseUnusableError, match=reason):
        open_database(url)


@pytest.mark.sqlite
def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with 100% of it's spaces"
    folder.mkdir()
    database = open_database(f"sqlite:///{folder}/likely.db")
    database.migrate()
    assert catalogs(database) == 0
    database.close()


@pytest.mark.sqlite
def test_a_database_file_that_was_removed_takes_no_more_writes(database: Database) -> None:
    file = Path(database.url.database or "")
    file.rename(file.with_suffix(".moved"))
    with pytest.raises(Unavailable, match="removed or replaced"), database.writing() as connection:
        connection.execute(insert(Catalog).values(A_CATALOG))
    with pytest.raises(Unavailable, match="removed or replaced"):
        database.check()


@pytest.mark.sqlite
def test_a_database_file_that_was_overwritten_is_not_ready(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(Catalog).values(A_CATALOG))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with Path(database.url.database or "").open("r+b") as file:
        file.write(b"nonsense" * 512)
    with pytest.raises(Unavailable, match="cannot be"):
        database.check()


def test_writers_beyond_those_that_may_wait_are_refused_at_once(database: Database) -> None:
    refused = threading.Event()

    def write() -> None:
        try:
            with database.writing():
                pass
        except Busy:
            refused.set()

    threads = [threading.Thread(target=write) for _ in range(30)]
    with database.writing():
        for thread in threads:
            thread.start()
        assert refused.wait(2), "thirty writers wait, and nobody is told"
        assert catalogs(database) == 0, "readers go on"
    for thread in threads:
        thread.join()
