"""Every operation, asked with every kind of credential, and through tricks of paths, hosts and headers.

What each operation needs is written down here a second time, by the rule and not by the code: GET and scoring
need read, changes write, trainings and what serves train, computations compute, deleting a catalog admin.
A refusal must be the same whether or not there is what was asked about, must come before the body is read,
and must leave the database as it was. Does not know how the service decides.
"""

import asyncio
import base64
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select

from app.cli.demo import load_class
from app.database.database import Database
from app.database.tables import ApiKey, Base
from app.database.urls import open_migrated
from app.main import create_app
from app.settings import Settings
from app.training.trainings import create_training
from app.training.worker import Worker
from app.web.auth.api_keys import Scope, create_key, revoke_key
from app.web.auth.tokens import make_token
from tests.faults.asgi import Answered, Asked, Header, ask
from tests.faults.figures import Figure

_SEED = 20_261_126
_OUTSIDE = "0.0.0.0"  # noqa: S104 - nothing listens here; it says that nobody is let in without a key
_HERE = {"catalog": "class", "movie": "m0", "user": "0", "training": "1", "suffix": "txt"}
_NOWHERE = {"catalog": "nowhere", "movie": "none", "user": "nobody", "training": "9", "suffix": "txt"}
_NAMES = (
    b"violence",
    b"The class",
    b'"m0"',
    b"gradient_descent",
)  # what is in the catalog, and in no refusal
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _METHOD_NOT_ALLOWED, _MISDIRECTED = 200, 401, 403, 404, 405, 421
_REQUEST_ID = re.compile(rb'"request_id": "[^"]*"')

_NEURON = {"inputs": [1], "weights": [1]}
_NETWORK = {"layers": [1, 1], "inputs": [[1]], "targets": [1]}
_BODIES: dict[str, object] = {
    "/{catalog}": {"dimensions": ["violence", "positive message", "language"]},
    "/serving": {"training": 1},
    "/movies/{movie}": {"vector": [1, 2, 3]},
    "/responses/{movie}": {"response": 1},
    "/trainings": {"trainer": "gradient_descent"},
    "/scores": {"pairs": [["0", "m0"]]},
    "/scores:preview": {"responses": {"m0": 1}},
    "/tensor": {"program": "1"},
    "/gradient": {"expression": "w", "variables": {"w": 1}},
    **{f"/neuron{end}": _NEURON for end in ("", "/losses", "/losses.{suffix}")},
    **{f"/mlp{end}": _NETWORK for end in ("", "/losses", "/losses.{suffix}", "/fit", "/fit.{suffix}")},
}


@dataclass(frozen=True)
class Operation:
    """An operation of the API, what it needs, and a body that it takes."""

    method: str
    path: str
    scope: Scope
    body: bytes

    def asked(self, names: dict[str, str], headers: Sequence[Header], query: str = "") -> Asked:
        """Return a request of it."""
        target = re.sub(r"\{(\w+)\}", lambda name: names[name[1]], self.path) + query
        media = b"text/csv" if self.path.endswith(":import") else b"application/json"
        return Asked(self.method, target, [*headers, (b"content-type", media)], self.body)


@dataclass(frozen=True)
class Case:
    """A request, who asks, and which statuses may come back: None where the answer is due."""

    who: str
    asked: Asked
    statuses: frozenset[int] | None


