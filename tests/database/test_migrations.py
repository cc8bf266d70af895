"""The history of the tables: from empty to the newest, back, and forward again, with data in them."""

from collections.abc import Iterator
from pathlib import Path

import alembic.command
import alembic.config
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import select

from app.cli.demo import load_class
from app.database.database import MIGRATIONS, Database, newest_revision
from app.database.tables import Base, Catalog
from app.database.urls import open_database
from app.training.trainings import create_training
from testbed.databases import url_for


@pytest.fixture
def unmigrated(tmp_path: Path) -> Iterator[Database]:
    database = open_database(url_for(tmp_path, "empty.db"))
    yield database
    database.close()


def config() -> alembic.config.Config:
    found = alembic.config.Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return found


def check(database: Database) -> None:
    settings = config()
    with database.engine.connect() as connection:
        settings.attributes["connection"] = connection
        alembic.command.check(settings)


def downgrade(database: Database, revision: str) -> None:
    settings = config()
    with database.engine.connect() as connection:
        settings.attributes["connection"] = connection
        alembic.command.downgrade(settings, revision)


def dump(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def test_the_newest_revision_makes_exactly_the_tables_of_the_code(unmigrated: Database) -> None:
    unmigrated.migrate()
    check(unmigrated)


def test_each_revision_goes_back_and_forward_with_data_in_the_tables(unmigrated: Database) -> None:
    unmigrated.migrate()
    with unmigrated.writing() as connection:
        load_class(connection)
        create_training(connection, "class", "gradient_descent", {}, 1, serve=True)
    before = dump(unmigrated)
    newest, *older = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]
    for revision in older:  # below the first there are no tables to hold data
        downgrade(unmigrated, revision)
        unmigrated.migrate()
        assert dump(unmigrated) == before
    downgrade(unmigrated, "base")
    unmigrated.migrate(newest)
    check(unmigrated)
    assert not any(dump(unmigrated).values())


def test_migrating_twice_changes_nothing(unmigrated: Database) -> None:
    unmigrated.migrate()
    with unmigrated.writing() as connection:
        load_class(connection)
    before = dump(unmigrated)
    unmigrated.migrate()
    assert dump(unmigrated) == before


def test_the_files_names_say_which_revision_is_the_newest() -> None:
    assert newest_revision() == ScriptDirectory.from_config(config()).get_current_head()


def test_tables_that_are_up_to_date_are_not_migrated(
    unmigrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmigrated.migrate()
    upgrades: list[str] = []
    monkeypatch.setattr(alembic.command, "upgrade", lambda _, revision: upgrades.append(revision))
    unmigrated.migrate()
    assert not upgrades


@pytest.mark.sqlite
def test_foreign_keys_are_enforced_again_after_a_migration(unmigrated: Database) -> None:
    unmigrated.migrate()
    with unmigrated.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.scalar(select(Catalog.id)) is None
