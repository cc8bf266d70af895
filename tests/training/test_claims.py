"""Claims where rows have locks of their own: no worker waits for another, nor for whoever writes."""

import pytest

from app.database.database import Database
from app.training import leases
from app.training.trainings import create_training

pytestmark = pytest.mark.postgresql


@pytest.fixture
def queued(database: Database, class_catalog: str) -> list[int]:
    """Two trainings of two catalogs: those of one catalog run one after the other."""
    from app.catalogs.catalogs import put_catalog

    with database.writing() as connection:
        put_catalog(connection, "other", None, ["dark"])
        return [
            create_training(connection, catalog, "gradient_descent", {}, 1, serve=True).id
            for catalog in (class_catalog, "other")
        ]


def test_two_workers_claim_two_trainings_at_once(database: Database, queued: list[int]) -> None:
    with database.writing_fenced() as first, database.writing_fenced() as second:
        claimed = [leases.claim(connection, "w", 5.0, 10) for connection in (first, second)]
        with database.writing_fenced() as third:
            assert leases.claim(third, "w", 5.0, 10) is None
    assert [lease and lease.training for lease in claimed] == queued


def test_a_lease_is_claimed_and_renewed_while_somebody_else_writes(
    database: Database, queued: list[int]
) -> None:
    with database.writing():
        with database.writing_fenced() as connection:
            lease = leases.claim(connection, "w", 5.0, 10)
        assert lease is not None
        with database.writing_fenced() as connection:
            leases.report(connection, lease, [], 5.0)
    assert lease.training == queued[0]


def test_a_stale_worker_writes_nothing_beside_the_one_that_has_the_lease(
    database: Database, queued: list[int]
) -> None:
    with database.writing_fenced() as connection:
        stale = leases.claim(connection, "slow", -1.0, 10, queued[0])
    with database.writing_fenced() as connection:
        current = leases.claim(connection, "w", 5.0, 10, queued[0])
    assert stale is not None
    assert current is not None
    with pytest.raises(leases.LeaseLostError), database.writing_fenced() as connection:
        leases.report(connection, stale, [], 5.0)
    with database.writing_fenced() as connection:
        leases.report(connection, current, [], 5.0)