@dataclass
class Seen:
    """What came back, and whatever may not."""

    statuses: Counter[int] = field(default_factory=Counter)
    refusals: dict[tuple[str, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    faults: list[str] = field(default_factory=list)


def run(scale: float) -> list[Figure]:
    """Ask for everything, or for a share of it drawn from a seed."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder), scale))


async def _run(folder: Path, scale: float) -> list[Figure]:
    # Nothing computes or draws here: whoever is admitted to that is told that it is switched off.
    settings = Settings(
        database_url=f"sqlite:///{folder}/likely.db", host=_OUTSIDE, compute_processes=0, drawing_processes=0
    )
    database = open_migrated(settings.database_url)
    keys = _fill(database, settings)
    app = create_app(settings)
    operations = find_operations(app)
    figures = []
    async with app.router.lifespan_context(app):
        for what, cases in (
            ("kinds of credential × operations", _credentials(operations, keys)),
            ("tricks of paths, hosts and headers × operations", _tricks(operations, keys)),
        ):
            samples = _drawn(list(cases), scale)
            figures.append(_figure(what, await _ask_all(app, database, samples), samples, len(operations)))
    database.close()
    return figures


def find_operations(app: FastAPI) -> list[Operation]:
    """Return all operations under /v1, with what they need by the rule."""
    return [
        Operation(method.upper(), path, needed(method.upper(), path), _body(method, path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    ]


def needed(method: str, path: str) -> Scope:
    """Return the scope that an operation ought to need."""
    if path.startswith("/v1/compute"):
        return Scope.COMPUTE
    if method == "DELETE" and path == "/v1/catalogs/{catalog}":
        return Scope.ADMIN
    if path.endswith("/serving") or (method == "POST" and "/trainings" in path):
        return Scope.TRAIN
    if method == "GET" or path.endswith(("/scores", "/scores:preview")):
        return Scope.READ
    return Scope.WRITE


def _body(method: str, path: str) -> bytes:
    if method in {"get", "delete"}:
        return b""
    if path.endswith("movies:import"):
        return b"movie,title,violence,positive message,language\nm9,Nine,0,0,0\n"
    if path.endswith("responses:import"):
        return b"user,movie,response\n0,m0,1\n"
    result = [body for end, body in _BODIES.items() if path.endswith(end)]
    return json.dumps(result[-1]).encode() if result else b""


def _fill(database: Database, settings: Settings) -> dict[str, str]:
    """Store the class catalog, trained, and keys by the kinds of them."""
    with database.writing() as connection:
        load_class(connection)
        create_training(connection, "class", "gradient_descent", {"epochs": 5}, 1, serve=True)
    Worker(database, settings, name="faults").run_next()
    with database.writing() as connection:
        keys = {scope.value: create_key(connection, scope, {scope}, None) for scope in Scope}
        for scope in Scope:
            others = set(Scope) - {scope, Scope.ADMIN}
            keys[f"all but {scope}"] = create_key(connection, f"all but {scope}", others, None)
        keys["revoked"] = create_key(connection, "revoked", {Scope.ADMIN}, None)
        revoke_key(connection, keys["revoked"])
        keys["expired"] = create_key(connection, "expired", {Scope.ADMIN}, 1)
        past = ApiKey.created_at - 1
        connection.execute(
            ApiKey.__table__.update().where(ApiKey.label == "expired").values(expires_at=past)  # type: ignore[attr-defined]
        )
    return keys


def _bearer(*keys: str) -> list[Header]:
    return [(b"Authorization", f"Bearer {key}".encode()) for key in keys]


def _strangers(keys: dict[str, str]) -> dict[str, tuple[list[Header], str]]:
    """Return who must not come in, each with the headers and the query that they send."""
    admin = keys["admin"]
    basic = base64.b64encode(f"admin:{admin}".encode()).decode()
    raw = [
        (f"as {scheme or 'a bare header'}", f"{scheme} {value}".strip())
        for scheme, value in (
            *(("Basic", basic), ("Basic", admin), ("Digest", admin), ("Token", admin), ("ApiKey", admin)),
            *(("", admin), ("Bearer", ""), ("Bearer Bearer", admin), ("Bearer", f"{admin}, Bearer {admin}")),
            *(("Bearer", f"{admin} {admin}"), ("Bearer", f'"{admin}"'), ("Bearer", f"token={admin}")),
        )
    ]
    return {
        "none": ([], ""),
        "malformed": (_bearer("likely_12345678_secret"), ""),
        "another's": (_bearer("ghp_" + "x" * 36), ""),
        "no ASCII": ([(b"Authorization", b"Bearer \xff\xfe" + admin.encode())], ""),
        "cut off": (_bearer(admin[:-1]), ""),
        "with more behind it": (_bearer(admin + "0"), ""),
        "in capitals": (_bearer(admin.upper()), ""),
        "wrong checksum": (_bearer(admin[:-1] + ("0" if admin[-1] != "0" else "1")), ""),
        "unknown": (_bearer(make_token()), ""),
        "expired": (_bearer(keys["expired"]), ""),
        "revoked": (_bearer(keys["revoked"]), ""),
        **{
            f"{name} ({number})": ([(b"Authorization", value.encode())], "")
            for number, (name, value) in enumerate(raw)
        },
        **{
            f"in the query, {name}": ([], f"?{name}={admin}")
            for name in ("access_token", "api_key", "key", "token")
        },
        "in a cookie": ([(b"Cookie", f"key={admin}; Authorization=Bearer {admin}".encode())], ""),
        "in another header": (
            [(name, admin.encode()) for name in (b"X-API-Key", b"Proxy-Authorization", b"X-Authorization")],
            "",
        ),
        "two headers": (_bearer(admin, admin), ""),
        "two headers, one right": (_bearer(make_token(), admin), ""),
        "two headers, one empty": ([(b"Authorization", b""), *_bearer(admin)], ""),
    }


def _credentials(operations: list[Operation], keys: dict[str, str]) -> Iterator[Case]:
    """Yield every operation with every credential: first all that are refused."""
    for who, (headers, query) in _strangers(keys).items():
        for operation in operations:
            for names in (_HERE, _NOWHERE):
                yield Case(who, operation.asked(names, headers, query), frozenset({_UNAUTHORIZED}))
    for operation in operations:
        for who in (*Scope, f"all but {operation.scope}"):
            admitted = who in {operation.scope, Scope.ADMIN}
            # What is deleted cannot be asked for by the next.
            places = [_NOWHERE] if admitted and operation.method == "DELETE" else [_HERE, _NOWHERE]
            for names in places:
                asked = operation.asked(names, _bearer(keys[str(who)]))
                yield Case(
                    f"{who} for {operation.scope}", asked, None if admitted else frozenset({_FORBIDDEN})
                )


# Whatever a server in front, or this one, might read as another path than the one that was looked at.
_PATHS: dict[str, Callable[[str], str]] = {
    "two slashes in front": lambda path: f"/{path}",
    "two slashes after /v1": lambda path: path.replace("/v1/", "/v1//", 1),
    "all slashes twice": lambda path: path.replace("/", "//"),
    "a slash behind": lambda path: f"{path}/",
    "encoded slashes": lambda path: "/" + path[1:].replace("/", "%2F"),
    "one encoded slash": lambda path: path.replace("/v1/", "/v1%2f", 1),
    "twice encoded slashes": lambda path: "/" + path[1:].replace("/", "%252F"),
    "a backslash": lambda path: path.replace("/v1/", "/v1\\", 1),
    "an encoded backslash": lambda path: path.replace("/v1/", "/v1%5C", 1),
    "a dot segment": lambda path: f"/.{path}",
    "dots through a probe": lambda path: f"/livez/..{path}",
    "encoded dots through a probe": lambda path: f"/livez/%2e%2e{path}",
    "dots through the console": lambda path: f"/console/..{path}",
    "encoded dots through the console": lambda path: f"/console/%2e%2e%2f{path[1:]}",
    "dots through the static files": lambda path: f"/static-offline-docs/../..{path}",
    "encoded dots through the static files": lambda path: f"/static-offline-docs/%2e%2e%2f..{path}",
    "a trailing dot": lambda path: f"{path}.",
    "capitals": lambda path: path.upper(),
    "a capital V": lambda path: path.replace("/v1/", "/V1/", 1),
    "encoded letters": lambda path: path.replace("/v1/", "/%76%31/", 1),
    "a matrix parameter": lambda path: path.replace("/v1/", "/v1;livez/", 1),
    "a parameter behind": lambda path: f"{path};/livez",
    "a NUL behind": lambda path: f"{path}%00",
    "a line break behind": lambda path: f"{path}%0a",
    "a probe as its extension": lambda path: f"{path}.css",
    "a probe behind a question mark": lambda path: f"{path}?/livez",
    "a probe behind an encoded question mark": lambda path: f"{path}%3f/livez",
    "an absolute address": lambda path: f"http://127.0.0.1:8000{path}",
    "a probe's fragment": lambda path: f"/livez%23{path}",
}
_PLACES = ("/livez", "/", "/docs", "/v1/catalogs")
_HEADERS: tuple[Header, ...] = (
    *((b"X-Original-URL", place.encode()) for place in _PLACES),
    *((b"X-Rewrite-URL", place.encode()) for place in _PLACES),
    *((b"X-Forwarded-Prefix", place.encode()) for place in _PLACES),
    *((name, b"127.0.0.1") for name in (b"X-Forwarded-For", b"X-Real-IP", b"X-Client-IP", b"True-Client-IP")),
    *((name, b"localhost") for name in (b"X-Forwarded-Host", b"X-Forwarded-Server", b"X-Host")),
    (b"Forwarded", b"for=127.0.0.1;host=localhost;proto=https"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-User", b"admin"),
    (b"X-Remote-User", b"admin"),
    (b"Remote-User", b"admin"),
    (b"X-Likely-Scope", b"admin"),
    (b"Connection", b"close, Authorization"),
    (b"Origin", b"http://127.0.0.1:8000"),
    (b"Referer", b"http://127.0.0.1:8000/"),
    *((b"Host", host) for host in (b"localhost", b"127.0.0.1", b"[::1]", b"", b"evil.example.org", b"livez")),
)
_OVERRIDES = (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
_METHODS = ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "Get", "DELETE\t", "PROPFIND")


def _tricks(operations: list[Operation], keys: dict[str, str]) -> Iterator[Case]:
    """Yield requests of somebody without a key who pretends to be another, and of a reader who writes."""
    empty = frozenset({_UNAUTHORIZED, _NOT_FOUND, _METHOD_NOT_ALLOWED})
    reading = empty ^ {_OK, _FORBIDDEN, _UNAUTHORIZED}  # and the database stays as it was
    for operation in operations:
        plain = operation.asked(_HERE, [])
        for what, change in _PATHS.items():
            asked = Asked(plain.method, change(plain.target), plain.headers, plain.body)
            yield Case(f"a path with {what}", asked, empty)
        for header in _HEADERS:
            asked = operation.asked(_HERE, [header])
            yield Case(f"{header[0].decode()}: {header[1].decode()}", asked, empty | {_MISDIRECTED})
        for method in _METHODS:
            yield Case(f"the method {method}", Asked(method, plain.target, plain.headers), empty)
        if operation.scope is not Scope.READ:
            for name in _OVERRIDES:
                headers = [*_bearer(keys["read"]), (name, operation.method.encode())]
                yield Case(f"a reader's {name.decode()}", Asked("GET", plain.target, headers), reading)
                yield Case("the same without a key", Asked("GET", plain.target, headers[1:]), empty)


def _drawn(cases: list[Case], scale: float) -> list[Case]:
    if scale >= 1:
        return cases
    choice = random.Random(_SEED).sample(range(len(cases)), max(1, round(scale * len(cases))))
    return [cases[at] for at in sorted(choice)]


async def _ask_all(app: FastAPI, database: Database, cases: list[Case]) -> Seen:
    """Ask for all, those first who are to be refused, and compare the database before with after these."""
    seen = Seen()
    before = _kept(database)
    for case in cases:
        if case.statuses is not None:
            _judge(case, await _answer(app, case, seen), seen)
    if _kept(database) != before:
        seen.faults.append("a request that was refused has changed the database")
    for case in cases:
        if case.statuses is None:
            _judge(case, await _answer(app, case, seen), seen)
    for (who, status), bodies in seen.refusals.items():
        if len(bodies) != 1:
            seen.faults.append(f"{who}: {len(bodies)} different refusals with {status}: {sorted(bodies)[:3]}")
    return seen


async def _answer(app: FastAPI, case: Case, seen: Seen) -> Answered:
    try:
        return await asyncio.wait_for(ask(app, case.asked), 20)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
        seen.faults.append(f"{case.who}: {case.asked.method} {case.asked.target}: {error!r}")
        return Answered()


def _judge(case: Case, answers: Answered, seen: Seen) -> None:
    seen.statuses[answers.status] += 1
    wrong = _wrong_refusal(case, answers) if case.statuses is not None else _wrong_admission(case, answers)
    if wrong:
        seen.faults.append(f"{case.who}: {case.asked.method} {case.asked.target}: {answers.status} {wrong}")
    if answers.status in {_UNAUTHORIZED, _FORBIDDEN}:
        seen.refusals[case.who, answers.status].add(_REQUEST_ID.sub(b"", answers.body))


def _wrong_refusal(case: Case, answers: Answered) -> str | None:
    if answers.status not in (case.statuses or ()):
        return f"instead of a refusal: {answers.body[:200]!r}"
    if answers.status == _UNAUTHORIZED and answers.headers.get(b"www-authenticate") != b"Bearer":
        return "without WWW-Authenticate: Bearer"
    if answers.status == _OK:
        return _secret_in(case, answers)
    if answers.body_was_read:
        return "after the body was read"
    if any(name in answers.body for name in _NAMES):
        return f"names what there is: {answers.body[:200]!r}"
    return _secret_in(case, answers)


def _wrong_admission(case: Case, answers: Answered) -> str | None:
    if answers.status in {0, _UNAUTHORIZED, _FORBIDDEN}:
        return f"refused to whom it is due: {answers.body[:200]!r}"
    if answers.status >= 500 and b"problem:switched-off" not in answers.body:
        return f"failed: {answers.body[:200]!r}"
    return _secret_in(case, answers)


def _secret_in(case: Case, answers: Answered) -> str | None:
    sent = b" ".join([case.asked.target.encode(), *(value for _, value in case.asked.headers)])
    secrets = re.findall(rb"likely_\w{8}_(\w{20,})", sent)
    complete = answers.body + b" ".join(answers.headers.values())
    return "repeats the key" if any(secret in complete for secret in secrets) else None


def _kept(database: Database) -> dict[str, list[Any]]:
    with database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def _figure(label: str, seen: Seen, cases: list[Case], operations: int) -> Figure:
    kinds = len({case.who for case in cases})
    refusals = sum(case.statuses is not None for case in cases)
    due = f"; all of {len(cases) - refusals:,} that were due" if refusals < len(cases) else ""
    return Figure(
        f"{len(cases):,} requests: {kinds} {label} ({operations})",
        "no answer to whom it is not due; a refusal says nothing of what there is, and changes nothing",
        f"{len(seen.faults)} faults, first: {seen.faults[0]}"
        if seen.faults
        else f"0 of {refusals:,} not due were answered{due}",
        not seen.faults,
    )
