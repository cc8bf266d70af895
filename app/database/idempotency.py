"""Answers stored under the key that their caller chose, so that a request that is sent again is done once.

The answer is stored in the transaction that does what was asked: both are there, or neither is. Requests with
one key come one after the other, because each holds the write lock from before it reads to after it stores.
Only what was done is stored; a refused request stored nothing, and may be sent again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, insert, select

from app.database.database import now
from app.database.tables import IdempotencyKey
from app.errors import Conflict, Place

HEADER = "Idempotency-Key"


@dataclass(frozen=True)
class Asked:
    """What stands for a caller and the key that they chose, and the SHA-256 of all that they ask for."""

    key: str
    digest: bytes


@dataclass(frozen=True)
class Answer:
    """What a request was answered; ``repeated`` when that was done before."""

    status: int
    body: bytes
    location: str | None = None
    repeated: bool = False


def answer_once(
    connection: Connection,
    request: Asked | None,
    catalog_id: int,
    keep_seconds: float,
    act: Callable[[], Answer],
) -> Answer:
    """Return what was answered under this key in the last ``keep_seconds``; if nothing was, act and keep it.

    Without a key just act. The connection's transaction must hold the write lock. An answer goes with its
    catalog. Raises `Conflict` when the key stands for another request, and whatever ``act`` does.
    """
    if request is None:
        return act()
    connection.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - keep_seconds))
    previous = _find(connection, request)
    if previous is not None:
        return previous
    answer = act()
    connection.execute(
        insert(IdempotencyKey).values(
            key=request.key,
            catalog_id=catalog_id,
            digest=request.digest,
            status=answer.status,
            body=answer.body,
            location=answer.location,
            created_at=now(),
        )
    )
    return answer


def _find(connection: Connection, request: Asked) -> Answer | None:
    row = connection.execute(
        select(
            IdempotencyKey.digest, IdempotencyKey.status, IdempotencyKey.body, IdempotencyKey.location
        ).where(IdempotencyKey.key == request.key)
    ).one_or_none()
    if row is None:
        return None
    if row.digest != request.digest:
        raise Conflict(
            f"this {HEADER} stood for another request before, with another path, query or body; "
            "each request needs a key of its own, and the same only when it is sent again",
            [Place("used for another request", parameter=HEADER)],
        )
    return replace(Answer(row.status, row.body, row.location), repeated=True)
