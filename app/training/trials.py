"""Trials of trainings: what they score on responses held out from them, and whether they beat what serves.

Both are measured on the same held-out responses: the serving training learned from all responses, so its
trainer learns once more without these. Does not know how a trainer learns, nor what is published.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from sqlalchemy import Connection, select

from app.catalogs.catalogs import find_catalog, find_catalog_by_key
from app.database.database import Database
from app.database.tables import Training
from app.errors import Conflict
from app.scoring.memory import Memory
from app.settings import Settings
from app.training.dataset import Snapshot, read_snapshot
from app.training.leases import Lease
from models.errors import DivergedError
from models.recommender.data import BadResponsesError
from models.recommender.devices import DeviceName
from models.recommender.holdout import Holdout
from models.recommender.trainer import Sizes, Trainer
from models.recommender.trainers import make_trainer
from models.recommender.trial import Split, Trial, run_trial, try_item_means


@dataclass(frozen=True)
class Champion:
    """The training that served when another one began."""

    id: int
    trainer: Trainer
    seed: int


@dataclass(frozen=True)
class Verdict:
    """The result of a trial: its metrics, and whether they are no worse than those of the training ``over``.

    ``over`` is None when nothing served; then anything is better.
    """

    held_out: dict[str, Any]
    over: int | None = None
    log_loss_over: float | None = None

    @property
    def better(self) -> bool:
        """Whether the log loss is not worse."""
        return self.log_loss_over is None or self.held_out["log_loss"] <= self.log_loss_over


def find_champion(connection: Connection, catalog_id: int, device: DeviceName) -> Champion | None:
    """Return the catalog's serving training, if there is one, to be learned again on ``device``."""
    catalog = find_catalog_by_key(connection, catalog_id)
    if catalog is None or catalog.serving is None:
        return None
    row = connection.execute(
        select(Training.trainer, Training.options, Training.seed).where(Training.id == catalog.serving)
    ).one()
    trainer = make_trainer(row.trainer, {**row.options, "device": device})
    return Champion(catalog.serving, trainer, row.seed)


def judge(
    lease: Lease,
    trainer: Trainer,
    snapshot: Snapshot,
    champion: Champion | None,
    check: Callable[[], None],
) -> Verdict | None:
    """Try the training on what it holds out, and the champion too if it must be beaten; None without holdout.

    ``check`` is called again and again and may raise to stop. Raises as `models.recommender.trial.run_trial`.
    """
    if lease.holdout is None:
        return None
    split = Split.of(snapshot.responses, snapshot.timestamps, lease.holdout, lease.seed)
    held_out = shown(run_trial(trainer, split, lease.seed, check))
    if champion is None or not lease.if_better:
        return Verdict(held_out)
    try:
        beaten = run_trial(champion.trainer, split, champion.seed, check)
    except (BadResponsesError, DivergedError):  # what serves could not be learned from these any more
        return Verdict(held_out, champion.id)
    return Verdict(held_out, champion.id, beaten.metrics.log_loss)


def compare(
    database: Database,
    catalog: str,
    trainers: Sequence[str],
    holdout: Holdout,
    seed: int,
    settings: Settings,
    check: Callable[[], None],
) -> dict[str, Trial]:
    """Try trainers on the same held-out responses of a catalog, and the movies' means; stores nothing.

    The settings say how many threads torch may use, and how much memory. Raises `NotFound`, `TooLarge`, and
    `Conflict` when nothing can be learned or measured.
    """
    try:
        with database.reading() as connection:
            catalog_row = find_catalog(connection, catalog)
            snapshot = read_snapshot(
                connection,
                catalog_row.id,
                Memory.of(settings),
                lambda dimensions: _largest(trainers, dimensions),
            )
        torch.set_num_threads(snapshot.responses.threads(settings.training_threads))
        split = Split.of(snapshot.responses, snapshot.timestamps, holdout, seed)
        trials = {str(name): run_trial(make_trainer(name, {}), split, seed, check) for name in trainers}
    except (BadResponsesError, DivergedError) as error:
        raise Conflict(str(error)) from error
    return {**trials, "the movie's mean": try_item_means(split, seed)}


def _largest(trainers: Sequence[str], dimensions: int) -> Sizes:
    """Return the sizes of the trainer with the largest posteriors."""
    return max(
        (make_trainer(str(name), {}).sizes(dimensions) for name in trainers),
        key=lambda sizes: sizes.embedding + sizes.factor,
    )


def shown(trial: Trial) -> dict[str, Any]:
    """Return a trial's measures by name, as a training's metrics show them."""
    rankings = asdict(trial.rankings)
    return {
        **asdict(trial.metrics),
        "ranked_users": rankings.pop("users"),
        **rankings,
        "reliability": [asdict(bin_) for bin_ in trial.reliability],
    }
