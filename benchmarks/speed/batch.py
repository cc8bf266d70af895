"""Ten thousand scores in one request, beside NumPy with everything in memory and JSON of the same numbers.

The model is the dot product of `gradient_descent`, which gather and multiply is; what the same request takes
with `mixed_effects`, whose pairs have a variance too, stands beside it. Does not know how load is made: one
request follows the other.
"""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.running import check
from benchmarks.speed.client import Client
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.served import CATALOG, Truth, serving_with_empty_route, train_movielens
from benchmarks.speed.stopwatch import seconds_of

PAIRS = 10_000
WORK = f"`POST …/scores`, {PAIRS:,} pairs a request"
AGAINST = "NumPy gather and multiply in memory, and JSON of the same numbers"
GOAL = Goal("at most", 1.5, "times its time")
_REPETITIONS, _CLOSE = 40, 1e-9
_PATH = f"/v1/catalogs/{CATALOG}/scores"


def measure(movielens: Path) -> Iterator[Line]:
    """Measure both models."""
    for trainer, goal in (("gradient_descent", GOAL), ("mixed_effects", None)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train_movielens(movielens, folder, trainer)
            truth = Truth.of(folder)
            with serving_with_empty_route(folder) as service, Client(service.url) as client:
                ours, bare = _times(client, truth)
        yield Line(
            f"{WORK}, {trainer}",
            AGAINST,
            goal,
            [one / other for one, other in zip(ours, bare, strict=True)],
            f"{1000 * median(ours):.1f} ms; beside it {1000 * median(bare):.1f} ms",
        )


def _times(client: Client, truth: Truth) -> tuple[list[float], list[float]]:
    drawn, movies, users = random.Random(1), truth.trained.movies.movies, list(truth.tastes)  # noqa: S311 - seeded on purpose
    pairs = [(drawn.choice(users), drawn.choice(movies)) for _ in range(PAIRS)]
    body = json.dumps({"pairs": pairs}).encode()

    def ask() -> bytes:
        return client.read("POST", _PATH, body, "application/json")

    bare = _bare(truth, pairs)
    logits = {user: truth.logits(user) for user in {user for user, _ in pairs}}
    right = [float(torch.sigmoid(logits[user][truth.trained.movies.rows[movie]])) for user, movie in pairs]
    check(bool(np.allclose(json.loads(ask())["scores"], right, rtol=0, atol=_CLOSE)))
    if not truth.trained.model.uncertain:
        check(bool(np.allclose(json.loads(bare()), right, rtol=0, atol=_CLOSE)))
    for _ in range(5):
        ask()
        bare()
    timed = [(seconds_of(ask), seconds_of(bare)) for _ in range(_REPETITIONS)]
    return [one for one, _ in timed], [other for _, other in timed]


def _bare(truth: Truth, pairs: list[tuple[str, str]]) -> Callable[[], bytes]:
    """Return what a user would write for pairs that are rows already: no HTTP, no names, no database."""
    places = {user: place for place, user in enumerate(truth.tastes)}
    users = np.array([places[user] for user, _ in pairs])
    rows = np.array([truth.trained.movies.rows[movie] for _, movie in pairs])
    embeddings = np.stack([taste.embedding.double().numpy() for taste in truth.tastes.values()])
    vectors = truth.trained.movies.vectors.double().numpy()

    def compute() -> bytes:
        logits = (embeddings[users, : vectors.shape[1]] * vectors[rows]).sum(axis=1)
        return json.dumps((1.0 / (1.0 + np.exp(-logits))).tolist()).encode()

    return compute
