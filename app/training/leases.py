"""A worker's lease on a training: claiming, renewing, writing under it, releasing.

A lease is a time until which a training belongs to a worker, and a fencing token that counts the claims.
Every write names the token; a worker that was too slow, whose training was cancelled or whose catalog was
deleted, writes nothing and gets `LeaseLostError`. A training that was requeued waits until its lease ends,
and others are claimed meanwhile. Times are the database's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, and_, case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's too
from sqlalchemy.orm import aliased

from app.database.database import now
from app.database.notifications import notify
from app.database.tables import Training, TrainingStep
from models.recommender.holdout import Holdout
from models.recommender.trainer import Step

_EXHAUSTED = (
    "this training was begun {} times and came to no end: workers died, or the database could not be used, "
    "as the log says; `likely verify` looks for what is broken in it"
)
_UNREADABLE = "its holdout cannot be read; `likely verify` looks for what is broken in the database"
_LONGEST_WAIT = 60.0


class LeaseLostError(Exception):
    """The training is another worker's, or has ended; nothing was written."""


@dataclass(frozen=True)
class Lease:
    """A claimed training, and the token that every write under it names."""

    training: int
    token: int
    catalog_id: int
    trainer: str
    options: dict[str, Any]
    seed: int
    serve: bool
    if_better: bool
    holdout: Holdout | None = None


def _free(training: type[Training]) -> Any:  # noqa: ANN401 - SQLAlchemy's conditions have no public name
    over = training.lease_until < now()
    waits = and_(training.status == "queued", or_(training.lease_until.is_(None), over))
    return or_(waits, and_(training.status == "running", over))


def find_claimable(
    connection: Connection, only: int | None = None, *, for_update: bool = False
) -> int | None:
    """Return the oldest training that waits for a worker, or None.

    With ``for_update`` its row is locked until the transaction ends, and a row that another transaction has
    locked is skipped, so that two workers claim two trainings and none waits. SQLite has one lock for all.

    The trainings of one catalog run one after the other, so that the newest is the one that serves.
    """
    other = aliased(Training)
    earlier = (
        select(other.id)
        .where(
            other.catalog_id == Training.catalog_id,
            other.id < Training.id,
            other.status.in_(("queued", "running")),
        )
        .exists()
    )
    statement = select(Training.id).where(_free(Training), ~earlier).order_by(Training.id).limit(1)
    if only is not None:
        statement = statement.where(Training.id == only)
    if for_update:
        statement = statement.with_for_update(skip_locked=True)
    return connection.scalar(statement)


def claim(
    connection: Connection, worker: str, lease_seconds: float, attempts: int, only: int | None = None
) -> Lease | None:
    """Claim the oldest training that waits, or whose worker fell silent; None when there is none.

    A training that is taken up again starts over, so the steps reported before are forgotten. One that came
    to no end ``attempts`` times fails instead.
    """
    training = find_claimable(connection, only, for_update=True)
    if training is None:
        return None
    row = connection.execute(
        update(Training)
        .where(Training.id == training)
        .values(
            status="running",
            token=Training.token + 1,
            attempts=Training.attempts + 1,
            worker=worker,
            lease_until=now() + lease_seconds,
            started_at=now(),
            steps_done=0,
            loss=None,
        )
        .returning(
            Training.id,
            Training.token,
            Training.catalog_id,
            Training.trainer,
            Training.options,
            Training.seed,
            Training.serve,
            Training.if_better,
            Training.holdout,
            Training.attempts,
        )
    ).one()
    connection.execute(delete(TrainingStep).where(TrainingStep.training_id == training))
    lease = Lease(*row[:-2])
    if row.attempts > attempts:
        end(connection, lease, "failed", error=_EXHAUSTED.format(attempts))
        return None
    try:
        return lease if row.holdout is None else replace(lease, holdout=Holdout.model_validate(row.holdout))
    except ValidationError:  # a damaged row fails its own training, not the worker
        end(connection, lease, "failed", error=_UNREADABLE)
        return None


def report(connection: Connection, lease: Lease, steps: Sequence[Step], lease_seconds: float) -> None:
    """Write the steps done since the last report and renew the lease; raises `LeaseLostError`."""
    progress = {"steps_done": steps[-1].step, "loss": steps[-1].loss} if steps else {}
    _write(connection, lease, {"lease_until": now() + lease_seconds, **progress})
    if steps:
        connection.execute(
            insert(
                TrainingStep
            ).on_conflict_do_nothing(),  # a reporter and a publication may both bring a step
            [
                {
                    "training_id": lease.training,
                    "step": step.step,
                    "loss": step.loss,
                    "data_loss": step.data_loss,
                    "penalty": step.penalty,
                }
                for step in steps
            ],
        )


def end(
    connection: Connection,
    lease: Lease,
    status: str,
    *,
    metrics: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """End the training; raises `LeaseLostError`."""
    result = {"status": status, "metrics": metrics, "provenance": provenance, "error": error}
    _write(connection, lease, {**result, "ended_at": now(), "lease_until": None})


def release(connection: Connection, lease: Lease) -> None:
    """Return the training to the queue, as a worker does that is asked to stop; raises `LeaseLostError`."""
    values = {"status": "queued", "lease_until": None, "attempts": Training.attempts - 1}
    _write(connection, lease, values)


def requeue(connection: Connection, lease: Lease) -> None:
    """Return the training to the queue, to be tried again later; raises `LeaseLostError`.

    The attempt counts, and the backoff is as many seconds as there were attempts, a minute at most: a disk
    that fails for a while ends no training, and a training that cannot be read does not block the others.
    """
    wait = case((Training.attempts < _LONGEST_WAIT, Training.attempts), else_=_LONGEST_WAIT)
    _write(connection, lease, {"status": "queued", "lease_until": now() + wait})


def expire(connection: Connection, worker: str) -> None:
    """End the leases of a worker that has died, so that its trainings are claimed again at once."""
    connection.execute(
        update(Training)
        .where(Training.worker == worker, Training.status == "running")
        .values(lease_until=0.0)
    )


def _write(connection: Connection, lease: Lease, values: Mapping[str, Any]) -> None:
    result = connection.execute(
        update(Training)
        .where(Training.id == lease.training, Training.token == lease.token, Training.status == "running")
        .values(**values)
    )
    if result.rowcount == 0:
        raise LeaseLostError(f"training {lease.training} is no longer this worker's")
    if values.keys() - {"lease_until"}:  # a renewal is not worth a notification
        notify(connection)
