"""The worker: claims trainings from the queue, runs and publishes them; folds stale users in between.

Training happens in the caller's thread. A second thread writes the losses, renews the lease and detects that
the training was cancelled.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import structlog
from sqlalchemy import Connection, Update, select, update

from app.catalogs.catalogs import CatalogRow, find_catalog_by_key
from app.database.database import Database
from app.database.notifications import Notifications
from app.database.tables import Catalog
from app.errors import TooLarge, Unavailable
from app.observability.tracing import span
from app.scoring.fold_in import fold_in_stale, store_if_current
from app.scoring.memory import Memory
from app.scoring.model_cache import TrainedModels
from app.scoring.movie_index import measure_index
from app.settings import Settings
from app.training import leases
from app.training.fitting import make_fitter
from app.training.leases import Lease, LeaseLostError
from app.training.provenance import describe
from app.training.publishing import Publication
from models.errors import DivergedError
from models.recommender.data import BadResponsesError
from models.recommender.devices import MissingDeviceError
from models.recommender.trainer import Step
from models.recommender.trainers import make_trainer

log = structlog.get_logger()

_FOLDED_IN_AT_ONCE = 50
_STOP_POLL_SECONDS = 0.1  # between checks of `stop` while it waits for a notification
_BACKOFF_SECONDS = 1.0  # after a database that cannot be used


class StoppedError(Exception):
    """The worker was asked to stop while a training ran."""


class Reporter:
    """Writes a trainer's steps to the database, and raises in the trainer when the training is to stop."""

    def __init__(self, database: Database, lease: Lease, settings: Settings, stop: threading.Event) -> None:
        self._database, self._lease, self._settings, self._stop = database, lease, settings, stop
        self._unwritten: list[Step] = []
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write_regularly, name="reporter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def __call__(self, step: Step) -> None:
        """Take one step; raises as `check`."""
        self._unwritten.append(step)
        self.check()

    def check(self) -> None:
        """Raise `LeaseLostError` or `StoppedError` when the training is to end here."""
        if self._lost.is_set():
            raise LeaseLostError(f"training {self._lease.training} is no longer this worker's")
        if self._stop.is_set():
            raise StoppedError

    def unwritten(self) -> list[Step]:
        """Return the steps that may not be written yet."""
        return list(self._unwritten)

    def _write_regularly(self) -> None:
        # Often enough to notice a cancelled training well within a second.
        renew_after = min(0.5, self._settings.lease_seconds / 4)
        renewed_at = 0.0
        while not self._done.wait(min(self._settings.poll_seconds, renew_after)):
            _touch_heartbeat(self._settings)
            steps = list(self._unwritten)
            if not steps and time.monotonic() - renewed_at < renew_after:
                continue
            try:
                with self._database.writing_fenced() as connection:
                    leases.report(connection, self._lease, steps, self._settings.lease_seconds)
            except LeaseLostError:
                self._lost.set()
                return
            except Unavailable as error:  # tried again; if it lasts, the lease ends
                log.warning("losses not written", training=self._lease.training, error=error.detail)
                continue
            del self._unwritten[: len(steps)]
            renewed_at = time.monotonic()


