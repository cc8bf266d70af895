"""The database as a file at a terminal: what the commands print, and how they end."""

import re
from pathlib import Path

import pytest

from app.database.sqlite import find_driver
from testbed.live import serving
from tests.support.command_line import Run
from tests.support.stored import change

pytestmark = pytest.mark.sqlite


def test_a_backup_is_written_verified_and_restored(likely: Run, tmp_path: Path) -> None:
    likely("demo")
    scores = likely("scores", "1").out
    wrote = likely("backup", str(tmp_path / "backup.db"))
    assert wrote.status == 0
    first, second = wrote.out.splitlines()
    assert re.fullmatch(rf"wrote {tmp_path}/backup\.db: [\d,]+ bytes", first)
    assert second.startswith("verified: ")
    assert second.endswith(
        "training 1: 3 users' embeddings, 0 movies', digests state, learned, vectors, responses"
    )
    again = likely("backup", str(tmp_path / "backup.db"))
    assert (again.status, again.err.splitlines()) == (
        1,
        [f"likely: {tmp_path}/backup.db is there already; name another file"],
    )
    refused = likely("restore", str(tmp_path / "backup.db"))
    assert (refused.status, refused.out) == (1, "")
    assert "--replace" in refused.err
    change(tmp_path / "likely.db", "DELETE FROM user_embeddings")
    restored = likely("restore", str(tmp_path / "backup.db"), "--replace")
    assert restored.out.startswith(f"restored {tmp_path}/likely.db from {tmp_path}/backup.db\nverified: ")
    assert restored.out.endswith(
        "\nit has no API keys: on a loopback address it is served to whoever reaches that\n"
    )
    assert likely("scores", "1").out == scores


def test_a_restore_says_how_many_keys_are_valid_again(likely: Run, tmp_path: Path) -> None:
    create = ("keys", "create", "--scope", "read", "--label")
    text = likely(*create, "one").out.strip()
    likely("keys", "revoke", likely(*create, "two").out.strip())
    likely("backup", str(tmp_path / "backup.db"))
    likely("keys", "revoke", text)
    restored = likely("restore", str(tmp_path / "backup.db"), "--replace")
    assert (
        "\n1 API key is valid in it, those revoked since the backup too; `likely keys` lists" in restored.out
    )
    assert likely("keys", "list").out.count("valid") == 1


def test_verifying_names_what_was_checked_and_each_fault(likely: Run, tmp_path: Path) -> None:
    likely("demo")
    whole = likely("verify")
    assert whole.status == 0
    assert "checked 3 movies of 'class'" in whole.out
    assert whole.out.endswith("likely.db has no faults\n")
    change(tmp_path / "likely.db", "UPDATE movies SET vector = x'0000c07f' WHERE movie IN ('m0', 'm1')")
    broken = likely("verify")
    assert broken.status == 1
    assert "fault: the vector of movie 'm0' of 'class' has 4 bytes, not 12" in broken.out
    assert "fault: the vector of movie 'm1' of 'class' has 4 bytes, not 12" in broken.out
    assert broken.err == ""
    assert likely("verify", "/no/such/file").err == "likely: there is no file /no/such/file\n"


def test_a_database_is_backed_up_as_it_is_and_not_migrated(likely: Run, tmp_path: Path) -> None:
    likely("migrate")
    change(tmp_path / "likely.db", "UPDATE alembic_version SET version_num = '0001'")
    wrote = likely("backup", str(tmp_path / "backup.db"))
    assert (wrote.status, wrote.err) == (0, "")
    assert "revision 0001 of the tables; more can be verified" in wrote.out
    connection = find_driver().connect(str(tmp_path / "likely.db"))
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    connection.close()


def test_a_running_service_is_backed_up_and_never_replaced(likely: Run, tmp_path: Path) -> None:
    likely("demo")
    with serving(tmp_path) as service:
        assert likely("backup", str(tmp_path / "backup.db")).status == 0
        refused = likely("restore", str(tmp_path / "backup.db"), "--replace")
        assert refused.status == 1
        assert "is in use; stop the service and its workers first" in refused.err
        put = service.http.put("/v1/catalogs/class/users/0/responses/m0", json={"response": 0.5})
        assert put.status_code == 200
    assert likely("restore", str(tmp_path / "backup.db"), "--replace").status == 0
