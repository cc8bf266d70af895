"""`likely verify`: a whole database has no faults, and each thing that can be wrong in one is named."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from app.catalogs.movies import delete_movie
from app.catalogs.users import delete_user
from app.database.sqlite import find_driver, read_file
from app.database.tables import Base
from app.database.urls import open_database
from app.operations.verification import verify_file
from app.settings import Settings
from tests.support.stored import change, store_two_catalogs

pytestmark = pytest.mark.sqlite

IntegrityError: type[Exception] = find_driver().IntegrityError
NAN = np.full(3, np.nan, dtype="<f4").tobytes()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with two trained catalogs, for tests that work on copies."""
    path = tmp_path_factory.mktemp("stored") / "likely.db"
    store_two_catalogs(Settings(database_url=f"sqlite:///{path}", poll_seconds=0.01))
    return path


@pytest.fixture
def copied(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stored, tmp_path / "copied.db"))


def test_a_whole_database_has_no_faults_and_every_digest_is_taken(stored: Path) -> None:
    report = verify_file(stored)
    assert report.faults == []
    assert "9 responses" not in report.checked
    assert "21 responses" in report.checked
    for line in (
        "training 1: 3 users' embeddings, 0 movies', digests state, learned, vectors, responses",
        "training 2: 4 users' embeddings, 6 movies', digests state, learned, vectors, responses",
    ):
        assert line in report.checked


def test_to_verify_changes_nothing_in_the_file(stored: Path) -> None:
    before = stored.read_bytes()
    verify_file(stored)
    assert stored.read_bytes() == before


# The last number of an embedding, and the first of a factor, become 1.
NUDGED = """
    UPDATE user_embeddings SET embedding = CAST(substr(embedding, 1, 8) || x'0000803f' AS BLOB)
    WHERE training_id = 1 AND user_id = 2
"""
SURER = """
    UPDATE user_embeddings SET factor = CAST(x'0000803f' || substr(factor, 5) AS BLOB)
    WHERE training_id = 2 AND user_id = 4
"""


@pytest.mark.parametrize(
    ("statement", "parameters", "fault"),
    [
        (
            "UPDATE movies SET vector = ? WHERE id = 1",
            (NAN,),
            "the vector of movie 'm0' of 'class' has numbers",
        ),
        ("UPDATE movies SET vector = ? WHERE id = 1", (NAN[:8],), "'m0' of 'class' has 8 bytes, not 12"),
        (
            "UPDATE user_embeddings SET embedding = ? WHERE training_id = 1 AND user_id = 2",
            (NAN,),
            "the embedding of user '1' in training 1 has numbers that are not finite",
        ),
        (
            "UPDATE user_embeddings SET embedding = x'00000000' WHERE training_id = 1 AND user_id = 2",
            (),
            "the embedding of user '1' in training 1 has 4 bytes, not 12",
        ),
        (
            NUDGED,
            (),
            "the squared norm of user '1' in training 1 is not that of the embedding",
        ),
        (
            "UPDATE user_embeddings SET factor = NULL WHERE training_id = 2",
            (),
            "the factor of user 'u0' in training 2 is missing",
        ),
        (
            "UPDATE user_embeddings SET factor = substr(factor, 5) WHERE training_id = 2",
            (),
            "the factor of user 'u0' in training 2 has 56 bytes, not 60",
        ),
        (
            "UPDATE movie_embeddings SET embedding = substr(embedding, 5)",
            (),
            "the embedding of movie 'f0' in training 2 has 36 bytes, not 40",
        ),
        ("UPDATE user_embeddings SET version = 99 WHERE user_id = 2", (), "user '1' in training 1 is ahead"),
        ("DELETE FROM users WHERE id = 2", (), "a row of responses refers to no row of users"),
        ("UPDATE responses SET response = 7 WHERE user_id = 1", (), "'0' to 'm0' is no number from 0 to 1"),
        (
            "UPDATE responses SET movie_id = 4 WHERE user_id = 1 AND movie_id = 1",
            (),
            "'0' to 'f0' crosses catalogs",
        ),
        ("UPDATE servings SET training_id = 2 WHERE catalog_id = 1", (), "training 2 serves 'class'"),
        ("UPDATE trainings SET status = 'failed' WHERE id = 2", (), "training 2 is failed and left 10 emb"),
        (
            "UPDATE training_states SET state = x'00' WHERE training_id = 2",
            (),
            "of training 2 cannot be read",
        ),
        ("DELETE FROM training_states WHERE training_id = 2", (), "training 2 has lost what it learned"),
        ("UPDATE responses SET response = 0.5 WHERE user_id = 1", (), "training 1: the digest of responses"),
        ("UPDATE movies SET vector = zeroblob(12) WHERE id = 1", (), "training 1: the digest of vectors is"),
        (
            SURER,
            (),
            "training 2: the digest of learned is not what it was",
        ),
        (
            "UPDATE catalogs SET dimensions = '{}' WHERE id = 1",
            (),
            "dimensions of a row of catalogs (1) is a JSON object, not a JSON list of texts",
        ),
        ("UPDATE catalogs SET dimensions = '[1]'", (), "(1) is a JSON list, not a JSON list of texts"),
        (
            "UPDATE movies SET movie = ? WHERE id = 2",
            (b"x",),
            "movie of a row of movies (2) is bytes, not text",
        ),
        ("UPDATE movies SET vector = 'x'", (), "vector of a row of movies (1) is text, not bytes"),
        ("UPDATE users SET version = 'x'", (), "version of a row of users (1) is text, not an integer"),
        (
            "UPDATE trainings SET serve = 2",
            (),
            "serve of a row of trainings (1) is an integer, not true or false",
        ),
        (
            "UPDATE trainings SET metrics = '[]'",
            (),
            "metrics of a row of trainings (1) is a JSON list, not a JSON object",
        ),
        ("UPDATE trainings SET metrics = '{}'", (), "1: its metrics do not say of how many users and movies"),
        ("UPDATE trainings SET provenance = '{'", (), "provenance of a row of trainings (1) is no JSON, not"),
        ("UPDATE trainings SET provenance = '{\"kept\": 5}'", (), "training 1: its provenance is not whole"),
        ("UPDATE trainings SET trainer = 'x'", (), "training 1: the trainer 'x' does not take its options"),
        (
            "UPDATE trainings SET options = '{\"a\": 1}'",
            (),
            "the trainer 'gradient_descent' does not take its",
        ),
        ("UPDATE trainings SET status = 'x'", (), "training 1: 'x' is no status"),
        (
            "UPDATE training_states SET state = 'x'",
            (),
            "state of a row of training_states (1) is text, not bytes",
        ),
        ("UPDATE alembic_version SET version_num = '9999'", (), "there is no revision '9999' here"),
        ("DROP TABLE alembic_version", (), "it is no database of Likely"),
    ],
)
def test_each_fault_is_named(
    copied: Path, statement: str, parameters: tuple[object, ...], fault: str
) -> None:
    change(copied, statement, *parameters)
    faults = verify_file(copied).faults
    assert any(fault in one for one in faults), faults


