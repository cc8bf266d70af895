"""Like-scores of five named movies, beside a route of the same application that does nothing.

Each request is for another user than the one before, and for other movies. All users fit into what a web
process remembers, and have been asked for when the clock starts; a second line has none remembered. Does not
know how load is made.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed import empty_route
from benchmarks.speed.lines import Goal, Line, middle, missing
from benchmarks.speed.load import MISSING, can_load, load
from benchmarks.speed.served import CATALOG, Truth, serving_with_empty_route, train_movielens
from testbed.live import Service
from testbed.running import check

WORK = "`GET …/scores` of 5 named movies, 16 connections"
AGAINST = "an empty route of the same application"
GOAL = Goal("at least", 0.6, "of its requests a second")
_REPETITIONS, _MOVIES, _CHECKED, _CLOSE = 5, 5, 40, 1e-9
_FORGETFUL = "the same, no user remembered from an earlier request"
_TWO_PROCESSES = "the same with 2 web processes"
_ONE_PROCESS = "1 web process, the client on the same two cores"


def measure(movielens: Path) -> Iterator[Line]:
    """Measure one web process beside the empty route, remembering users or not, and two beside one."""
    if not can_load():
        yield missing(WORK, AGAINST, GOAL, MISSING)
        yield missing(_FORGETFUL, AGAINST, None, MISSING)
        yield missing(_TWO_PROCESSES, _ONE_PROCESS, None, MISSING)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_movielens(movielens, folder)
        truth = Truth.of(folder)
        paths = score_paths(truth)
        with (
            serving_with_empty_route(folder) as one,
            serving_with_empty_route(folder, factory="create_forgetful_app") as forgetful,
            serving_with_empty_route(folder, 2) as two,
        ):
            for service in (one, forgetful, two):
                check_scores(service, truth, paths)
                load(service.url, paths, 1)
            runs = [
                (
                    load(one.url, paths),
                    load(one.url, [empty_route.PATH]),
                    load(forgetful.url, paths),
                    load(two.url, paths),
                )
                for _ in range(_REPETITIONS)
            ]
    ratios = [ours.rate / empty.rate for ours, empty, *_ in runs]
    ours, empty, *_ = middle(runs, ratios)
    yield Line(WORK, AGAINST, GOAL, ratios, f"{ours}; empty {empty}")
    ratios = [ours.rate / empty.rate for _, empty, ours, _ in runs]
    _, empty, ours, _ = middle(runs, ratios)
    yield Line(_FORGETFUL, AGAINST, None, ratios, f"{ours}; empty {empty}")
    ratios = [both.rate / ours.rate for ours, *_, both in runs]
    ours, *_, both = middle(runs, ratios)
    yield Line(_TWO_PROCESSES, _ONE_PROCESS, None, ratios, f"{both}; one {ours}")


def score_paths(truth: Truth) -> list[str]:
    """Return a request a user, for five movies that are drawn for each."""
    samples = random.Random(1)  # noqa: S311 - seeded on purpose
    return [
        f"/v1/catalogs/{CATALOG}/users/{user}/scores?"
        + "&".join(f"movie={movie}" for movie in samples.sample(truth.trained.movies.movies, _MOVIES))
        for user in truth.posteriors
    ]


def check_scores(service: Service, truth: Truth, paths: list[str]) -> None:
    """Ask some of these requests and compare the answers with the readable formula."""
    for path in paths[:: max(1, len(paths) // _CHECKED)]:
        answer = service.http.get(path)
        check(answer.is_success)
        body = answer.json()
        logits = truth.logits(body["user"])
        asked = [pair.removeprefix("movie=") for pair in path.partition("?")[2].split("&")]
        check([one["movie"] for one in body["scores"]] == asked)
        for one in body["scores"]:
            check(abs(one["logit"] - float(logits[truth.trained.movies.rows[one["movie"]]])) < _CLOSE)
