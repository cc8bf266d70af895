"""The ten best of all movies that a user has not answered, beside what a user would build instead.

The peers have everything in memory and never look at a database. Likely reads the user's state in each
request, so that an answer stored a moment ago counts. Does not know how load is made.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from httpx2 import TransportError

from benchmarks.running import check
from benchmarks.speed import empty_route
from benchmarks.speed.lines import Goal, Line, middle, missing
from benchmarks.speed.load import MISSING, Load, can_load, load
from benchmarks.speed.peers.recommender import Recommender
from benchmarks.speed.served import CATALOG, Truth, running, serving_with_empty_route, train_movielens
from models.mixed_effects.model import MixedEffectsModel
from tests.live import Service

WORK = "`GET …/recommendations?limit=10` over {} movies, 16 connections"
EMPTY = "an empty route of the same application"
HANDLER = "a hand-written FastAPI and torch handler"
LITSERVE = "the same model in LitServe"
GOALS = {
    EMPTY: Goal("at least", 0.4, "of its requests a second"),
    HANDLER: Goal("at least", 2.5, "times its requests a second"),
    LITSERVE: Goal("at least", 5, "times its requests a second"),
}
LIMIT = 10
_REPETITIONS, _CHECKED, _CLOSE, _PEERS_CLOSE = 5, 40, 1e-9, 1e-3
_READY_WITHIN = 60.0


@dataclass(frozen=True)
class Subject:
    """A service and what it is asked, around and around."""

    service: Service
    requests: list[str]

    def recommended(self, number: int) -> list[tuple[str, float]]:
        """Ask one of the requests; return the movies and their logits."""
        path, _, body = self.requests[number].partition(" ")
        if body:
            answer = self.service.http.post(path, content=body, headers={"Content-Type": "application/json"})
        else:
            answer = self.service.http.get(path)
        check(answer.is_success)
        return [(one["movie"], one["logit"]) for one in answer.json()["scores"]]


def measure(movielens: Path) -> Iterator[Line]:
    """Measure Likely and all peers, one after the other, so many times around."""
    if not can_load():
        yield from (missing(WORK.format("all"), peer, goal, MISSING) for peer, goal in GOALS.items())
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as open_services:
        folder = Path(name)
        train_movielens(movielens, folder)
        truth = Truth.of(folder)
        recommender_of(truth).save(folder / "model.pt")
        likely, peers = _start(open_services, folder, list(truth.tastes))
        _check(truth, likely, peers)
        runs = list(_runs(likely, peers))
    work = WORK.format(f"{len(truth.trained.movies.movies):,}")
    for peer, goal in GOALS.items():
        if peer in runs[0]:
            ratios = [run["likely"].rate / run[peer].rate for run in runs]
            run = middle(runs, ratios)
            yield Line(work, peer, goal, ratios, f"{run['likely']}; beside it {run[peer]}")
        else:
            yield missing(work, peer, goal, 'it is not installed: pip install -e ".[bench]"')


def recommender_of(truth: Truth) -> Recommender:
    """Return the same model as a user would have it in memory."""
    model = truth.trained.model
    if not isinstance(model, MixedEffectsModel):
        raise TypeError("the model of mixed_effects was to be trained")
    items = model.predictor.items
    factors = {user: taste.factor for user, taste in truth.tastes.items() if taste.factor is not None}
    return Recommender(
        truth.trained.movies.movies,
        truth.trained.movies.titles,
        items.features.float(),
        items.means[:, 0].float(),
        items.covariances.float(),
        {user: taste.embedding for user, taste in truth.tastes.items()},
        {user: factor @ factor.T for user, factor in factors.items()},
        truth.answered,
    )


def _start(open_services: ExitStack, folder: Path, users: list[str]) -> tuple[Subject, dict[str, Subject]]:
    asked = [f"/v1/catalogs/{CATALOG}/users/{user}/recommendations?limit={LIMIT}" for user in users]
    likely = Subject(open_services.enter_context(serving_with_empty_route(folder)), asked)
    peers = {EMPTY: Subject(likely.service, [empty_route.PATH])}
    handler = open_services.enter_context(_peer("handler", folder))
    peers[HANDLER] = Subject(handler, [f"/users/{user}/recommendations?limit={LIMIT}" for user in users])
    if find_spec("litserve"):
        service = open_services.enter_context(_peer("litserve_api", folder))
        bodies = [json.dumps({"user": user, "limit": LIMIT}) for user in users]
        peers[LITSERVE] = Subject(service, [f"/predict {body}" for body in bodies])
    for subject, path in ((HANDLER, "/readyz"), (LITSERVE, "/health")):
        if subject in peers:
            _wait(peers[subject].service, path)
    return likely, peers


def _peer(module: str, folder: Path) -> AbstractContextManager[Service]:
    return running([f"benchmarks.speed.peers.{module}"], folder, {"MODEL": str(folder / "model.pt")})


def _wait(service: Service, path: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        try:
            if service.http.get(path).is_success:
                return
        except TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"not ready: {service.log.read_text()}")


def _check(truth: Truth, likely: Subject, peers: dict[str, Subject]) -> None:
    """Compare answers: Likely's with all movies sorted, the peers' within the rounding of float32."""
    users = list(truth.tastes)
    for number in range(0, len(users), max(1, len(users) // _CHECKED)):
        movies, logits = truth.best(users[number], LIMIT)
        found = likely.recommended(number)
        check([movie for movie, _ in found] == movies)
        check(all(abs(one[1] - right) < _CLOSE for one, right in zip(found, logits, strict=True)))
        for peer, subject in peers.items():
            if peer != EMPTY:
                beside = subject.recommended(number)
                check(
                    all(abs(one[1] - right) < _PEERS_CLOSE for one, right in zip(beside, logits, strict=True))
                )


def _runs(likely: Subject, peers: dict[str, Subject]) -> Iterator[dict[str, Load]]:
    subjects = {"likely": likely, **peers}
    for subject in subjects.values():
        load(subject.service.url, subject.requests, 1)
    for _ in range(_REPETITIONS):
        yield {name: load(one.service.url, one.requests) for name, one in subjects.items()}