def test_a_page_that_was_overwritten_is_a_fault(copied: Path) -> None:
    pages = copied.stat().st_size // 4096
    with copied.open("r+b") as file:
        file.seek((pages // 2) * 4096)
        file.write(b"\xff" * 2048)
    assert verify_file(copied).faults


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    letter = tmp_path / "letter.db"
    letter.write_text("I am a letter, and quite a long one. " * 100)
    assert verify_file(letter).faults == ["it cannot be read to its end: file is not a database"]


# What any value may turn into; some of them are right in some columns.
_WRONG = (None, 1, -1, 2**62, 0.5, 1e999, "x", b"\x00\xff", b"", "[]", "{}", "null", '{"kept": 5}', '"x"')


def test_a_value_of_any_kind_in_any_column_ends_in_a_report(copied: Path, tmp_path: Path) -> None:
    """One value is broken at a time, three times in every column; what is no type of the column is named."""
    change(copied, "INSERT INTO api_keys VALUES (1, 'k', 'l', x'00', '[\"read\"]', 1.0, NULL, NULL)")
    change(copied, "INSERT INTO idempotency_keys VALUES ('k', 1, x'00', 200, x'00', NULL, 1.0)")
    assert verify_file(copied).faults == []
    source = random.Random(7)
    tried = named = 0
    for column in (column for table in Base.metadata.sorted_tables for column in table.columns):
        keys = ", ".join(key.name for key in column.table.primary_key)
        place = f"{column.table.name} SET {column.name} = ? WHERE ({keys}) IN "
        for value in source.sample(_WRONG, 3):
            broken = Path(shutil.copy(copied, tmp_path / f"{tried}.db"))
            try:
                change(broken, f"UPDATE {place} (SELECT {keys} FROM {column.table.name} LIMIT 1)", value)  # noqa: S608 - our own names
            except IntegrityError:  # SQLite itself does not take it
                continue
            faults = verify_file(broken).faults
            tried += 1
            named += any(f"{column.name} of a row of {column.table.name}" in fault for fault in faults)
    assert tried > 100
    assert named > tried / 3


def test_many_faults_of_a_kind_are_counted(copied: Path) -> None:
    change(copied, "UPDATE responses SET response = 7")
    report = verify_file(copied)
    assert "… and 1 more like the last" in report.faults


def test_digests_are_left_alone_when_what_they_were_of_has_changed(copied: Path) -> None:
    change(copied, "UPDATE users SET version = version + 1")
    change(copied, "UPDATE user_embeddings SET version = version + 1")
    change(copied, "UPDATE responses SET response = 0.5")
    change(copied, "UPDATE catalogs SET movies_version = movies_version + 1")
    change(copied, "UPDATE movies SET vector = zeroblob(length(vector))")
    report = verify_file(copied)
    assert report.faults == []
    assert "training 1: 3 users' embeddings, 0 movies', digests state" in report.checked


def test_what_was_deleted_leaves_a_whole_database(copied: Path) -> None:
    database = open_database(f"sqlite:///{copied}")
    with database.writing() as connection:
        delete_movie(connection, "films", "f0")
        delete_user(connection, "films", "u1")
    database.close()
    assert verify_file(copied).faults == []


def test_nothing_can_be_written_where_a_file_is_read(copied: Path) -> None:
    with read_file(copied) as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM users")
