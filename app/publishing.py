"""Publishing a training: its embeddings, brought up to what was answered meanwhile, and the serving switch.

All in one transaction: either everything of a training is visible or nothing. Users who answered while it ran
are relearned; users deleted meanwhile are left out. Does not know how the training was run.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from app import leases
from app.catalogs import mark_behind
from app.database import Database
from app.leases import Lease
from app.relearning import Relearned, keep, relearn_beside, squared_norm
from app.snapshots import Snapshot
from app.tables import Response, User
from app.trainings import serve
from models.trainer import Learned, Step, Trainer

# Users who answered meanwhile are relearned outside of the write lock, in rounds, until there are so few
# that relearning them under it keeps nobody waiting; after the last round, as everybody else who is behind.
_RELEARNED_WHILE_WRITING = 10
_ROUNDS = 10


class Publication:
    """The embeddings that a training is about to publish, by the users' keys."""

    def __init__(
        self, snapshot: Snapshot, learned: Learned, trainer: Trainer, check: Callable[[], None]
    ) -> None:
        rows = zip(snapshot.users, snapshot.versions, learned.embeddings, strict=True)
        self._current = {user: Relearned(user, version, embedding) for user, version, embedding in rows}
        self._squared_norms = dict(
            zip(snapshot.users, learned.embeddings.double().square().sum(dim=1).tolist(), strict=True)
        )
        self._trainer = trainer
        self._check = check  # raises when the training is to end

    def publish(
        self,
        database: Database,
        lease: Lease,
        unwritten: Callable[[], Sequence[Step]],
        metrics: dict[str, object],
    ) -> None:
        """Make the training visible; raises `leases.LeaseLostError`, with nothing written.

        ``unwritten`` returns the steps that may not be written yet.
        """
        for left in reversed(range(_ROUNDS)):
            with database.reading() as connection:
                self._catch_up(connection, lease.catalog_id)
            if self._publish_once(database, lease, unwritten, metrics, whatever_is_behind=left == 0):
                return

    def _publish_once(
        self,
        database: Database,
        lease: Lease,
        unwritten: Callable[[], Sequence[Step]],
        metrics: dict[str, object],
        *,
        whatever_is_behind: bool,
    ) -> bool:
        """Publish, unless too many answered since the last look; return whether it was done."""
        with database.writing() as connection:
            behind = self._find_behind(connection, lease.catalog_id)
            few = len(behind) <= _RELEARNED_WHILE_WRITING
            if not few and not whatever_is_behind:
                return False
            leases.report(connection, lease, unwritten(), lease_seconds=1.0)
            if few:
                self._relearn(connection, behind)
            else:  # readers relearn them, and workers store what they find
                mark_behind(connection, lease.catalog_id)
            keep(connection, lease.training, list(self._current.values()))
            if lease.serve:
                serve(connection, lease.catalog_id, lease.training)
            leases.end(connection, lease, "succeeded", metrics=metrics)
        return True

    def _catch_up(self, connection: Connection, catalog_id: int) -> None:
        self._relearn(connection, self._find_behind(connection, catalog_id))

    def _find_behind(self, connection: Connection, catalog_id: int) -> list[int]:
        """Forget who is gone, and return who answered since they were learned."""
        answered = select(Response.user_id).where(Response.user_id == User.id).exists()
        versions: dict[int, int] = {
            row.id: row.version
            for row in connection.execute(
                select(User.id, User.version).where(User.catalog_id == catalog_id, answered)
            )
        }
        for user in self._current.keys() - versions.keys():
            del self._current[user], self._squared_norms[user]
        return [user for user, version in versions.items() if not self._is_current(user, version)]

    def _is_current(self, user: int, version: int) -> bool:
        return user in self._current and self._current[user].version == version

    def _relearn(self, connection: Connection, users: Sequence[int]) -> None:
        everybody = sum(self._squared_norms.values())
        for user in users:
            self._check()
            present, own = self._current.get(user), self._squared_norms.get(user, 0.0)
            start = present.embedding if present else None
            relearned = relearn_beside(connection, self._trainer, user, start, max(0.0, everybody - own))
            norm = 0.0 if relearned.embedding is None else squared_norm(relearned.embedding)
            everybody += norm - own
            self._current[user], self._squared_norms[user] = relearned, norm
