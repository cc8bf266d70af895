"""API keys: created, listed, revoked, and checked at every request.

Only a digest of a key is stored, so a copy of the database gives no access. A service without keys that only
its own machine can reach is open; once there is a key, also a revoked one, it is not.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update
from sqlalchemy.sql.functions import coalesce

from app.database.database import Database, now
from app.database.prepared_statements import Prepared, PreparedReads
from app.database.tables import ApiKey
from app.errors import Forbidden, NotFound, Unauthorized
from app.observability.logs import redact
from app.settings import is_loopback
from app.web.auth.tokens import digest_of, make_token, read_token

CACHE_SECONDS = 1.0  # for this long a key still passes after its revocation
_CACHE_SIZE = 10_000
_SECONDS_A_DAY = 86_400.0

_ANY = Prepared(select(exists(select(ApiKey.id))))
_ONE = Prepared(
    select(
        ApiKey.digest,
        ApiKey.scopes,
        ApiKey.revoked_at.is_not(None),
        ApiKey.expires_at - now(),
    ).where(ApiKey.key == bindparam("key"))
)

_INVALID = (
    "this needs a valid API key: send Authorization: Bearer and the key that `likely keys create` printed"
)
_MALFORMED = (
    "this is no API key: a character is missing or wrong; copy it again, as `likely keys create` printed it"
)


class Scope(StrEnum):
    """What a key may do; `admin` includes all others, and is needed to delete catalogs."""

    READ = "read"
    WRITE = "write"
    TRAIN = "train"
    COMPUTE = "compute"
    ADMIN = "admin"


class OpenToAllError(Exception):
    """The service would be open to everybody who reaches it; the message is one sentence."""


@dataclass(frozen=True)
class Key:
    """An authenticated key: its public name and its scopes."""

    key: str
    scopes: frozenset[str]

    def check_scope(self, scope: Scope) -> None:
        """Raise `Forbidden` unless the key has a scope; `admin` includes all."""
        if not self.scopes & {scope, Scope.ADMIN}:
            has = ", ".join(own_scope for own_scope in Scope if own_scope in self.scopes)
            raise Forbidden(f"this needs a key with the scope {scope}; this one has {has}")


ANYBODY = Key("", frozenset(Scope))


@dataclass(frozen=True)
class KeyRow:
    """A key as `likely keys list` shows it. Times are seconds since 1970."""

    key: str
    label: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    expired: bool

    @property
    def state(self) -> str:
        """`valid`, `revoked` or `expired`."""
        return "revoked" if self.revoked_at is not None else "expired" if self.expired else "valid"


def create_key(connection: Connection, label: str, scopes: set[Scope], days: int | None) -> str:
    """Store a new key, valid for ``days`` or without expiry, and return its text, which is not stored."""
    text = make_token()
    token = read_token(text)
    assert token is not None  # noqa: S101 - it was made just now
    connection.execute(
        insert(ApiKey).values(
            key=token.key,
            label=label,
            digest=token.digest,
            scopes=[scope for scope in Scope if scope in scopes],
            created_at=now(),
            expires_at=None if days is None else now() + days * _SECONDS_A_DAY,
        )
    )
    return text


def list_keys(connection: Connection) -> list[KeyRow]:
    """Return all keys, also the revoked and expired ones, the oldest first."""
    columns = (ApiKey.key, ApiKey.label, ApiKey.scopes, ApiKey.created_at, ApiKey.expires_at)
    is_expired = coalesce(ApiKey.expires_at <= now(), False)
    rows = connection.execute(select(*columns, ApiKey.revoked_at, is_expired).order_by(ApiKey.id))
    return [
        KeyRow(key, label, tuple(scopes), created_at, expires, revoked_at, bool(over))
        for key, label, scopes, created_at, expires, revoked_at, over in rows
    ]


def revoke_key(connection: Connection, name: str) -> str:
    """Revoke a key by its public name or its full text; return the name. Raises `NotFound`."""
    token = read_token(name)
    key = name if token is None else token.key
    revocation = connection.execute(
        update(ApiKey)
        .where(ApiKey.key == key)
        .values(revoked_at=coalesce(ApiKey.revoked_at, now()))
        .returning(ApiKey.key)
    ).scalar()
    if revocation is None:
        raise NotFound(f"there is no key {redact(key)!r}; `likely keys list` shows those that there are")
    return key


def check_not_open(database: Database, host: str) -> None:
    """Raise `OpenToAllError` if there are no keys and other machines can reach the service."""
    if is_loopback(host):
        return
    with database.reading() as connection:
        if not connection.scalar(select(exists(select(ApiKey.id)))):
            raise OpenToAllError(
                f"{host!r} is no loopback address and there are no API keys, so whoever reaches it could "
                "read and delete everything: run `likely keys create --scope admin --label you` first, "
                "or serve on 127.0.0.1"
            )


Rows = list[tuple[Any, ...]]
Read = Callable[[Prepared, Mapping[str, object]], Rows | None]


class _WouldBlockError(Exception):
    """The database does not answer without waiting."""


class Authenticator:
    """Checks keys. Caches for a second the keys that passed, and never those that did not."""

    def __init__(self, database: Database, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._reads = PreparedReads(database)
        self._may_be_open = is_loopback(host)
        self._open_until = float("-inf")
        self._cache: dict[bytes, tuple[Key, float]] = {}

    def close(self) -> None:
        """Close the connection to the database."""
        self._reads.close()

    def authenticate_nowait(self, text: str | None) -> Key | None:
        """Return the key of this text; None when the database does not answer without waiting.

        A text of None means that the request has no key. Raises `Unauthorized`.
        """
        try:
            return self._authenticate(text, self._reads.rows)
        except _WouldBlockError:
            return None

    def authenticate(self, text: str | None) -> Key:
        """Return the key of this text, and wait for the database if necessary. Raises `Unauthorized`."""
        return self._authenticate(text, self._read)

    def _read(self, statement: Prepared, parameters: Mapping[str, object]) -> Rows:
        with self._database.reading() as connection:
            return statement.run(connection, parameters)

    def _authenticate(self, text: str | None, read: Read) -> Key:
        if self._may_be_open and self._is_open(read):
            return ANYBODY
        if text is None:
            raise Unauthorized(_INVALID)
        key, until = self._cache.get(digest_of(text), (None, 0.0))
        if key is not None and self._clock() < until:
            return key
        token = read_token(text)
        if token is None:
            raise Unauthorized(_MALFORMED)
        return self._read_key(token.key, token.digest, read)

    def _is_open(self, read: Read) -> bool:
        """Return whether there are no keys; keys are never deleted, so a service does not open again."""
        if self._clock() < self._open_until:
            return True
        rows = read(_ANY, {})
        if rows is None:
            raise _WouldBlockError
        self._may_be_open = not rows[0][0]
        if self._may_be_open:
            self._open_until = self._clock() + CACHE_SECONDS
        return self._may_be_open

    def _read_key(self, name: str, digest: bytes, read: Read) -> Key:
        rows = read(_ONE, {"key": name})
        if rows is None:
            raise _WouldBlockError
        for stored_digest, scopes, is_revoked, seconds_left in rows:
            is_expired = seconds_left is not None and seconds_left <= 0
            if not compare_digest(stored_digest, digest) or is_revoked or is_expired:
                continue
            key = Key(name, frozenset(json.loads(scopes) if isinstance(scopes, str) else scopes))
            seconds = CACHE_SECONDS if seconds_left is None else min(CACHE_SECONDS, seconds_left)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[digest] = (key, self._clock() + seconds)
            return key
        self._cache.pop(digest, None)
        raise Unauthorized(_INVALID)
