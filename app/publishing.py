"""Publishing a training: its embeddings, brought up to what was answered meanwhile, and the serving switch.

All in one transaction: either everything of a training is visible or nothing. Users who answered while it ran
are relearned; users deleted meanwhile are left out. Does not know how the training was run.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from app import leases
from app.database import Database
from app.leases import Lease
from app.relearning import Relearned, keep, relearn_beside, squared_norm
from app.snapshots import Snapshot
from app.tables import Response, User
from app.trainings import serve
from models.trainer import Learned, Step, Trainer

# Users who answered meanwhile are relearned outside of the write lock, in rounds, until there are so few
# that relearning them under it keeps nobody waiting.
_RELEARNED_WHILE_WRITING = 10
_ROUNDS = 10


class Publication:
    """The embeddings that a training is about to publish, by the users' keys."""

    def __init__(self, snapshot: Snapshot, learned: Learned, trainer: Trainer) -> None:
        rows = zip(snapshot.users, snapshot.versions, learned.embeddings, strict=True)
        self._current = {user: Relearned(user, version, embedding) for user, version, embedding in rows}
        self._squared_norms = dict(
            zip(snapshot.users, learned.embeddings.double().square().sum(dim=1).tolist(), strict=True)
        )
        self._trainer = trainer

    def publish(
        self,
        database: Database,
        lease: Lease,
        finish: Callable[[], Sequence[Step]],
        metrics: dict[str, object],
    ) -> None:
        """Make the training visible; raises `leases.LeaseLostError`, with nothing written.

        ``finish`` is called before the last transaction and returns the steps not yet written.
        """
        for _ in range(_ROUNDS):
            with database.reading() as connection:
                if self._catch_up(connection, lease.catalog_id) <= _RELEARNED_WHILE_WRITING:
                    break
        unwritten = finish()
        with database.writing() as connection:
            leases.report(connection, lease, unwritten, lease_seconds=1.0)
            self._catch_up(connection, lease.catalog_id)
            keep(connection, lease.training, list(self._current.values()))
            if lease.serve:
                serve(connection, lease.catalog_id, lease.training)
            leases.end(connection, lease, "succeeded", metrics=metrics)

    def _catch_up(self, connection: Connection, catalog_id: int) -> int:
        """Relearn who answered since, forget who is gone, and return how many were relearned."""
        answered = select(Response.user_id).where(Response.user_id == User.id).exists()
        versions: dict[int, int] = {
            row.id: row.version
            for row in connection.execute(
                select(User.id, User.version).where(User.catalog_id == catalog_id, answered)
            )
        }
        for user in self._current.keys() - versions.keys():
            del self._current[user], self._squared_norms[user]
        behind = [user for user, version in versions.items() if not self._is_current(user, version)]
        for user in behind:
            self._relearn(connection, user)
        return len(behind)

    def _is_current(self, user: int, version: int) -> bool:
        return user in self._current and self._current[user].version == version

    def _relearn(self, connection: Connection, user: int) -> None:
        present = self._current.get(user)
        others = sum(self._squared_norms.values()) - self._squared_norms.get(user, 0.0)
        start = present.embedding if present else None
        relearned = relearn_beside(connection, self._trainer, user, start, max(0.0, others))
        self._current[user] = relearned
        self._squared_norms[user] = 0.0 if relearned.embedding is None else squared_norm(relearned.embedding)
