"""Runs the revisions on the connection that `app.database.database` hands over.

There is no alembic.ini: the service migrates itself at start-up, and `likely migrate` does the same.
"""

from alembic import context
from sqlalchemy import Connection

from app.database.tables import Base


def migrate(connection: Connection) -> None:
    """Run the revisions in one transaction that alone writes."""
    connection.commit()
    if connection.dialect.name == "sqlite":
        _migrate_sqlite(connection)
    else:
        from app.database.postgresql import lock_writers

        _configure(connection)
        with connection.begin():
            lock_writers(connection)
            context.run_migrations()


def _configure(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )


def _migrate_sqlite(connection: Connection) -> None:
    """Run the revisions with foreign keys unenforced and checked at its end.

    SQLite changes a table by making a new one and dropping the old. With foreign keys enforced, that drop
    would delete the rows that refer to the table. The switch works only outside a transaction.
    """
    raw = connection.connection.driver_connection
    assert raw is not None  # noqa: S101 - a connected Connection has one
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        writing = connection.execution_options(begin="IMMEDIATE")
        _configure(writing)
        with writing.begin():
            context.run_migrations()
            broken = writing.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise RuntimeError(f"the migration would leave {len(broken)} rows that refer to nothing")
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


migrate(context.config.attributes["connection"])
