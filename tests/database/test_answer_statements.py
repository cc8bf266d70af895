"""What an answer costs in statements: a guard on counted work, since unit tests take no times."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from app.cli.demo import CATALOG, load_class
from app.cli.training_runs import run_training
from app.database.database import Database
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from app.settings import Settings

pytestmark = pytest.mark.sqlite  # its driver tells of each statement; the statements are the same


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that are run from here on."""
    run: list[str] = []

    def trace(connection: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.set_trace_callback(run.append)

    def untrace(connection: Any, _record: object) -> None:  # noqa: ANN401 - as above
        if connection is not None:
            connection.set_trace_callback(None)

    event.listen(database.engine, "checkout", trace)
    event.listen(database.engine, "checkin", untrace)
    yield run
    event.remove(database.engine, "checkout", trace)
    event.remove(database.engine, "checkin", untrace)


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_an_answer_takes_no_more_statements_than_it_needs(
    database: Database, statements: list[str], trainer: str
) -> None:
    models = TrainedModels()
    with database.writing() as connection:
        load_class(connection)
    run_training(database, Settings(), CATALOG, trainer, {}, 1, serve=True)
    coupled = trainer == "gradient_descent"  # its users' norms are summed: everybody's, less their own
    for response in (0.25, 0.75):
        with database.writing() as connection:
            statements.clear()
            put_response(connection, models, CATALOG, "0", "m0", response, None)
            needed = len(statements)
    # Catalog, movie, user, response before and now, version, what was known, answers, what is known.
    assert needed == 9 + 2 * coupled
