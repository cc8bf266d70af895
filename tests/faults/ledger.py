"""What a service acknowledged, and what may or may not have been stored; compared with what is there.

After a 5xx or a lost connection a write is unknown: it may be there or not, but not by half. Does not know
why a write failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2
from sqlalchemy import func, select

from app.database.sqlite import read_file
from app.database.tables import Movie, Response, User
from testbed.live import Service

_RESPONSES = "/v1/catalogs/class/users/{user}/responses/{movie}"
_IMPORT = "/v1/catalogs/class/responses:import"
_MOVIES = ("m0", "m1", "m2")
_IMPORTS = 0.2  # of all writes
IMPORTED = 100  # rows of one import

Key = tuple[str, str]


@dataclass
class Ledger:
    """Of each response what it may be now, and of each import whether it may, or must, be there."""

    allowed: dict[Key, set[float | None]] = field(default_factory=dict)
    imports: dict[str, bool] = field(default_factory=dict)
    acknowledged: int = 0

    def write(self, service: Service, draw: Random) -> httpx2.Response | None:
        """Write something at random, note what came of it, and return the answer, None without one."""
        if draw.random() < _IMPORTS:
            return self._import(service)
        key = (f"w{draw.randrange(60)}", draw.choice(_MOVIES))
        value = draw.randrange(101) / 100
        answer = _asked(
            service, "PUT", _RESPONSES.format(user=key[0], movie=key[1]), json={"response": value}
        )
        if answer is not None and answer.is_success:
            self.allowed[key] = {value}
            self.acknowledged += 1
        elif answer is None or answer.status_code >= 500:
            self.allowed.setdefault(key, {None}).add(value)
        return answer

    def _import(self, service: Service) -> httpx2.Response | None:
        name = f"i{len(self.imports)}"
        rows = "".join(f"{name}-{number},m0,1\n" for number in range(IMPORTED))
        content = "user,movie,response\n" + rows
        answer = _asked(service, "POST", _IMPORT, content=content, headers={"content-type": "text/csv"})
        self.imports[name] = answer is not None and answer.is_success
        self.acknowledged += self.imports[name]
        return answer

    def lost(self, database: Path) -> list[str]:
        """Return what is not as it may be, and take what is there for known from here on."""
        stored, summary = _read(database)
        wrong = [
            f"{user} {movie}: {stored.get((user, movie))}, not one of {values}"
            for (user, movie), values in self.allowed.items()
            if stored.get((user, movie)) not in values
        ]
        for name, acknowledged in self.imports.items():
            if summary.get(name, 0) not in ({IMPORTED} if acknowledged else {0, IMPORTED}):
                wrong.append(f"{name}: {summary.get(name, 0)} rows of {IMPORTED}")
        self.allowed = {key: {stored.get(key)} for key in self.allowed}
        self.imports = {name: summary.get(name, 0) > 0 for name in self.imports}
        return wrong


def _asked(service: Service, method: str, path: str, **body: object) -> httpx2.Response | None:
    try:
        return service.http.request(method, path, **body)  # type: ignore[arg-type]  # json, content and headers
    except httpx2.TransportError:
        return None


def _read(database: Path) -> tuple[Mapping[Key, float], Mapping[str, int]]:
    answers = (
        select(User.user, Movie.movie, Response.response)
        .join(User, User.id == Response.user_id)
        .join(Movie, Movie.id == Response.movie_id)
        .where(User.user.startswith("w"))
    )
    name = func.substr(User.user, 1, func.instr(User.user, "-") - 1)
    rows = (
        select(name, func.count())
        .join(Response, Response.user_id == User.id)
        .where(User.user.startswith("i"))
        .group_by(name)
    )
    with read_file(database) as connection:
        return (
            {(row[0], row[1]): row[2] for row in connection.execute(answers)},
            {row[0]: row[1] for row in connection.execute(rows)},
        )
