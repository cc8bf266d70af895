"""Whether a database is intact: its pages, what its rows refer to, its numbers, the trainings' digests.

Reads one snapshot, changes nothing, and neither migrates nor needs the service to be stopped.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from sqlalchemy import Connection, Select, func, inspect, or_, select
from sqlalchemy.exc import DatabaseError

from app.database import vectors
from app.database.database import Database, find_revisions
from app.database.sqlite import read_file
from app.database.tables import Catalog, Movie, Response, Serving, Training, User, UserEmbedding
from app.operations.column_types import check_types
from app.operations.stored_digests import CatalogDigests, check_digests
from app.operations.stored_trainings import StoredTraining, check_training, fault_in

_NAMED = 20  # of each kind of fault; the others are counted
_ROWS_AT_ONCE = 10_000


@dataclass
class Report:
    """What was checked, and the faults: a sentence each."""

    checked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What was checked, in one line."""
        return "; ".join(self.checked)

    def add(self, summary: str, faults: Iterable[str]) -> None:
        """Add a check and its faults; of many faults the first are named, the others counted."""
        remaining = iter(faults)
        self.faults += islice(remaining, _NAMED)
        more = sum(1 for _ in remaining)
        if more:
            self.faults.append(f"… and {more} more like the last")
        self.checked.append(summary)


def verify_file(path: Path) -> Report:
    """Verify a database file; what keeps it from being read is a fault too."""
    report = Report()
    with _read_faults(report), read_file(path) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        report.add(f"{pages:,} pages", _check_pages(connection))
        if not report.faults:  # else what is in the pages means nothing
            report.add("references between tables", _check_references(connection))
            _verify_revision(connection, report)
    return report


def verify_database(database: Database) -> Report:
    """Verify a database of a server, which checks pages and references itself."""
    report = Report()
    with _read_faults(report), database.reading() as connection:
        _verify_revision(connection, report)
    return report


@contextmanager
def _read_faults(report: Report) -> Iterator[None]:
    """Report a database that cannot be read: a broken row can read as anything."""
    try:
        yield
    except (DatabaseError, ValueError, OverflowError) as error:
        report.faults.append(f"it cannot be read to its end: {getattr(error, 'orig', error)}")


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
    else:
        faults = len(report.faults)
        if connection.dialect.name == "sqlite":  # a server stores no value of another type
            report.add("the type of every value", check_types(connection))
        if len(report.faults) == faults:  # else rows cannot be read as what they should be
            _verify_rows(connection, report)


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
    responses = connection.scalar(select(func.count()).select_from(Response))
    for summary, check in (
        (f"{responses:,} responses", _check_responses),
        ("users' versions", _check_versions),
        ("what serves", _check_servings),
    ):
        report.add(summary, check(connection))
    catalogs = CatalogDigests(connection)
    for training in _read_trainings(connection):
        fault = fault_in(training)
        if fault:  # its row says how to read the rest
            report.add(f"training {training.id}", [f"training {training.id}: {fault}"])
            continue
        summary, faults = check_training(connection, training)
        digests, differences = check_digests(connection, training, catalogs)
        suffix = f", digests {', '.join(digests)}" if digests else ""
        report.add(summary + suffix, chain(faults, differences))


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


def _read_trainings(connection: Connection) -> list[StoredTraining]:
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
    return [StoredTraining(*row) for row in rows]
