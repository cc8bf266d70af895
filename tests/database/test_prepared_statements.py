"""Statements that the driver runs itself: what goes wrong in them that is our own mistake is not hidden."""

import pytest
from sqlalchemy import bindparam, select

from app.database.database import Database
from app.database.prepared_statements import Prepared, PreparedReads
from app.database.tables import Catalog

_BY_NAME = Prepared(select(Catalog.title).where(Catalog.catalog == bindparam("catalog")))


@pytest.mark.usefixtures("class_catalog")
def test_a_read_finds_what_is_there(database: Database) -> None:
    reads = PreparedReads(database)
    assert reads.row(_BY_NAME, {"catalog": "class"}) is not None
    assert reads.row(_BY_NAME, {"catalog": "none"}) is None
    reads.close()


def test_a_parameter_that_was_forgotten_is_no_database_that_cannot_be_used(database: Database) -> None:
    reads = PreparedReads(database)
    with pytest.raises(database.errors):
        reads.rows(_BY_NAME, {})
    assert reads.rows(_BY_NAME, {"catalog": "none"}) == [], "and the next one is answered"
    reads.close()
