"""Keys in the database: what is kept of one, who is admitted, and for how long that is remembered."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select

from app.database.database import Database, now
from app.database.prepared_statements import PreparedReads
from app.database.tables import ApiKey
from app.errors import Forbidden, NotFound, Unauthorized
from app.settings import is_loopback
from app.web.auth import tokens
from app.web.auth.api_keys import (
    ANYBODY,
    Authenticator,
    OpenToAllError,
    Scope,
    check_not_open,
    create_key,
    list_keys,
    revoke_key,
)
from app.web.auth.tokens import make_token

OUTSIDE = "0.0.0.0"  # noqa: S104 - an address that others reach


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def make(database: Database, *scopes: Scope, days: int | None = None) -> str:
    with database.writing() as connection:
        return create_key(connection, "test", set(scopes or (Scope.READ,)), days)


def shift(database: Database, seconds: float) -> None:
    """Let all keys expire so many seconds from now."""
    with database.writing() as connection:
        connection.execute(ApiKey.__table__.update().values(expires_at=now() + seconds))  # type: ignore[attr-defined]


def revoke(database: Database, text: str) -> None:
    with database.writing() as connection:
        revoke_key(connection, text)


@pytest.mark.sqlite  # looks into its files
def test_of_a_key_only_its_digest_is_kept(database: Database, tmp_path: Path) -> None:
    text = make(database, Scope.READ, days=2)
    with database.reading() as connection:
        row = connection.execute(select(ApiKey)).one()
    assert row.digest == hashlib.sha256(text.encode()).digest()
    assert (row.key, row.scopes, row.revoked_at) == (text[7:15], ["read"], None)
    assert row.expires_at - row.created_at == 2 * 24 * 60 * 60
    database.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert text[7:15].encode() in kept
    assert not any(text[at : at + 8].encode() in kept for at in range(16, len(text) - 8))


def test_a_key_is_admitted_with_its_scopes(database: Database) -> None:
    text = make(database, Scope.TRAIN, Scope.READ)
    key = Authenticator(database, OUTSIDE).authenticate_nowait(text)
    assert key is not None
    assert key.key == text[7:15]
    assert set(key.scopes) == {"read", "train"}
    key.check_scope(Scope.READ)
    with pytest.raises(Forbidden, match="the scope write; this one has read, train"):
        key.check_scope(Scope.WRITE)


def test_admin_includes_every_scope_and_no_other_does(database: Database) -> None:
    for scope in Scope:
        key = Authenticator(database, OUTSIDE).authenticate(make(database, scope))
        for asked in Scope:
            if scope in {asked, Scope.ADMIN}:
                key.check_scope(asked)
            else:
                with pytest.raises(Forbidden):
                    key.check_scope(asked)


def test_missing_unknown_expired_and_revoked_keys_are_told_the_same(database: Database) -> None:
    revoked = make(database)
    revoke(database, revoked)
    expired = make(database)
    said = set()
    shift(database, -0.001)
    for text in (None, make_token(), revoked, expired):
        for authenticate in (
            Authenticator(database, OUTSIDE).authenticate_nowait,
            Authenticator(database, OUTSIDE).authenticate,
        ):
            with pytest.raises(Unauthorized) as refused:
                authenticate(text)
            said.add(refused.value.detail)
    assert len(said) == 1


def test_the_right_name_with_another_secret_is_refused(database: Database) -> None:
    text, other = make(database), make(database)
    forged = text[:15] + other[15:-6]
    with pytest.raises(Unauthorized):
        Authenticator(database, OUTSIDE).authenticate(forged + tokens._checksum(forged))  # noqa: SLF001 - as an attacker can


def test_a_mistyped_key_is_refused_without_asking_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(database)
    monkeypatch.setattr(PreparedReads, "rows", None)
    monkeypatch.setattr(Database, "reading", None)
    for text in ("", "likely_", make_token() + "0", make_token()[:-1]):
        with pytest.raises(Unauthorized, match="a character is missing or wrong"):
            Authenticator(database, OUTSIDE).authenticate_nowait(text)


def test_who_was_admitted_is_remembered_for_a_second_and_no_longer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, clock, asked = make(database), Clock(), []
    rows = PreparedReads.rows

    def counted(self: PreparedReads, *arguments: object) -> object:
        asked.append(arguments)
        return rows(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PreparedReads, "rows", counted)
    authenticator = Authenticator(database, OUTSIDE, clock)
    for _ in range(3):
        assert authenticator.authenticate_nowait(text)
    assert len(asked) == 1
    revoke(database, text)
    clock.time = 0.999
    assert authenticator.authenticate_nowait(text)
    clock.time = 1.0
    for _ in range(2):  # a refusal is not remembered
        with pytest.raises(Unauthorized):
            authenticator.authenticate_nowait(text)
    assert len(asked) == 3


def test_a_key_that_expires_within_the_second_is_remembered_only_so_long(database: Database) -> None:
    text, clock = make(database), Clock()
    shift(database, 0.5)
    authenticator = Authenticator(database, OUTSIDE, clock)
    assert authenticator.authenticate_nowait(text)
    shift(database, -0.5)
    clock.time = 0.5
    with pytest.raises(Unauthorized):
        authenticator.authenticate_nowait(text)


def test_a_loopback_service_is_open_until_there_is_a_key_and_never_again(database: Database) -> None:
    clock = Clock()
    authenticator = Authenticator(database, "127.0.0.1", clock)
    assert authenticator.authenticate_nowait(None) is ANYBODY
    text = make(database)
    clock.time = 0.999
    assert authenticator.authenticate_nowait(None) is ANYBODY
    clock.time = 1.0
    with pytest.raises(Unauthorized):
        authenticator.authenticate_nowait(None)
    revoke(database, text)
    for asked in (authenticator, Authenticator(database, "localhost")):
        with pytest.raises(Unauthorized):
            asked.authenticate_nowait(None)


def test_a_service_that_others_reach_is_never_open(database: Database) -> None:
    with pytest.raises(Unauthorized):
        Authenticator(database, OUTSIDE).authenticate_nowait(None)
    with pytest.raises(OpenToAllError, match=r"no API keys.*run `likely keys create"):
        check_not_open(database, OUTSIDE)
    check_not_open(database, "127.0.0.1")
    revoke(database, make(database))
    check_not_open(database, OUTSIDE)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        *((host, True) for host in ("127.0.0.1", "127.255.0.9", "::1", "[::1]", "localhost", "LOCALHOST")),
        *((host, False) for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "127.1", "*")),  # noqa: S104
        *((host, False) for host in ("128.0.0.1", "fe80::1", "127.0.0.1.example.org", "example.org")),
    ],
)
def test_an_address_is_loopback_only_when_nobody_else_reaches_it(host: str, only_here: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is only_here


def test_a_busy_database_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make(database, Scope.READ)
    monkeypatch.setattr(PreparedReads, "rows", lambda *_: None)
    for host in (OUTSIDE, "localhost"):
        authenticator = Authenticator(database, host)
        assert authenticator.authenticate_nowait(text) is None
        assert authenticator.authenticate(text).scopes == {"read"}


def test_revoking_twice_keeps_the_first_time_and_a_name_or_a_whole_key_will_do(database: Database) -> None:
    first, second = make(database), make(database)
    with database.writing() as connection:
        assert revoke_key(connection, first[7:15]) == first[7:15]
        assert revoke_key(connection, second) == second[7:15]
    with database.reading() as connection:
        before = [row.revoked_at for row in list_keys(connection)]
    assert None not in before
    revoke(database, first)
    with database.reading() as connection:
        assert [row.revoked_at for row in list_keys(connection)] == before
        assert [row.state for row in list_keys(connection)] == ["revoked", "revoked"]
    with database.writing() as connection, pytest.raises(NotFound, match="'nothing'"):
        revoke_key(connection, "nothing")
