"""`likely backup` and `likely restore`: whole or not at all, never over what is there or in use."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from app.database.sqlite import find_driver, read_file
from app.database.urls import open_migrated
from app.errors import Conflict, NotFound, Unavailable
from app.observability.logs import configure_logs
from app.operations.backups import back_up, restore
from app.operations.verification import verify_file
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from app.settings import Settings
from tests.support.storage import read_tables
from tests.support.stored import change, store_two_catalogs

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of two trained catalogs."""
    folder = tmp_path_factory.mktemp("backup")
    store_two_catalogs(Settings(database_url=f"sqlite:///{folder}/likely.db", poll_seconds=0.01))
    back_up(folder / "likely.db", folder / "backup.db")
    (folder / "likely.db").unlink()
    return folder / "backup.db"


@pytest.fixture
def live(backup: Path, tmp_path: Path) -> Path:
    """A database restored from it."""
    restore(backup, tmp_path / "likely.db", replace=False)
    return tmp_path / "likely.db"


def read(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with read_file(path) as connection:
        return read_tables(connection)


def only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_backup_is_one_file_that_any_sqlite_reads(backup: Path) -> None:
    assert backup.read_bytes()[18:20] == b"\x01\x01", "it would want a -wal beside it"
    assert only(backup.parent, "backup.db")


def test_a_restored_backup_holds_what_the_database_held(backup: Path, live: Path) -> None:
    assert read(live) == read(backup)
    assert verify_file(live).faults == []


def test_a_backup_and_what_is_restored_are_for_their_owner_only(backup: Path, live: Path) -> None:
    assert [path.stat().st_mode & 0o777 for path in (backup, live)] == [0o600, 0o600]


def test_a_backup_is_one_state_while_others_write(live: Path, tmp_path: Path) -> None:
    database = open_migrated(f"sqlite:///{live}")
    models, stop = TrainedModels(), threading.Event()

    def write() -> None:  # each transaction makes a pair; half of one is in no state
        number = 0
        while not stop.is_set():
            number += 1
            with database.writing() as connection:
                for movie in ("m0", "m1"):
                    put_response(connection, models, "class", f"w{number}", movie, 1.0, None)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(live, tmp_path / f"{number}.db")
    finally:
        stop.set()
        writer.join()
    database.close()
    written = [
        len([row for row in read(tmp_path / f"{number}.db")["users"] if str(row[2]).startswith("w")])
        for number in range(5)
    ]
    assert written == sorted(written)
    assert written[-1] > 0
    for number, users in enumerate(written):
        assert len(read(tmp_path / f"{number}.db")["responses"]) == 21 + 2 * users


def test_a_backup_is_never_written_over_a_file(live: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("precious")
    with pytest.raises(Conflict, match="is there already; name another file"):
        back_up(live, there)
    assert there.read_text() == "precious"


def test_a_file_that_came_meanwhile_is_left_as_it_is(
    live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"

    def verify_slowly(path: Path) -> object:
        there.write_text("precious")
        return verify_file(path)

    monkeypatch.setattr("app.operations.backups.verify_file", verify_slowly)
    with pytest.raises(Conflict, match="came to be while it was written"):
        back_up(live, there)
    assert there.read_text() == "precious"
    assert only(tmp_path, "likely.db", "there")


def test_a_backup_that_fails_leaves_nothing(live: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    change(live, "UPDATE movies SET vector = x'0000c07f'")
    with pytest.raises(Conflict, match="has faults"):
        back_up(live, out / "backup.db")
    with pytest.raises(Unavailable, match="cannot be written: No such file or directory"):
        back_up(live, tmp_path / "no" / "such" / "backup.db")
    with pytest.raises(NotFound, match="there is no database at"):
        back_up(tmp_path / "nothing.db", out / "backup.db")
    assert only(out)
    assert not (tmp_path / "nothing.db").exists()


def test_a_backup_is_durable_before_it_has_its_name(
    live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, link = os.fsync, os.link

    def note_sync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112 - a link
        sync(handle)

    def note_link(source: Path, target: Path) -> None:
        done.append("name")
        link(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_link)
    back_up(live, tmp_path / "backup.db")
    assert done == ["file", "name", "folder"]


def test_what_was_deleted_is_in_no_page_of_a_backup(live: Path, tmp_path: Path) -> None:
    change(live, "UPDATE catalogs SET title = ? WHERE id = 1", "forget-me-please" * 20)
    change(live, "UPDATE catalogs SET title = 'class' WHERE id = 1")
    back_up(live, tmp_path / "backup.db")
    assert b"forget-me-please" not in (tmp_path / "backup.db").read_bytes()


def test_a_database_that_is_there_is_replaced_only_when_asked(backup: Path, live: Path) -> None:
    change(live, "DELETE FROM responses")
    with pytest.raises(Conflict, match="--replace puts the backup in its place"):
        restore(backup, live, replace=False)
    assert read(live)["responses"] == []
    restore(backup, live, replace=True)
    assert read(live) == read(backup)


def test_a_database_in_use_is_not_replaced(backup: Path, live: Path) -> None:
    database = open_migrated(f"sqlite:///{live}")
    before = live.stat().st_ino
    with pytest.raises(Conflict, match="is in use; stop the service and its workers first"):
        restore(backup, live, replace=True)
    assert live.stat().st_ino == before
    with database.writing() as connection:  # and it goes on
        put_response(connection, TrainedModels(), "class", "0", "m0", 0.5, None)
    database.close()
    restore(backup, live, replace=True)
    assert read(live) == read(backup)


def test_what_a_killed_service_left_in_its_log_does_not_come_back(backup: Path, live: Path) -> None:
    pid = os.fork()
    if pid == 0:  # a process that dies with a write in the -wal
        connection = sqlite3.connect(live, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM responses")
        os._exit(0)
    os.waitpid(pid, 0)
    assert (live.parent / "likely.db-wal").stat().st_size > 0
    restore(backup, live, replace=True)
    assert read(live) == read(backup)


def test_a_log_without_its_database_does_not_come_back_either(backup: Path, live: Path) -> None:
    folder = live.parent
    connection = find_driver().connect(str(live), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("DELETE FROM responses")
    orphan = (folder / "likely.db-wal").read_bytes()
    connection.close()
    live.unlink()
    (folder / "likely.db-wal").write_bytes(orphan)
    restore(backup, live, replace=False)
    assert read(live) == read(backup)


def test_a_database_that_cannot_be_read_is_put_aside(backup: Path, live: Path) -> None:
    live.write_bytes(b"I am a letter, and quite a long one. " * 300)
    restore(backup, live, replace=True)
    assert read(live) == read(backup)
    assert (live.parent / "likely.db.unreadable").read_bytes().startswith(b"I am a letter")


def test_a_backup_with_faults_is_not_restored(backup: Path, live: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(backup.read_bytes())
    change(broken, "UPDATE movies SET vector = x'0000c07f'")
    before = live.read_bytes()
    with pytest.raises(Conflict, match="has faults and was not restored"):
        restore(broken, live, replace=True)
    with pytest.raises(Conflict, match="has faults and was not restored"):
        restore(broken, tmp_path / "new.db", replace=False)
    with pytest.raises(NotFound, match="there is no backup at"):
        restore(tmp_path / "nothing.db", live, replace=True)
    assert live.read_bytes() == before
    assert only(tmp_path, "likely.db", "broken.db")


def test_a_new_database_and_its_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_migrated(f"sqlite:///{tmp_path}/new.db")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    database.close()
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_a_database_that_others_could_use_is_taken_from_them(
    live: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("warning")
    live.chmod(0o664)
    open_migrated(f"sqlite:///{live}").close()
    open_migrated(f"sqlite:///{live}").close()
    assert live.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr()
    assert (said.out + said.err).count("others could use a file of the database") == 1
