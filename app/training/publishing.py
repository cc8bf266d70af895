"""Publishing a training: its posteriors, with the responses that came while it ran, and the serving switch.

All in one transaction, so a training is visible as a whole or not at all. Users who responded while it ran
are folded in; users who were deleted are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, select

from app.catalogs.catalogs import CatalogRow, find_catalog_by_key, mark_stale
from app.database.database import Database
from app.database.tables import Response, User
from app.scoring.fold_in import FoldedIn, fold_in_alongside, squared_norm, store
from app.scoring.model_cache import TrainedModel, TrainedModels, restore, store_model
from app.training import leases
from app.training.dataset import Seen
from app.training.leases import Lease, LeaseLostError
from app.training.trainings import serve
from app.training.trials import Verdict
from models.recommender.model import UserPosterior
from models.recommender.trainer import Step, Trainer, TrainingResult

# Users who responded meanwhile are folded in outside of the write lock, in rounds, until so few are left that
# folding them in under it blocks no writer for long; after the last round they stay stale, as others do.
_FOLDED_IN_WHILE_WRITING = 10
_ROUNDS = 10
_LEASE_SECONDS = 1.0  # nobody sees it: the transaction that renews the lease ends it too


class Publication:
    """A training to be published: its model, and its users' posteriors by their keys."""

    def __init__(
        self,
        models: TrainedModels,
        dataset: Seen,
        result: TrainingResult,
        trainer: Trainer,
        check: Callable[[], None],
    ) -> None:
        self._models, self._seen, self._learned, self._trainer = models, dataset, result, trainer
        self._check = check  # raises when the training is to end
        self._places = {user: place for place, user in enumerate(dataset.users)}
        self._versions = dict(zip(dataset.users, dataset.versions, strict=True))
        self._folded_in: dict[int, FoldedIn] = {}
        self._squared_norms = dict(
            zip(dataset.users, result.embeddings.double().square().sum(dim=1).tolist(), strict=True)
        )
        self._restored: TrainedModel | None = None

    def publish(
        self,
        database: Database,
        lease: Lease,
        unwritten: Callable[[], Sequence[Step]],
        metrics: Mapping[str, object],
        provenance: Mapping[str, object],
        verdict: Verdict | None,
    ) -> None:
        """Make the training visible; raises `leases.LeaseLostError`, with nothing written.

        ``unwritten`` returns the steps that may not be written yet; a ``verdict`` joins the metrics.
        """

        def end(connection: Connection) -> None:
            is_serving = _serve(connection, lease, verdict)
            leases.end(
                connection, lease, "succeeded", metrics={**metrics, **is_serving}, provenance=provenance
            )

        for rounds_left in reversed(range(_ROUNDS)):
            with database.reading() as connection:
                self._catch_up(connection, lease)
            if self._publish_once(database, lease, unwritten, end, leave_stale=rounds_left == 0):
                return

    def _publish_once(
        self,
        database: Database,
        lease: Lease,
        unwritten: Callable[[], Sequence[Step]],
        end: Callable[[Connection], None],
        *,
        leave_stale: bool,
    ) -> bool:
        """Publish, unless too many users responded since the last round; return whether it was done."""
        with database.writing() as connection:
            stale = self._find_stale(connection, lease.catalog_id)
            few = len(stale) <= _FOLDED_IN_WHILE_WRITING
            if not few and not leave_stale:
                return False
            leases.report(connection, lease, unwritten(), _LEASE_SECONDS)
            if few:
                self._fold_in(connection, lease, stale)
            else:  # readers fold them in, and workers store the result
                mark_stale(connection, lease.catalog_id)
            store_model(connection, lease.training, lease.catalog_id, self._seen.movies, self._learned)
            store(connection, lease.training, self._posteriors())
            end(connection)
        return True

    def _catch_up(self, connection: Connection, lease: Lease) -> None:
        self._fold_in(connection, lease, self._find_stale(connection, lease.catalog_id))

    def _posteriors(self) -> Iterator[FoldedIn]:
        for user, version in self._versions.items():
            yield self._folded_in.get(user) or FoldedIn(user, version, self._posterior(user))

    def _posterior(self, user: int) -> UserPosterior | None:
        """Return the user's newest posterior."""
        if user in self._folded_in:
            return self._folded_in[user].posterior
        if user not in self._places:
            return None
        return self._learned.posteriors[self._places[user]]

    def _find_stale(self, connection: Connection, catalog_id: int) -> list[int]:
        """Drop the users who were deleted, and return those who responded since they were learned."""
        has_answers = select(Response.user_id).where(Response.user_id == User.id).exists()
        versions: dict[int, int] = {
            row.id: row.version
            for row in connection.execute(
                select(User.id, User.version).where(User.catalog_id == catalog_id, has_answers)
            )
        }
        for user in self._versions.keys() - versions.keys():
            del self._versions[user], self._squared_norms[user]
        return [user for user, version in versions.items() if self._versions.get(user) != version]

    def _fold_in(self, connection: Connection, lease: Lease, users: Sequence[int]) -> None:
        if not users:
            return
        serving = self._model(connection, lease)
        total = sum(self._squared_norms.values())
        for user in users:
            self._check()
            user_norm = self._squared_norms.get(user, 0.0)
            others_norm = max(0.0, total - user_norm)
            folded_in = fold_in_alongside(connection, serving, user, self._posterior(user), others_norm)
            norm = 0.0 if folded_in.posterior is None else squared_norm(folded_in.posterior.embedding)
            total += norm - user_norm
            self._folded_in[user], self._squared_norms[user] = folded_in, norm
            self._versions[user] = folded_in.version

    def _model(self, connection: Connection, lease: Lease) -> TrainedModel:
        """Return the model over the movies as they are now."""
        movies = self._models.movies(connection, _still_there(connection, lease))
        if self._restored is None or self._restored.movies.version != movies.version:
            result, keys = self._learned, self._seen.movies
            model = restore(self._trainer, movies, result.shared, keys, result.items)
            self._restored = TrainedModel(lease.training, lease.trainer, movies, model)
        return self._restored


def _serve(connection: Connection, lease: Lease, verdict: Verdict | None) -> dict[str, object]:
    """Let the training serve if it is to, and return what the metrics say of its trial.

    One that must be better than what serves does not take the place of what was promoted meanwhile.
    """
    is_promoted = lease.serve
    if lease.if_better:
        stands = verdict is not None and _still_there(connection, lease).serving == verdict.over
        is_promoted = stands and verdict is not None and verdict.better
    if is_promoted:
        serve(connection, lease.catalog_id, lease.training)
    if verdict is None:
        return {}
    if not lease.if_better:
        return {"held_out": verdict.held_out}
    comparison = {"training": verdict.over, "log_loss": verdict.log_loss_over, "promoted": is_promoted}
    return {"held_out": verdict.held_out, "compared_with": comparison}


def _still_there(connection: Connection, lease: Lease) -> CatalogRow:
    catalog_row = find_catalog_by_key(connection, lease.catalog_id)
    if catalog_row is None:
        raise LeaseLostError(f"training {lease.training} went with its catalog")
    return catalog_row
