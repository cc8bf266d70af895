"""Whether a database is whole: its pages, what its rows refer to, its numbers, the trainings' digests.

Reads one state, changes nothing, and neither migrates nor needs the service to stand still. A digest of a
training is taken again where its provenance says that what it was taken of is still there: `state` always;
`learned` unless somebody was relearned or deleted since, or a movie was deleted; `responses` unless anybody
answered; `vectors` unless a movie changed. Does not know what is done about a fault.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    and_,
    case,
    func,
    inspect,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.exc import DatabaseError

from app.database import vectors
from app.database.database import Database, find_revisions
from app.database.sqlite import read_file
from app.database.tables import ApiKey, Base, Catalog, Movie, Response, Serving, Training, User, UserEmbedding
from app.operations.stored_trainings import CatalogDigests, KeptTraining, fault_in, verify_training

_NAMED = 20  # of each kind of fault; the others are counted
_ROWS_AT_ONCE = 10_000


@dataclass
class Report:
    """What was looked at, and what was wrong: a sentence each."""

    checked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What was looked at, in one line."""
        return "; ".join(self.checked)

    def add(self, summary: str, faults: Iterable[str]) -> None:
        """Take what one look found; of many faults the first are named."""
        remaining = iter(faults)
        self.faults += islice(remaining, _NAMED)
        more = sum(1 for _ in remaining)
        if more:
            self.faults.append(f"… and {more} more like the last")
        self.checked.append(summary)


def verify_file(path: Path) -> Report:
    """Look through a database file; what keeps it from being read is a fault too."""
    report = Report()
    try:
        with read_file(path) as connection:
            _verify(connection, report)
    except (DatabaseError, ValueError, OverflowError) as error:  # a broken row can read as anything
        message = getattr(error, "orig", error)
        report.faults.append(f"it cannot be read to its end: {message}")
    return report


def verify_database(database: Database) -> Report:
    """Look through a database that is no file; its pages and references are its server's to look after."""
    report = Report()
    try:
        with database.reading() as connection:
            _verify_revision(connection, report)
    except (DatabaseError, ValueError, OverflowError) as error:
        report.faults.append(f"it cannot be read to its end: {getattr(error, 'orig', error)}")
    return report


def _verify(connection: Connection, report: Report) -> None:
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    report.add(f"{pages:,} pages", _check_pages(connection))
    if report.faults:  # what else is in them is no use to anybody
        return
    report.add("references between tables", _check_references(connection))
    _verify_revision(connection, report)


def _verify_revision(connection: Connection, report: Report) -> None:
    revisions, newest = find_revisions()
    revision = _read_revision(connection)
    if revision is None or revision not in revisions:
        report.faults.append(
            "it is no database of Likely"
            if revision is None
            else f"it was written by another version of Likely: there is no revision {revision!r} here"
        )
    elif revision != newest:
        report.checked.append(
            f"revision {revision} of the tables; more can be verified when `likely migrate` made it {newest}"
        )
    elif _has_types(connection, report):
        _verify_rows(connection, report)


def _has_types(connection: Connection, report: Report) -> bool:
    """Look at the types of all values: one of another type cannot be read as what it should be.

    A server keeps none; SQLite keeps whatever it is given.
    """
    if connection.dialect.name != "sqlite":
        return True
    before = len(report.faults)
    report.add("the type of every value", check_types(connection))
    return len(report.faults) == before


