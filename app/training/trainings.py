"""Trainings as their askers see them: starting, reading, cancelling, and choosing the one that serves.

The row is the queue: a new row waits until a worker claims it. Does not know how workers run (`leases`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from app.catalogs.catalogs import find_catalog, mark_stale
from app.database.database import now
from app.database.notifications import notify
from app.database.tables import Serving, Training, TrainingStep
from app.errors import BadInput, Conflict, NotFound, Place
from app.training.metrics import METRICS, PROVENANCE, Metrics, Provenance
from models.recommender.devices import MissingDeviceError, find_device
from models.recommender.trainers import make_trainer

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
UNFINISHED = ("queued", "running")

# Whether scores come from a training that succeeded; if_better: when its held-out log loss is not worse
Serve = bool | Literal["if_better"]


@dataclass(frozen=True)
class TrainingRow:
    """A training as the API shows it; its id is the version of the model that it learns."""

    id: int
    catalog: str
    status: Status
    trainer: str
    options: dict[str, Any]
    seed: int
    serve: Serve
    holdout: dict[str, Any] | None
    steps_done: int
    steps_total: int
    loss: float | None
    metrics: Metrics | None
    provenance: Provenance | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Loss:
    """What a training reported after one step; loss = data_loss + penalty."""

    step: int
    loss: float
    data_loss: float
    penalty: float


def create_training(
    connection: Connection,
    catalog: str,
    trainer: str,
    options: Mapping[str, Any],
    seed: int,
    *,
    serve: Serve,
    holdout: Mapping[str, Any] | None = None,
) -> TrainingRow:
    """Put a training into the queue and return it.

    Raises `NotFound` for the catalog, `BadInput` when it is to be better without a holdout to say so,
    `Conflict` when it asks for a device that this machine does not have.
    """
    catalog_row = find_catalog(connection, catalog)
    checked_trainer = make_trainer(trainer, options)
    try:
        find_device(checked_trainer.device)
    except MissingDeviceError as error:
        raise Conflict(f"options.device: {error}", [Place(str(error), pointer="/options/device")]) from error
    if serve == "if_better" and holdout is None:
        raise BadInput(
            'serve "if_better" compares held-out log losses, so a holdout is required, '
            'for example {"fraction": 0.2, "by": "time"}',
            [Place("a holdout is needed", pointer="/holdout")],
        )
    training = connection.execute(
        insert(Training)
        .values(
            catalog_id=catalog_row.id,
            trainer=trainer,
            options=dict(options),
            seed=seed,
            serve=bool(serve),
            if_better=serve == "if_better",
            holdout=holdout,
            status="queued",
            steps_total=checked_trainer.steps_total,
            created_at=now(),
        )
        .returning(Training.id)
    ).scalar_one()
    notify(connection)
    return read_training(connection, catalog, training)


def read_training(connection: Connection, catalog: str, training: int) -> TrainingRow:
    """Return the training; raises `NotFound` for the catalog or the training."""
    return _shown(catalog, _find_training(connection, catalog, training))


def list_trainings(connection: Connection, catalog: str, limit: int, after: int | None) -> list[TrainingRow]:
    """Return up to ``limit`` trainings, the newest first, those older than ``after``."""
    catalog_row = find_catalog(connection, catalog)
    statement = select(*Training.__table__.columns).where(Training.catalog_id == catalog_row.id)
    if after is not None:
        statement = statement.where(Training.id < after)
    rows = connection.execute(statement.order_by(Training.id.desc()).limit(limit))
    return [_shown(catalog, row) for row in rows]


def find_oldest_unfinished(connection: Connection, catalog: str) -> int | None:
    """Return the catalog's training that is next to end, or None."""
    catalog_row = find_catalog(connection, catalog)
    return connection.scalar(
        select(func.min(Training.id)).where(
            Training.catalog_id == catalog_row.id, Training.status.in_(UNFINISHED)
        )
    )


def cancel_training(connection: Connection, catalog: str, training: int) -> TrainingRow:
    """Cancel a training that waits or runs. Its worker may not write any more, notices, and stops.

    Raises `NotFound`, and `Conflict` when it has ended.
    """
    row = _find_training(connection, catalog, training)
    if row.status not in UNFINISHED:
        raise Conflict(f"training {training} has ended already: it {_ended(row.status)}")
    connection.execute(
        update(Training)
        .where(Training.id == training)
        .values(status="cancelled", ended_at=now(), lease_until=None)
    )
    notify(connection)
    return read_training(connection, catalog, training)


def list_losses(connection: Connection, training: int, after: int = 0, limit: int = 1_000_000) -> list[Loss]:
    """Return what the training reported after step ``after``, in order."""
    rows = connection.execute(
        select(TrainingStep.step, TrainingStep.loss, TrainingStep.data_loss, TrainingStep.penalty)
        .where(TrainingStep.training_id == training, TrainingStep.step > after)
        .order_by(TrainingStep.step)
        .limit(limit)
    )
    return [Loss(*row) for row in rows]


def promote_training(connection: Connection, catalog: str, training: int) -> None:
    """Let scores come from this training from the next request on.

    Raises `NotFound`, and `Conflict` when it has not succeeded.
    """
    row = _find_training(connection, catalog, training)
    if row.status != "succeeded":
        raise Conflict(f"training {training} cannot serve: it {_ended(row.status)}; one that succeeded can")
    serve(connection, row.catalog_id, training)
    mark_stale(connection, row.catalog_id)  # whoever answered since that training


def serve(connection: Connection, catalog_id: int, training: int) -> None:
    """Switch the catalog's serving training, within the caller's transaction."""
    connection.execute(delete(Serving).where(Serving.catalog_id == catalog_id))
    connection.execute(insert(Serving).values(catalog_id=catalog_id, training_id=training))


def _find_training(connection: Connection, catalog: str, training: int) -> Row[Any]:
    catalog_row = find_catalog(connection, catalog)
    row = connection.execute(
        select(*Training.__table__.columns).where(
            Training.catalog_id == catalog_row.id, Training.id == training
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no training {training} in catalog {catalog!r}")
    return row


def _shown(catalog: str, row: Row[Any]) -> TrainingRow:
    return TrainingRow(
        id=row.id,
        catalog=catalog,
        status=row.status,
        trainer=row.trainer,
        options=row.options,
        seed=row.seed,
        serve="if_better" if row.if_better else row.serve,
        holdout=row.holdout,
        steps_done=row.steps_done,
        steps_total=row.steps_total,
        loss=row.loss,
        metrics=METRICS.validate_python(row.metrics),
        provenance=PROVENANCE.validate_python(row.provenance),
        error=row.error,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        started_at=_time(row.started_at),
        ended_at=_time(row.ended_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _ended(status: str) -> str:
    return {"cancelled": "was cancelled", "queued": "is queued", "running": "is running"}.get(status, status)
