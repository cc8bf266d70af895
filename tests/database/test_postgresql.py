"""PostgreSQL alone: connections that are lost, notifications, and what it may not be asked for."""

import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text

from app.database.database import Database
from app.database.notifications import Notifications, notify
from app.database.tables import Catalog
from app.database.urls import open_database, open_migrated
from app.errors import DatabaseUnusableError, Unavailable
from testbed.databases import url_for
from tests.support.command_line import Run

pytestmark = pytest.mark.postgresql

_END_ALL = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
A_CATALOG = {"catalog": "c", "title": "c", "dimensions": [], "created_at": 0.0}


def end_connections(database: Database) -> None:
    """End all connections but one of another pool's, as a server that is restarted does."""
    other = open_database(database.url.render_as_string(hide_password=False))
    with other.writing_fenced() as connection:
        connection.execute(_END_ALL)
    other.close()


def test_requests_are_answered_after_all_connections_were_lost(
    client: TestClient, database: Database
) -> None:
    path = "/v1/catalogs/c"
    assert client.put(path, json={"dimensions": ["dark"]}).status_code == 201
    for _ in range(3):
        end_connections(database)
        assert client.get(path).status_code == 200
        end_connections(database)
        assert client.put(f"{path}/movies/m", json={"vector": [1.0]}).status_code in {200, 201}


def test_a_write_that_loses_its_connection_is_unavailable_and_stores_nothing(database: Database) -> None:

    def write() -> None:
        with database.writing() as connection:
            connection.execute(insert(Catalog).values(A_CATALOG))
            end_connections(database)
            connection.execute(insert(Catalog).values({**A_CATALOG, "catalog": "d"}))

    with pytest.raises(Unavailable, match="was lost"):
        write()
    with database.writing() as connection:
        assert connection.execute(text("SELECT count(*) FROM catalogs")).scalar() == 0


def test_a_notification_arrives_at_once_and_again_after_a_lost_connection(database: Database) -> None:
    notifications = Notifications(database)
    notifications.open()
    count = notifications.count
    notifications.wait(count, 10)  # the start of listening counts too
    for _ in range(2):
        count = notifications.count
        with database.writing_fenced() as connection:
            notify(connection)
        began = time.monotonic()
        notifications.wait(count, 10)
        assert notifications.count > count
        assert time.monotonic() - began < 9
        count = notifications.count
        end_connections(database)
        notifications.wait(count, 10)
        assert notifications.count > count, "nobody listens again"
    notifications.close()


def test_a_transaction_that_is_rolled_back_sends_no_notification(database: Database) -> None:
    notifications = Notifications(database)
    notifications.open()
    notifications.wait(0, 10)
    count = notifications.count
    with database.writing_fenced() as connection:
        notify(connection)
        connection.rollback()
    notifications.wait(count, 0.3)
    assert notifications.count == count
    notifications.close()


def test_a_reader_goes_on_while_somebody_writes_and_keeps_its_one_state(database: Database) -> None:
    begun, written = threading.Event(), threading.Event()

    def write() -> None:
        begun.wait(5)
        with database.writing() as connection:
            connection.execute(insert(Catalog).values(A_CATALOG))
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    with database.reading() as connection:
        count = text("SELECT count(*) FROM catalogs")
        assert connection.execute(count).scalar() == 0
        begun.set()
        assert written.wait(5)
        assert connection.execute(count).scalar() == 0
        with pytest.raises(Exception, match="read-only"):
            connection.execute(text("DELETE FROM catalogs"))
    thread.join()


def test_backups_are_left_to_postgresqls_own_programs(likely: Run, tmp_path: Path) -> None:
    for command, program in (("backup", "pg_dump"), ("restore", "pg_restore")):
        done = likely(command, str(tmp_path / "file"))
        assert (done.status, done.out) == (1, "")
        assert program in done.err
    assert likely("demo").status == 0
    verified = likely("verify")
    assert verified.status == 0
    assert "has no faults" in verified.out


def test_a_server_that_does_not_answer_is_named_when_the_service_starts(tmp_path: Path) -> None:
    url_for(tmp_path)
    with pytest.raises(DatabaseUnusableError, match="cannot be opened"):
        open_migrated(f"postgresql://nobody@/none?host={tmp_path}")