def _check_pages(connection: Connection) -> Iterator[str]:
    for (message,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if message != "ok":
            yield f"integrity: {message}"


def _check_references(connection: Connection) -> Iterator[str]:
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"a row of {table}{f' ({row})' if row else ''} refers to no row of {parent}"


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if revision is None else str(revision)


def _verify_rows(connection: Connection, report: Report) -> None:
    for catalog in connection.execute(select(Catalog.id, Catalog.catalog, Catalog.dimensions)).all():
        movies = select(Movie.movie, Movie.vector).where(Movie.catalog_id == catalog.id)
        count = connection.scalar(select(func.count()).where(Movie.catalog_id == catalog.id))
        report.add(
            f"{count:,} movies of {catalog.catalog!r}",
            _check_vectors(connection, movies, catalog.catalog, len(catalog.dimensions)),
        )
    answers = connection.scalar(select(func.count()).select_from(Response))
    report.add(f"{answers:,} responses", _check_responses(connection))
    report.add("users' versions", _check_versions(connection))
    report.add("what serves", _check_servings(connection))
    digests = CatalogDigests(connection)
    for training in _read_trainings(connection):
        wrong = fault_in(training)
        if wrong:  # what is in its row says how to read the rest
            report.add(f"training {training.id}", [f"training {training.id}: {wrong}"])
            continue
        summary, faults = verify_training(connection, training, digests)
        report.add(summary, faults)


def _check_vectors(
    connection: Connection, movies: Select[str, bytes], catalog: str, dimensions: int
) -> Iterator[str]:
    for row in connection.execute(movies.execution_options(yield_per=_ROWS_AT_ONCE)):
        wrong = vectors.fault_in(row.vector, dimensions)
        if wrong:
            yield f"the vector of movie {row.movie!r} of {catalog!r} {wrong}"


def _check_responses(connection: Connection) -> Iterator[str]:
    elsewhere = User.catalog_id != Movie.catalog_id
    outside = or_(Response.response < 0, Response.response > 1, Response.response.is_(None))
    for row in connection.execute(
        select(User.user, Movie.movie, elsewhere.label("elsewhere"))
        .select_from(Response)
        .join(User, User.id == Response.user_id)
        .join(Movie, Movie.id == Response.movie_id)
        .where(or_(elsewhere, outside))
    ):
        why = "crosses catalogs" if row.elsewhere else "is no number from 0 to 1"
        yield f"the response of user {row.user!r} to {row.movie!r} {why}"


def _check_versions(connection: Connection) -> Iterator[str]:
    for row in connection.execute(
        select(UserEmbedding.training_id, User.user)
        .join(User, User.id == UserEmbedding.user_id)
        .where(UserEmbedding.version > User.version)
    ):
        yield f"the embedding of user {row.user!r} in training {row.training_id} is ahead of the user"


def _check_servings(connection: Connection) -> Iterator[str]:
    for row in connection.execute(
        select(Serving.training_id, Catalog.catalog)
        .join(Training, Training.id == Serving.training_id)
        .join(Catalog, Catalog.id == Serving.catalog_id)
        .where(or_(Training.status != "succeeded", Training.catalog_id != Serving.catalog_id))
    ):
        yield f"training {row.training_id} serves {row.catalog!r}, and is none of it that succeeded"


def _read_trainings(connection: Connection) -> list[KeptTraining]:
    rows = connection.execute(
        select(
            Training.id,
            Training.trainer,
            Training.options,
            Training.status,
            Training.metrics,
            Training.provenance,
            Catalog.id,
            Catalog.dimensions,
        )
        .join(Catalog, Catalog.id == Training.catalog_id)
        .order_by(Training.id)
    ).all()
    return [KeptTraining(*row) for row in rows]


_CHECKED_AT_ONCE = 10_000
_LISTS = {Catalog.__table__.c.dimensions, ApiKey.__table__.c.scopes}
_WORDS = {
    "null": "nothing",
    "integer": "an integer",
    "real": "a number",
    "text": "text",
    "blob": "bytes",
    "boolean": "true or false",
    "object": "a JSON object",
    "false": "a JSON truth value",
    "true": "a JSON truth value",
    "array": "a JSON list",
    "texts": "a JSON list of texts",
}


def check_types(connection: Connection) -> Iterator[str]:
    """Yield a sentence for every value that is not of its column's type."""
    for table in Base.metadata.sorted_tables:
        yield from _check_table(connection, table)


def _check_table(connection: Connection, table: Table) -> Iterator[str]:
    columns: Sequence[Column[Any]] = list(table.columns)
    types = [_type_of(column) for column in columns]
    wrong = [kind.not_in(_allowed(column)) for column, kind in zip(columns, types, strict=True)]
    keys = [type_coerce(key, String) for key in table.primary_key]
    rows = connection.execute(
        select(*keys, *types).where(or_(*wrong)).execution_options(yield_per=_CHECKED_AT_ONCE)
    )
    for row in rows:
        row_name = ", ".join(str(key) for key in row[: len(keys)])
        for column, kind in zip(columns, row[len(keys) :], strict=True):
            if kind not in _allowed(column):
                expected, actual = _WORDS[_kind(column)], _WORDS.get(kind, kind)
                yield f"{column.name} of a row of {table.name} ({row_name}) is {actual}, not {expected}"


def _kind(column: Column[Any]) -> str:
    """Return the type of what a column holds, as `_type_of` names it."""
    kinds = {Boolean: "boolean", Integer: "integer", Float: "real", LargeBinary: "blob", String: "text"}
    if isinstance(column.type, JSON):
        return "texts" if column in _LISTS else "object"
    return next(kind for column_type, kind in kinds.items() if isinstance(column.type, column_type))


def _allowed(column: Column[Any]) -> set[str]:
    return {_kind(column), "null"} if column.nullable else {_kind(column)}


def _type_of(column: Column[Any]) -> ColumnElement[str]:
    """Return the type of a value, in a word; what stands for JSON is looked into."""
    kind: ColumnElement[str] = func.typeof(column)
    if isinstance(column.type, JSON):
        return case(
            (kind != "text", kind), (func.json_valid(column) == 0, "no JSON"), else_=_json_type(column)
        )
    if isinstance(column.type, Boolean):
        number = type_coerce(column, Integer)
        return case((and_(kind == "integer", number.in_((0, 1))), "boolean"), else_=kind)
    return kind


def _json_type(column: Column[Any]) -> ColumnElement[str]:
    kind: ColumnElement[str] = func.json_type(column)
    if column not in _LISTS:
        return kind
    elements = func.json_each(column).table_valued("type")
    wrong_elements = select(literal(1)).select_from(elements).where(elements.c.type != "text").exists()
    return case((and_(kind == "array", ~wrong_elements), "texts"), else_=kind)
