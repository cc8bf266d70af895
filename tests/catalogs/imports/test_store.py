"""Imports store whole files or nothing, and count what was new."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.catalogs.catalogs import find_catalog, put_catalog, read_catalog
from app.catalogs.imports.file_format import Format, Imported
from app.catalogs.imports.store import Importer, import_movies, import_responses
from app.catalogs.movies import list_movies, put_movie
from app.database.database import Database
from app.database.tables import Catalog, User
from app.errors import BadInput, BadRows, Conflict, NotFound, Place, TooLarge
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from tests.support.import_data import Row, first_row, stored_responses, write_rows, write_text

every_format = pytest.mark.parametrize("file_format", Format)

MOST = 1_000_000


@pytest.fixture
def films(database: Database) -> str:
    """A catalog of two dimensions, with the movies a and b, and a's answer by old."""
    with database.writing() as connection:
        put_catalog(connection, "films", None, ["war", "love"])
        put_catalog(connection, "others", None, [])
        put_movie(connection, "films", "a", "A", [1.0, 2.0])
        put_movie(connection, "films", "b", "B", [3.0, 4.0])
        put_movie(connection, "others", "elsewhere", None, [])
        put_response(connection, TrainedModels(), "films", "old", "a", 0.5, 7.0)
    return "films"


def store(
    database: Database,
    importer: Importer,
    file: Path,
    file_format: Format = Format.CSV,
    max_rows: int = MOST,
    catalog: str = "films",
    *,
    dry_run: bool = False,
) -> Imported:
    with database.writing() as connection:
        imported = importer(connection, catalog, file, file_format, max_rows)
        if dry_run:
            connection.rollback()
    return imported


def movies(database: Database) -> list[tuple[str, str, list[float]]]:
    """All movies of the catalog films."""
    with database.reading() as connection:
        return [(row.movie, row.title, row.vector) for row in list_movies(connection, "films", 100, None)]


def versions(database: Database) -> dict[str, int]:
    """The versions of all users."""
    with database.reading() as connection:
        return {row.user: row.version for row in connection.execute(select(User.user, User.version))}


def movies_version(database: Database) -> int:
    with database.reading() as connection:
        return find_catalog(connection, "films").movies_version


def is_stale(database: Database) -> bool:
    """Whether workers are told that there is something to relearn."""
    with database.reading() as connection:
        stale = connection.scalar(select(Catalog.embeddings_behind).where(Catalog.catalog == "films"))
    return bool(stale)


def everything(database: Database) -> object:
    return movies(database), movies_version(database), versions(database), stored_responses(database)


def answers(*rows: tuple[str, str, float, float]) -> Sequence[Row]:
    return [dict(zip(("user", "movie", "response", "timestamp"), row, strict=True)) for row in rows]


def film(movie: str, title: str | None, war: float, love: float) -> dict[str, Any]:
    return {"movie": movie, "title": title, "vector": {"war": war, "love": love}}


@every_format
def test_responses_are_stored_and_users_come_into_being(
    file_format: Format, database: Database, films: str, tmp_path: Path
) -> None:
    rows = answers(("new", "a", 1.0, 1.5), ("old", "b", 0.25, 2.5), ("new", "b", 0.0, 3.5))
    imported = store(database, import_responses, write_rows(tmp_path, file_format, rows), file_format)
    assert imported == Imported(rows=3, created=3, replaced=0)
    assert stored_responses(database) == {
        ("old", "a", 0.5, 7.0),
        ("new", "a", 1.0, 1.5),
        ("old", "b", 0.25, 2.5),
        ("new", "b", 0.0, 3.5),
    }
    with database.reading() as connection:
        assert read_catalog(connection, films).users == 2


@every_format
def test_movies_are_stored_and_replaced(
    file_format: Format, database: Database, films: str, tmp_path: Path
) -> None:
    rows = [film("c", "C", 0.5, -1), film("a", None, 9, 8)]
    imported = store(
        database, import_movies, write_rows(tmp_path, file_format, rows), file_format, catalog=films
    )
    assert imported == Imported(rows=2, created=1, replaced=1)
    assert movies(database) == [("a", "a", [9.0, 8.0]), ("b", "B", [3.0, 4.0]), ("c", "C", [0.5, -1.0])]


