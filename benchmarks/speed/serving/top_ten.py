"""The ten best of a million movies, exactly, beside the bare product that computes no more than their logits.

In this process, with one thread, as a web process has it. Does not know HTTP.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import seconds_of
from models.recommender import scoring
from models.recommender.scoring import Best
from testbed.running import check

MOVIES, DIMENSIONS, LIMIT = 1_000_000, 64, 10
WORK = f"top {LIMIT} of {MOVIES:,} movies × {DIMENSIONS} dimensions, exact, one thread"
AGAINST = "the bare matrix-vector product in torch"
GOAL = Goal("at most", 1.3, "times its time")
_FAISS = "FAISS, flat index (inner product)"
_REPETITIONS = 30


def measure(movielens: Path) -> Iterator[Line]:  # noqa: ARG001 - made numbers do
    """Measure all three, one after the other, so many times around, each time for another person."""
    torch.set_num_threads(1)
    samples = torch.Generator().manual_seed(1)
    vectors = torch.randn(MOVIES, DIMENSIONS, generator=samples)
    people = torch.randn(_REPETITIONS + 2, DIMENSIONS, generator=samples)
    largest = float(torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64).max())
    nobody = torch.empty(0, dtype=torch.int64)

    def best(person: Tensor) -> Best:
        return scoring.best(person, vectors, largest, LIMIT, nobody, -torch.inf)

    faiss = _faiss(vectors) if find_spec("faiss") else None
    why = "" if faiss else 'it is not installed: pip install -e ".[bench]"'
    for person in people[:2]:
        right = torch.sort(vectors.double() @ person.double(), descending=True, stable=True)
        check(torch.equal(best(person).rows, right.indices[:LIMIT]))
        if faiss is not None and faiss(person) != right.indices[:LIMIT].tolist():
            faiss, why = None, "its answers are others"
    ours, bare, flat = [], [], []
    for person in people[2:]:
        ours.append(seconds_of(lambda: best(person)))  # noqa: B023 - called at once
        bare.append(seconds_of(lambda: vectors @ person))  # noqa: B023 - likewise
        if faiss is not None:
            flat.append(seconds_of(lambda: faiss(person)))  # noqa: B023 - likewise
    message = f"{1000 * median(ours):.1f} ms; peer {{:.1f}} ms"
    yield Line(WORK, AGAINST, GOAL, _ratios(ours, bare), message.format(1000 * median(bare)))
    if faiss is None:
        yield missing(WORK, _FAISS, None, why, failed=find_spec("faiss") is not None)
    else:
        yield Line(WORK, _FAISS, None, _ratios(ours, flat), message.format(1000 * median(flat)))


def _faiss(vectors: Tensor) -> Callable[[Tensor], list[int]]:
    """Return what finds the rows of the best, best first."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(vectors.numpy())

    def search(person: Tensor) -> list[int]:
        rows: list[int] = index.search(person[None].numpy(), LIMIT)[1][0].tolist()
        return rows

    return search


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]
