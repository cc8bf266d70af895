"""The ten best of all movies that a user has not answered, beside what a user would build instead.

The peers have everything in memory and never look at a database. Likely reads the user's state in each
request, so that an answer stored a moment ago counts. Does not know how load is made.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from httpx2 import TransportError

from benchmarks.speed import empty_route
from benchmarks.speed.lines import Goal, Line, middle, missing
from benchmarks.speed.load import MISSING, Load, LoadError, can_load, load
from benchmarks.speed.peers.recommender import Recommender
from benchmarks.speed.served import CATALOG, Truth, running, serving_with_empty_route, train_movielens
from models.recommender.mixed_effects.model import MixedEffectsModel
from testbed.live import Service
from testbed.running import check

WORK = "`GET …/recommendations?limit=10` over {} movies, 16 connections"
EMPTY = "an empty route of the same application"
HANDLER = "a hand-written FastAPI and torch handler"
HANDLER_ALONE = f"{HANDLER}, one thread of torch's"
LITSERVE = "the same model in LitServe"
GOALS = {
    EMPTY: Goal("at least", 0.4, "of its requests a second"),
    HANDLER: Goal("at least", 2.5, "times its requests a second"),
    HANDLER_ALONE: Goal("at least", 2.5, "times its requests a second"),
    LITSERVE: Goal("at least", 5, "times its requests a second"),
}
LIMIT = 10
_REPETITIONS, _CHECKED, _CLOSE, _PEERS_CLOSE = 5, 40, 1e-9, 1e-3
_READY_WITHIN = 60.0
_READY_PATHS = {HANDLER: "/readyz", HANDLER_ALONE: "/readyz", LITSERVE: "/health"}


@dataclass(frozen=True)
class Subject:
    """A service and what it is asked, around and around."""

    service: Service
    requests: list[str]

    def recommended(self, number: int) -> list[tuple[str, float]]:
        """Ask one of the requests; return the movies and their logits, none where it was refused."""
        path, _, body = self.requests[number].partition(" ")
        if body:
            answer = self.service.http.post(path, content=body, headers={"Content-Type": "application/json"})
        else:
            answer = self.service.http.get(path)
        if not answer.is_success:
            return []
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
        likely, peers = _start(open_services, folder, list(truth.posteriors))
        _check(truth, likely)
        faults = _faults(truth, peers)
        runs = list(_runs(likely, peers, faults))
    yield from lines(WORK.format(f"{len(truth.trained.movies.movies):,}"), runs, faults)


def lines(work: str, runs: list[dict[str, Load]], faults: dict[str, str]) -> Iterator[Line]:
    """Return a line a peer; one that failed leaves its own empty, and no other."""
    for peer, goal in GOALS.items():
        if peer in faults:
            yield missing(work, peer, goal, faults[peer], failed=True)
        elif peer in runs[0]:
            ratios = [run["likely"].rate / run[peer].rate for run in runs]
            run = middle(runs, ratios)
            yield Line(work, peer, goal, ratios, f"{run['likely']}; peer {run[peer]}")
        else:
            yield missing(work, peer, goal, 'it is not installed: pip install -e ".[bench]"')


def recommender_of(truth: Truth) -> Recommender:
    """Return the same model as a user would have it in memory."""
    model = truth.trained.model
    if not isinstance(model, MixedEffectsModel):
        raise TypeError("the model of mixed_effects was to be trained")
    items = model.predictor.items
    factors = {
        user: posterior.factor for user, posterior in truth.posteriors.items() if posterior.factor is not None
    }
    return Recommender(
        truth.trained.movies.movies,
        truth.trained.movies.titles,
        items.features.float(),
        items.means[:, 0].float(),
        items.covariances.float(),
        {user: posterior.embedding for user, posterior in truth.posteriors.items()},
        {user: factor @ factor.T for user, factor in factors.items()},
        truth.answered,
    )


def _start(open_services: ExitStack, folder: Path, users: list[str]) -> tuple[Subject, dict[str, Subject]]:
    asked = [f"/v1/catalogs/{CATALOG}/users/{user}/recommendations?limit={LIMIT}" for user in users]
    likely = Subject(open_services.enter_context(serving_with_empty_route(folder)), asked)
    peers = {EMPTY: Subject(likely.service, [empty_route.PATH])}
    paths = [f"/users/{user}/recommendations?limit={LIMIT}" for user in users]
    for handler, settings in ((HANDLER, {}), (HANDLER_ALONE, {"OMP_NUM_THREADS": "1"})):
        peers[handler] = Subject(open_services.enter_context(_peer("handler", folder, settings)), paths)
    if find_spec("litserve"):
        service = open_services.enter_context(_peer("litserve_api", folder))
        bodies = [json.dumps({"user": user, "limit": LIMIT}) for user in users]
        peers[LITSERVE] = Subject(service, [f"/predict {body}" for body in bodies])
    return likely, peers


def _peer(
    module: str, folder: Path, settings: Mapping[str, str] | None = None
) -> AbstractContextManager[Service]:
    environment = {"MODEL": str(folder / "model.pt"), **(settings or {})}
    return running([f"benchmarks.speed.peers.{module}"], folder, environment)


def _faults(truth: Truth, peers: dict[str, Subject]) -> dict[str, str]:
    """Return what is wrong with each peer that is not ready in time, or answers wrongly."""
    result = {
        peer: fault_of(subject, _READY_PATHS[peer], truth)
        for peer, subject in peers.items()
        if peer in _READY_PATHS
    }
    return {peer: fault for peer, fault in result.items() if fault}


def fault_of(subject: Subject, path: str, truth: Truth) -> str:
    """Return why a peer cannot be measured; an empty sentence where it can."""
    if not _becomes_ready(subject.service, path):
        return f"not ready in {_READY_WITHIN:g} s: {_last_line(subject.service)}"
    try:
        right = all(_is_close(subject.recommended(number), best[1]) for number, best in _bests(truth))
    except (TransportError, ValueError, KeyError) as error:
        return f"its answers cannot be read: {error!r}"
    return "" if right else "its answers are others"


def _becomes_ready(service: Service, path: str) -> bool:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if service.http.get(path).is_success:
                return True
        except TransportError:
            pass
        time.sleep(0.1)
    return False


def _last_line(service: Service) -> str:
    written = service.log.read_text().strip().splitlines()
    return written[-1].replace("|", "/") if written else "it wrote nothing"


def _bests(truth: Truth) -> Iterator[tuple[int, tuple[list[str], list[float]]]]:
    """Return some users' numbers, and what is best for each by sorting all movies."""
    users = list(truth.posteriors)
    for number in range(0, len(users), max(1, len(users) // _CHECKED)):
        yield number, truth.best(users[number], LIMIT)


def _check(truth: Truth, likely: Subject) -> None:
    """Compare Likely's answers with all movies sorted."""
    for number, (movies, logits) in _bests(truth):
        result = likely.recommended(number)
        check([movie for movie, _ in result] == movies)
        check(all(abs(one[1] - right) < _CLOSE for one, right in zip(result, logits, strict=True)))


def _is_close(result: list[tuple[str, float]], logits: list[float]) -> bool:
    """Return whether a peer's logits are right within the rounding of float32."""
    return len(result) == len(logits) and all(
        abs(one[1] - right) < _PEERS_CLOSE for one, right in zip(result, logits, strict=True)
    )


def _runs(likely: Subject, peers: dict[str, Subject], faults: dict[str, str]) -> Iterator[dict[str, Load]]:
    """Yield each repetition's loads; a peer that fails under load goes to the faults."""

    def loads(seconds: int) -> dict[str, Load]:
        result = {"likely": load(likely.service.url, likely.requests, seconds)}
        for peer in [item for item in peers if item not in faults]:
            try:
                result[peer] = load(peers[peer].service.url, peers[peer].requests, seconds)
            except LoadError as error:
                faults[peer] = str(error)
        return result

    loads(1)
    for _ in range(_REPETITIONS):
        yield loads(3)
