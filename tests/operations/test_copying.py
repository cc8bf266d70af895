"""`likely copy`: everything arrives, both ways, and a copy that was interrupted leaves nothing."""

from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select

from app.database.database import Database
from app.database.tables import Base, Movie
from app.database.urls import open_database, open_migrated
from app.errors import Conflict
from app.operations.copying import copy_database, count_rows
from app.settings import Settings
from testbed.databases import url_for
from tests.support.command_line import Run
from tests.support.stored import counts, store_two_catalogs


def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return open_migrated(f"sqlite:///{tmp_path}/copied.db")


def next_movie(database: Database) -> int:
    with database.writing() as connection:
        row = {"catalog_id": 1, "movie": "next", "title": "next", "vector": b""}
        return connection.execute(insert(Movie).values(row).returning(Movie.id)).scalar_one()


def test_a_copy_there_and_back_has_everything(tmp_path: Path, settings: Settings, sqlite: Database) -> None:
    store_two_catalogs(settings)
    with open_database(settings.database_url).writing() as connection:  # the last key goes, and stays used
        connection.execute(delete(Movie).where(Movie.movie == "f5"))
    source = open_database(settings.database_url)
    before = everything(source)
    done: list[int] = []
    copied = copy_database(source, sqlite, lambda _what, rows: done.append(rows))
    assert everything(sqlite) == before
    assert {one.table: one.rows for one in copied} == counts(source)
    assert sum(done) == 2 * count_rows(source)
    back = open_migrated(url_for(tmp_path, "back.db"))
    assert copy_database(sqlite, back, lambda *_: None) == copied
    assert everything(back) == before
    assert next_movie(source) == next_movie(sqlite) == next_movie(back)
    for database in (source, sqlite, back):
        database.close()


@pytest.mark.parametrize("moment", ["copying responses", "comparing responses"])
def test_an_interrupted_copy_leaves_nothing_and_is_begun_again(
    settings: Settings, tmp_path: Path, moment: str
) -> None:
    store_two_catalogs(settings)
    source, target = open_database(settings.database_url), open_migrated(url_for(tmp_path, "target.db"))

    def interrupt(what: str, _rows: int) -> None:
        if what == moment:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            copy_database(source, target, interrupt)
        assert count_rows(target) == 0
    copy_database(source, target, lambda *_: None)
    assert everything(target) == everything(source)
    with pytest.raises(Conflict, match="has catalogs already"):
        copy_database(source, target, lambda *_: None)
    source.close()
    target.close()


@pytest.mark.sqlite
def test_a_file_that_is_not_there_is_not_made_to_be_copied(likely: Run, tmp_path: Path) -> None:
    done = likely("copy", f"sqlite:///{tmp_path}/mistyped.db", f"sqlite:///{tmp_path}/other.db")
    assert (done.status, done.out) == (1, "")
    assert "there is no database at" in done.err
    assert not (tmp_path / "mistyped.db").exists()


def test_the_command_says_what_it_copied(likely: Run, tmp_path: Path) -> None:
    assert likely("demo").status == 0
    done = likely("copy", url_for(tmp_path), f"sqlite:///{tmp_path}/other.db")
    assert done.status == 0, done.err
    assert "responses: 9 rows, sha256 " in done.out
    again = likely("copy", url_for(tmp_path), f"sqlite:///{tmp_path}/other.db")
    assert (again.status, again.out) == (1, "")
    assert "copy into an empty database" in again.err
