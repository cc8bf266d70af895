"""Everything that the database holds, to compare before and after."""

from sqlalchemy import Connection, select

from app.database.database import Database
from app.database.tables import Base

Contents = dict[str, list[tuple[object, ...]]]


def contents(database: Database) -> Contents:
    """Return all rows of all tables."""
    with database.reading() as connection:
        return read_tables(connection)


def read_tables(connection: Connection) -> Contents:
    """Return all rows of all tables, as a transaction sees them."""
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for table in Base.metadata.sorted_tables
    }
