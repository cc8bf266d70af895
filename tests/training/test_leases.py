"""Leases: who may run a training, who may write, and what happens to those who may not any more."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.catalogs.catalogs import put_catalog
from app.database.database import Database
from app.database.tables import Training
from app.training import leases
from app.training.leases import Lease, LeaseLostError
from app.training.trainings import cancel_training, create_training, list_losses
from models.recommender.trainer import Step

STEP = Step(1, 3.0, 2.0, 1.0)


@pytest.fixture
def queued(database: Database, class_catalog: str) -> int:
    return enqueue(database, class_catalog)


def enqueue(database: Database, catalog: str) -> int:
    with database.writing() as connection:
        return create_training(connection, catalog, "gradient_descent", {}, 1, serve=True).id


def claim(
    database: Database, worker: str = "w", lease_seconds: float = 60, attempts: int = 5
) -> Lease | None:
    with database.writing() as connection:
        return leases.claim(connection, worker, lease_seconds, attempts)


def row(database: Database, training: int) -> Any:  # noqa: ANN401 - a row of all columns
    with database.reading() as connection:
        return connection.execute(select(*Training.__table__.columns).where(Training.id == training)).one()


def expire(database: Database, training: int) -> None:
    with database.writing() as connection:
        connection.execute(update(Training).where(Training.id == training).values(lease_until=1.0))


def test_a_training_is_claimed_once(database: Database, queued: int) -> None:
    lease = claim(database)
    assert lease is not None
    assert (lease.training, lease.token) == (queued, 1)
    assert claim(database, "another") is None


def test_a_training_whose_lease_ended_is_claimed_again_and_starts_over(
    database: Database, queued: int
) -> None:
    stale = claim(database)
    assert stale is not None
    with database.writing() as connection:
        leases.report(connection, stale, [STEP], lease_seconds=60)
    expire(database, queued)
    fresh = claim(database, "another")
    assert fresh is not None
    assert (fresh.training, fresh.token) == (queued, 2)
    with database.reading() as connection:
        assert list_losses(connection, queued) == []


def test_a_stale_worker_writes_nothing(database: Database, queued: int) -> None:
    stale = claim(database)
    assert stale is not None
    expire(database, queued)
    fresh = claim(database, "another")
    assert fresh is not None
    before = row(database, queued)
    with pytest.raises(LeaseLostError), database.writing() as connection:
        leases.report(connection, stale, [STEP], lease_seconds=60)
    with pytest.raises(LeaseLostError), database.writing() as connection:
        leases.end(connection, stale, "succeeded")
    with pytest.raises(LeaseLostError), database.writing() as connection:
        leases.release(connection, stale)
    with pytest.raises(LeaseLostError), database.writing() as connection:
        leases.requeue(connection, stale)
    assert row(database, queued) == before


def test_a_cancelled_training_takes_no_more_writes(database: Database, queued: int) -> None:
    lease = claim(database)
    assert lease is not None
    with database.writing() as connection:
        cancel_training(connection, "class", queued)
    with pytest.raises(LeaseLostError), database.writing() as connection:
        leases.report(connection, lease, [STEP], lease_seconds=60)
    assert row(database, queued).status == "cancelled"
    assert claim(database) is None


def test_a_report_renews_the_lease(database: Database, queued: int) -> None:
    lease = claim(database, lease_seconds=0.001)
    assert lease is not None
    before = row(database, queued).lease_until
    with database.writing() as connection:
        leases.report(connection, lease, [STEP], lease_seconds=60)
    after = row(database, queued)
    assert after.lease_until > before + 50
    assert (after.steps_done, after.loss) == (1, 3.0)
    assert claim(database, "another") is None


def test_trainings_of_one_catalog_run_one_after_the_other(database: Database, queued: int) -> None:
    second = enqueue(database, "class")
    with database.writing() as connection:
        put_catalog(connection, "other", None, ["d"])
    elsewhere = enqueue(database, "other")
    first = claim(database)
    assert first is not None
    assert first.training == queued
    beside = claim(database)
    assert beside is not None
    assert beside.training == elsewhere, "another catalog does not wait"
    assert claim(database) is None, "the second training waits for the first"
    with database.writing() as connection:
        leases.end(connection, first, "failed", error="for the test")
    following = claim(database)
    assert following is not None
    assert following.training == second


def test_a_training_that_kills_its_workers_fails_in_the_end(database: Database, queued: int) -> None:
    for _ in range(2):
        assert claim(database, attempts=2) is not None
        expire(database, queued)
    assert claim(database, attempts=2) is None
    failed = row(database, queued)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "begun 2 times and came to no end" in failed.error


def test_a_training_given_back_does_not_count_as_a_death(database: Database, queued: int) -> None:
    for _ in range(4):
        lease = claim(database, attempts=2)
        assert lease is not None
        with database.writing() as connection:
            leases.release(connection, lease)
    assert row(database, queued).status == "queued"


def test_a_training_put_off_waits_longer_each_time_and_fails_in_the_end(
    database: Database, queued: int
) -> None:
    with database.writing() as connection:
        connection.execute(update(Training).values(attempts=29))
    for attempt in (30, 31):
        lease = claim(database, attempts=31)
        assert lease is not None
        with database.writing() as connection:
            leases.requeue(connection, lease)
        put_off = row(database, queued)
        assert put_off.status == "queued"
        assert attempt - 0.1 < put_off.lease_until - put_off.started_at < attempt + 10
        assert claim(database, attempts=31) is None, "it waits"
        expire(database, queued)
    assert claim(database, attempts=31) is None
    assert row(database, queued).status == "failed"


def test_the_leases_of_a_dead_worker_end_at_once(database: Database, queued: int) -> None:
    assert claim(database, "dead") is not None
    with database.writing() as connection:
        leases.expire(connection, "dead")
    again = claim(database, "alive")
    assert again is not None
    assert again.training == queued