class Worker:
    """Runs trainings of one database until ``stop`` is set."""

    def __init__(self, database: Database, settings: Settings, name: str) -> None:
        self._database, self._settings, self._name = database, settings, name
        self._models = TrainedModels(Memory.of(settings))
        self._folded_in = 0  # the catalog that had its turn last
        self.stop = threading.Event()

    def run(self) -> None:
        """Run trainings as they come; return soon after ``stop`` is set."""
        notifications = Notifications(self._database)
        notifications.open()
        try:
            while not self.stop.is_set():
                count = notifications.count
                _touch_heartbeat(self._settings)
                try:
                    if self.run_next() or self.fold_in_some():
                        continue
                except Unavailable as error:
                    log.warning("the worker waits for the database", error=error.detail)
                    self.stop.wait(_BACKOFF_SECONDS)
                self._wait_for_notification(notifications, count)
        finally:
            notifications.close()

    def _wait_for_notification(self, notifications: Notifications, count: int) -> None:
        """Wait until it is time to poll, a notification comes, or the worker is to stop."""
        if not self._database.sends_notifications:
            self.stop.wait(self._settings.poll_seconds)
            return
        until = time.monotonic() + self._settings.poll_seconds
        while not self.stop.is_set() and notifications.count == count:
            seconds_left = until - time.monotonic()
            if seconds_left <= 0:
                return
            notifications.wait(count, min(seconds_left, _STOP_POLL_SECONDS))

    def run_next(self, only: int | None = None, watch: Callable[[Step], None] | None = None) -> bool:
        """Run the next training in the queue, or the one given; return whether there was one.

        ``watch`` is called after each of its steps.
        """
        lease = self._claim(only)
        if lease is None:
            return False
        log.info("training started", training=lease.training, trainer=lease.trainer)
        training_span = span("training", root=True, trainer=lease.trainer)
        with (
            training_span,
            self._surviving("training", lambda error: self._fail(lease, f"internal error: {error}")),
        ):
            try:
                self._train(lease, watch)
            except LeaseLostError:
                log.info("training was cancelled or taken over", training=lease.training)
            except StoppedError:
                self._under(lease, leases.release)
                log.info("training given back", training=lease.training)
            except Unavailable as error:
                self._under(lease, leases.requeue)
                log.warning("training put off", training=lease.training, error=error.detail)
            except (BadResponsesError, DivergedError, MissingDeviceError, TooLarge) as error:
                self._fail(lease, str(error))
        return True

    @contextmanager
    def _surviving(self, work: str, on_failure: Callable[[str], None]) -> Iterator[None]:
        """Let a bug end the work, not the worker; ``on_failure`` gets the exception's class name."""
        try:
            yield
        except Unavailable:
            raise
        except Exception as error:
            log.exception("%s failed", work)
            on_failure(type(error).__name__)

    def fold_in_some(self) -> bool:
        """Store some embeddings that bulk changes left stale; return whether there were any."""
        with self._database.reading() as connection:
            key = connection.scalar(
                select(Catalog.id)
                .where(Catalog.embeddings_behind)
                .order_by(Catalog.id <= self._folded_in, Catalog.id)
                .limit(1)
            )
            catalog = None if key is None else find_catalog_by_key(connection, key)
            if catalog is None:
                return False
        self._folded_in = catalog.id  # whatever comes of it, others have their turn first
        # A user who cannot be folded in here is when next read, and the error is raised there.
        with self._surviving("relearning", lambda _: self._stop_folding_in(catalog.id)):
            self._fold_in_catalog(catalog)
        return True

    def _fold_in_catalog(self, catalog: CatalogRow) -> None:
        with self._database.reading() as connection:
            folded_in = fold_in_stale(connection, self._models, catalog, _FOLDED_IN_AT_ONCE)
        with self._database.writing() as connection:
            if folded_in is not None:
                store_if_current(connection, *folded_in)
            elif self._nobody_is_stale(connection, catalog.id):
                connection.execute(_not_stale(catalog.id))

    def _stop_folding_in(self, catalog_id: int) -> None:
        with self._database.writing() as connection:
            connection.execute(_not_stale(catalog_id))

    def _nobody_is_stale(self, connection: Connection, catalog_id: int) -> bool:
        catalog = find_catalog_by_key(connection, catalog_id)
        return catalog is None or fold_in_stale(connection, self._models, catalog, limit=1) is None

    def _claim(self, only: int | None) -> Lease | None:
        with self._database.reading() as connection:
            if leases.find_claimable(connection, only) is None:
                return None
        with self._database.writing_fenced() as connection:
            return leases.claim(
                connection,
                self._name,
                self._settings.lease_seconds,
                self._settings.training_attempts,
                only,
            )

    def _train(self, lease: Lease, watch: Callable[[Step], None] | None) -> None:
        trainer = make_trainer(lease.trainer, lease.options)
        with Reporter(self._database, lease, self._settings, self.stop) as reporter:

            def report(step: Step) -> None:
                reporter(step)
                if watch is not None:
                    watch(step)

            fitter = make_fitter(trainer, self._database, self._settings)
            outcome = fitter.fit(lease, report, reporter.check)
            dataset, result = outcome.seen, outcome.learned
            provenance = describe(dataset, result, outcome.threads, outcome.timestamps_digest)
            with span("index"):
                more_than = self._settings.index_movies
                index = measure_index(trainer, outcome.vectors, result, more_than, reporter.check)
            publication = Publication(self._models, dataset, result, trainer, reporter.check)
            metrics = {
                "users": len(dataset.users),
                "movies": len(dataset.movies),
                "responses": dataset.answers,
                "status": result.status,
                **index,
            }
            with span("publish"):
                publication.publish(
                    self._database, lease, reporter.unwritten, metrics, provenance, outcome.verdict
                )
        log.info("training succeeded", training=lease.training)

    def _fail(self, lease: Lease, error: str) -> None:
        self._under(
            lease,
            lambda connection, current_lease: leases.end(connection, current_lease, "failed", error=error),
        )
        log.warning("training failed", training=lease.training, error=error)

    def _under(self, lease: Lease, write: Callable[..., None]) -> None:
        try:
            with self._database.writing_fenced() as connection:
                write(connection, lease)
        except LeaseLostError:
            log.info("training was cancelled or taken over", training=lease.training)
        except Unavailable:
            log.warning("training waits until its lease ends", training=lease.training)


def _touch_heartbeat(settings: Settings) -> None:
    """Touch the file that the health check reads; a full disk ends no training."""
    if settings.heartbeat_file is not None:
        with suppress(OSError):
            settings.heartbeat_file.touch()


def _not_stale(catalog_id: int) -> Update:
    return update(Catalog).where(Catalog.id == catalog_id).values(embeddings_behind=False)
