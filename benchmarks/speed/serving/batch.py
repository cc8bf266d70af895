"""Ten thousand scores in one request, beside NumPy with everything in memory and JSON of the same numbers.

The model is the dot product of `gradient_descent`, which gather and multiply is; what the same request takes
with `mixed_effects`, whose pairs have a variance too, stands beside it. One request follows the other; then
four clients ask at once, beside four threads that do the bare work at once.
"""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.client import Client
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.served import CATALOG, Truth, serving_with_empty_route, train_movielens
from benchmarks.speed.stopwatch import InTurn, percentiles, said, seconds_of
from testbed.running import check

PAIRS = 10_000
WORK = f"`POST …/scores`, {PAIRS:,} pairs a request"
AGAINST = "NumPy gather and multiply in memory, and JSON of the same numbers"
GOAL = Goal("at most", 1.5, "times its time")
_REPETITIONS, _CLOSE = 100, 1e-9
_CLIENTS, _AT_ONCE_REPETITIONS = 4, 20
_PATH = f"/v1/catalogs/{CATALOG}/scores"


def measure(movielens: Path) -> Iterator[Line]:
    """Measure both models."""
    for trainer, goal in (("gradient_descent", GOAL), ("mixed_effects", None)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train_movielens(movielens, folder, trainer)
            truth = Truth.of(folder)
            with serving_with_empty_route(folder) as service, ExitStack() as opened:
                clients = [opened.enter_context(Client(service.url)) for _ in range(_CLIENTS)]
                alone, together = _times(clients, truth)
        yield _line(f"{WORK}, {trainer}", AGAINST, goal, alone, percentiles)
        at_once = f"{_CLIENTS} clients at once, until all are answered"
        yield _line(
            f"{WORK}, {trainer}, {at_once}", f"the same, {_CLIENTS} threads at once", None, together, said
        )


def _line(
    work: str, against: str, goal: Goal | None, times: InTurn, words: Callable[[list[float]], str]
) -> Line:
    ratios = [one / other for one, other in zip(times.ours, times.theirs, strict=True)]
    return Line(work, against, goal, ratios, f"{words(times.ours)}; peer {words(times.theirs)}")


def _times(clients: list[Client], truth: Truth) -> tuple[InTurn, InTurn]:
    """Return the times of one request after the other, and of as many at once as there are clients."""
    samples, movies, users = random.Random(1), truth.trained.movies.movies, list(truth.posteriors)  # noqa: S311 - seeded on purpose
    pairs = [(samples.choice(users), samples.choice(movies)) for _ in range(PAIRS)]
    body = json.dumps({"pairs": pairs}).encode()

    def ask(client: Client = clients[0]) -> bytes:
        return client.read("POST", _PATH, body, "application/json")

    bare = _bare(truth, pairs)
    logits = {user: truth.logits(user) for user in {user for user, _ in pairs}}
    right = [float(torch.sigmoid(logits[user][truth.trained.movies.rows[movie]])) for user, movie in pairs]
    for client in clients:
        check(bool(np.allclose(json.loads(ask(client))["scores"], right, rtol=0, atol=_CLOSE)))
    if not truth.trained.model.uncertain:
        check(bool(np.allclose(json.loads(bare()), right, rtol=0, atol=_CLOSE)))
    for _ in range(5):
        ask()
        bare()
    alone = InTurn.of(lambda: seconds_of(ask), lambda: seconds_of(bare), _REPETITIONS)
    with ThreadPoolExecutor(len(clients)) as pool:

        def ask_at_once() -> list[bytes]:
            return list(pool.map(ask, clients))

        for answer in ask_at_once():
            check(bool(np.allclose(json.loads(answer)["scores"], right, rtol=0, atol=_CLOSE)))
        together = InTurn.of(
            lambda: seconds_of(ask_at_once),
            lambda: seconds_of(lambda: list(pool.map(lambda _: bare(), clients))),
            _AT_ONCE_REPETITIONS,
        )
    return alone, together


def _bare(truth: Truth, pairs: list[tuple[str, str]]) -> Callable[[], bytes]:
    """Return what a user would write for pairs that are rows already: no HTTP, no names, no database."""
    places = {user: place for place, user in enumerate(truth.posteriors)}
    users = np.array([places[user] for user, _ in pairs])
    rows = np.array([truth.trained.movies.rows[movie] for _, movie in pairs])
    embeddings = np.stack([posterior.embedding.double().numpy() for posterior in truth.posteriors.values()])
    vectors = truth.trained.movies.vectors.double().numpy()

    def compute() -> bytes:
        logits = (embeddings[users, : vectors.shape[1]] * vectors[rows]).sum(axis=1)
        return json.dumps((1.0 / (1.0 + np.exp(-logits))).tolist()).encode()

    return compute
