"""Fitters: what runs a trainer's fit, in this process or on a Ray cluster, after its trial.

A trial is always run in this process, on a snapshot. Does not know the queue, nor how a trainer learns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from app.database.database import Database
from app.observability.tracing import span
from app.scoring.memory import Memory
from app.settings import Settings
from app.training.dataset import Seen, Snapshot, read_snapshot
from app.training.leases import Lease
from app.training.outlines import read_outline
from app.training.ray.cluster import connected
from app.training.trials import Verdict, find_champion, judge
from models.recommender.mixed_effects.trainer import MixedEffects
from models.recommender.trainer import Step, Trainer, TrainingResult

Report = Callable[[Step], None]
Check = Callable[[], None]


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    seen               what the training learned from
    vectors            float32 [movies, dimensions] of its movies
    threads            how many torch had
    timestamps_digest  of the responses' timestamps; None unless the holdout depends on them
    verdict            of the trial; None without a holdout
    """

    seen: Seen
    learned: TrainingResult
    vectors: torch.Tensor
    threads: int
    timestamps_digest: str | None
    verdict: Verdict | None


class Fitter(Protocol):
    """Fits one trainer to the responses of a training's catalog."""

    def fit(self, lease: Lease, report: Report, check: Check) -> Fitted:
        """Run the trial if there is a holdout, then the fit.

        ``report`` is called after each step, ``check`` often in between; both may raise to stop. Raises
        `TooLarge` before anything is read that does not fit into memory, `Unavailable` when the database or
        the cluster cannot be used, and as `judge` and `Trainer.fit`.
        """
        ...


def make_fitter(trainer: Trainer, database: Database, settings: Settings) -> Fitter:
    """Return the Ray fitter where there is a cluster and tasks for the trainer, else the local one."""
    if settings.ray_address is not None and isinstance(trainer, MixedEffects) and trainer.device == "cpu":
        return RayFitter(trainer, database, settings)
    return LocalFitter(trainer, database, settings)


class LocalFitter:
    """Fits in this process, on a snapshot of all responses."""

    def __init__(self, trainer: Trainer, database: Database, settings: Settings) -> None:
        self._trainer, self._database, self._settings = trainer, database, settings

    def fit(self, lease: Lease, report: Report, check: Check) -> Fitted:
        """Fit here; see `Fitter.fit`."""
        snapshot, threads, verdict = _run_trial(self._trainer, self._database, self._settings, lease, check)
        with span("fit"):
            result = self._trainer.fit(snapshot.responses, lease.seed, report)
        vectors, timestamps_digest = snapshot.responses.item_vectors, _timestamps_digest(snapshot, lease)
        return Fitted(snapshot, result, vectors, threads, timestamps_digest, verdict)


class RayFitter:
    """Fits on a Ray cluster, whose tasks read the responses by ranges of users."""

    def __init__(self, trainer: MixedEffects, database: Database, settings: Settings) -> None:
        self._trainer, self._database, self._settings = trainer, database, settings

    def fit(self, lease: Lease, report: Report, check: Check) -> Fitted:
        """Fit on the cluster; see `Fitter.fit`."""
        timestamps_digest, verdict = None, None
        if lease.holdout is not None:
            snapshot, _, verdict = _run_trial(self._trainer, self._database, self._settings, lease, check)
            timestamps_digest = _timestamps_digest(snapshot, lease)
            del snapshot  # its memory is free before the fit
        with self._database.reading() as connection:
            outline = read_outline(
                connection, lease.catalog_id, Memory.of(self._settings), self._trainer.sizes
            )
        torch.set_num_threads(1)  # as in the tasks: other sums are other bits
        with span("fit"), connected(self._settings):
            from app.training.ray import tasks  # it imports Ray, which is an extra

            address = tasks.Place(self._database.address, self._settings.busy_seconds)
            result, dataset = tasks.fit(self._trainer, outline, address, lease.seed, report, check)
        return Fitted(dataset, result, outline.movies.vectors, 1, timestamps_digest, verdict)


def _run_trial(
    trainer: Trainer, database: Database, settings: Settings, lease: Lease, check: Check
) -> tuple[Snapshot, int, Verdict | None]:
    """Read the responses, and run the trial if there is a holdout; return torch's threads too."""
    with database.reading() as connection:
        snapshot = read_snapshot(connection, lease.catalog_id, Memory.of(settings), trainer.sizes)
        champion = find_champion(connection, lease.catalog_id, trainer.device)
    threads = snapshot.responses.threads(settings.training_threads)
    torch.set_num_threads(threads)
    with span("judge"):
        return snapshot, threads, judge(lease, trainer, snapshot, champion, check)


def _timestamps_digest(snapshot: Snapshot, lease: Lease) -> str | None:
    by_time = lease.holdout is not None and lease.holdout.by == "time"
    return snapshot.timestamps_digest if by_time else None