@pytest.mark.usefixtures("films")
def test_the_later_line_wins(database: Database, tmp_path: Path) -> None:
    twice = write_text(tmp_path, "movie,title,war,love\nc,1,0,0\na,2,5,5\nc,3,1,1\n")
    assert store(database, import_movies, twice) == Imported(rows=3, created=1, replaced=2)
    assert movies(database) == [("a", "2", [5.0, 5.0]), ("b", "B", [3.0, 4.0]), ("c", "3", [1.0, 1.0])]

    twice = write_text(tmp_path, "user,movie,response,timestamp\nv,a,1,9\nold,a,1,1\nv,a,0,2\n")
    assert store(database, import_responses, twice) == Imported(rows=3, created=1, replaced=2)
    assert stored_responses(database) == {("old", "a", 1.0, 1.0), ("v", "a", 0.0, 2.0)}


@pytest.mark.usefixtures("films")
def test_the_later_line_wins_across_batches(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalogs.imports.csv_text.BLOCK_BYTES", 40)
    lines = [f"{n % 7},a,{n / 1000}" for n in range(1000)]
    file = write_text(tmp_path, "\n".join(["user,movie,response", *lines]))
    assert store(database, import_responses, file) == Imported(rows=1000, created=7, replaced=993)
    last = {(str(n % 7), "a", n / 1000) for n in range(993, 1000)}
    assert {row[:3] for row in stored_responses(database)} == last | {("old", "a", 0.5)}

    lines = [f"{n % 7},{n},0" for n in range(1000)]
    file = write_text(tmp_path, "\n".join(["movie,war,love", *lines]))
    assert store(database, import_movies, file) == Imported(rows=1000, created=7, replaced=993)
    assert [movie for movie in movies(database) if movie[0] in "0123456"] == [
        (str(n % 7), str(n % 7), [float(n), 0.0]) for n in sorted(range(993, 1000), key=lambda n: n % 7)
    ]


@pytest.mark.usefixtures("films")
def test_a_missing_timestamp_becomes_the_databases_clock(database: Database, tmp_path: Path) -> None:
    store(database, import_responses, write_text(tmp_path, "user,movie,response\nold,a,1\nold,b,1\n"))
    times = {timestamp for *_, timestamp in stored_responses(database)}
    assert len(times) == 1
    assert times.pop() > 1.7e9


@every_format
def test_one_bad_row_and_nothing_is_stored(
    file_format: Format, database: Database, films: str, tmp_path: Path
) -> None:
    at = first_row(file_format)
    rows = answers(("new", "a", 1, 1), ("old", "a", 1, 1), ("new", "elsewhere", 1, 1), ("new", "b", 7, 1))
    place = "row" if file_format is Format.PARQUET else "line"
    with pytest.raises(BadRows, match=f"2 rows are bad.*nothing was stored.*place is its {place}") as caught:
        store(database, import_responses, write_rows(tmp_path, file_format, rows), file_format)
    unknown, wrong = caught.value.places
    assert unknown == Place(f"there is no movie 'elsewhere' in catalog '{films}'", line=at + 2)
    assert wrong.line == at + 3
    assert stored_responses(database) == {("old", "a", 0.5, 7.0)}
    assert list(versions(database)) == ["old"]

    before = movies(database), movies_version(database)
    bad_film = [film("a", "new", 0, 0), film("x/", "X", 0, 0)]
    with pytest.raises(BadRows, match="1 row is bad") as caught:
        store(database, import_movies, write_rows(tmp_path, file_format, bad_film), file_format)
    assert [place.line for place in caught.value.places] == [at + 1]
    assert (movies(database), movies_version(database)) == before


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize(
    ("bad", "said"), [(99, "99 rows are"), (100, "100 rows are"), (101, "100 rows and more")]
)
def test_at_most_a_hundred_bad_rows_are_named(
    bad: int, said: str, database: Database, tmp_path: Path
) -> None:
    lines = [f"u,{'unknown' if n % 2 else 'a/'},1" for n in range(bad)]
    with pytest.raises(BadRows, match=said) as caught:
        store(database, import_responses, write_text(tmp_path, "\n".join(["user,movie,response", *lines])))
    assert [place.line for place in caught.value.places] == list(range(2, 2 + min(bad, 100)))


@every_format
def test_a_dry_run_counts_and_keeps_nothing(
    file_format: Format, database: Database, films: str, tmp_path: Path
) -> None:
    before = everything(database)
    file = write_rows(tmp_path, file_format, [film("a", "new", 0, 0), film("c", "C", 0, 0)])
    imported = store(database, import_movies, file, file_format, catalog=films, dry_run=True)
    assert imported == Imported(rows=2, created=1, replaced=1)
    file = write_rows(tmp_path, file_format, answers(("new", "b", 1, 1), ("old", "a", 1, 1)))
    imported = store(database, import_responses, file, file_format, catalog=films, dry_run=True)
    assert imported == Imported(rows=2, created=1, replaced=1)
    assert everything(database) == before
    assert store(database, import_responses, file, file_format) == imported


def test_an_import_moves_the_version_of_those_who_answered(
    database: Database, films: str, tmp_path: Path
) -> None:
    with database.writing() as connection:
        put_response(connection, TrainedModels(), films, "idle", "b", 1, None)
    before = versions(database)
    store(database, import_responses, write_text(tmp_path, "user,movie,response\nold,a,1\nnew,b,1\n"))
    after = versions(database)
    assert after["idle"] == before["idle"]
    assert after["old"] > before["old"]
    assert after["new"] > 0
    assert is_stale(database)


def test_a_changed_vector_moves_those_who_answered_that_movie(
    database: Database, films: str, tmp_path: Path
) -> None:
    with database.writing() as connection:
        put_response(connection, TrainedModels(), films, "other", "b", 1, None)
    before, movies_before = versions(database), movies_version(database)
    store(database, import_movies, write_text(tmp_path, "movie,title,war,love\na,A,7,7\nb,new title,3,4\n"))
    after = versions(database)
    assert after["old"] > before["old"]
    assert after["other"] == before["other"]
    assert movies_version(database) == movies_before + 1
    assert is_stale(database)


@pytest.mark.usefixtures("films")
def test_an_import_of_no_rows_moves_nothing(database: Database, tmp_path: Path) -> None:
    before = versions(database), movies_version(database), is_stale(database)
    nothing = Imported(rows=0, created=0, replaced=0)
    assert store(database, import_responses, write_text(tmp_path, "user,movie,response\n")) == nothing
    assert store(database, import_movies, write_text(tmp_path, ""), Format.NDJSON) == nothing
    assert (versions(database), movies_version(database), is_stale(database)) == before


@pytest.mark.usefixtures("films")
def test_more_rows_than_allowed_are_refused(database: Database, tmp_path: Path) -> None:
    file = write_text(tmp_path, "user,movie,response\nu,a,1\nv,a,1\nw,a,1\n")
    with pytest.raises(TooLarge, match="more than 2 rows"):
        store(database, import_responses, file, max_rows=2)
    assert len(stored_responses(database)) == 1
    assert store(database, import_responses, file, max_rows=3).rows == 3


@pytest.mark.parametrize("importer", [import_movies, import_responses])
def test_an_unknown_catalog_is_not_found(importer: Importer, database: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no catalog 'films'"):
        store(database, importer, write_text(tmp_path, ""))


@pytest.mark.usefixtures("films")
def test_a_file_that_breaks_on_the_way_stores_nothing(database: Database, tmp_path: Path) -> None:
    lines = ["user,movie,response", *(f"u{n},a,1" for n in range(100_000)), 'x,"a']
    with pytest.raises(BadRows) as caught:
        store(database, import_responses, write_text(tmp_path, "\n".join(lines)))
    assert [place.line for place in caught.value.places] == [100_002]
    assert list(versions(database)) == ["old"]
    with pytest.raises(BadInput, match="no readable Parquet file"):
        store(database, import_responses, write_text(tmp_path, "hello"), Format.PARQUET)
    with pytest.raises(Conflict, match="has the dimensions war, love"):
        store(database, import_movies, write_text(tmp_path, "movie,war\na,1\n"))


@pytest.mark.usefixtures("films")
def test_progress_is_told_in_rows(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalogs.imports.csv_text.BLOCK_BYTES", 100)
    file = write_text(tmp_path, "user,movie,response\n" + "u,a,1\n" * 100)
    told: list[int] = []
    with database.writing() as connection:
        import_responses(connection, "films", file, Format.CSV, MOST, told.append)
    assert told == sorted(told)
    assert len(told) > 3
    assert told[-1] == 100


@pytest.mark.usefixtures("films")
def test_many_movies_change_in_one_import(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalogs.imports.store.IDS_AT_ONCE", 10)
    monkeypatch.setattr("app.catalogs.imports.bulk_insert.IDS_AT_ONCE", 10)
    for war in (1, 2):
        lines = [f"m{n},{war},0" for n in range(45)] + [f"a,{war},0"]
        store(database, import_movies, write_text(tmp_path, "\n".join(["movie,war,love", *lines])))
    lines = [f"u{n},m{n},1" for n in range(45)]
    store(database, import_responses, write_text(tmp_path, "\n".join(["user,movie,response", *lines])))
    before = versions(database)
    lines = [f"m{n},3,0" for n in range(45)]
    store(database, import_movies, write_text(tmp_path, "\n".join(["movie,war,love", *lines])))
    moved = {user for user, version in versions(database).items() if version > before[user]}
    assert moved == {f"u{n}" for n in range(45)}
