"""The ten best of three million movies by an index, beside looking at each movie as the service does without.

    python -m benchmarks.speed.serving.movie_index [MOVIES [DIMENSIONS]]    # the lines alone, for other sizes

In this process, with one thread, as a web process has it. A movie has an appeal of its own beside its
dimensions. Two draws: normal numbers, in which nothing is near anything, the hard case; and two thousand
clusters of unequal size around which movies and people lie, in a few strong directions and many weak ones, as
learned embeddings do. Does not know HTTP.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.speed.lines import Goal, Line, missing
from benchmarks.speed.stopwatch import seconds_of
from models.recommender.class_model.dot_product import DotProduct
from models.recommender.class_model.objective import Objective
from models.recommender.model import UserPosterior
from models.recommender.scoring import Best
from models.recommender.shortlist import LIMIT, Recall, Shortlist, each_alone
from models.recommender.shortlist import measure as measure_recall
from testbed.running import check

MOVIES, DIMENSIONS = 3_000_000, 64
BRUTE_FORCE = "every movie, as the service scores them"
FASTER, NEARER = Goal("at most", 0.2, "of its time"), Goal("at least", 0.99, "of its ten best")
_MEASURED, _TIMED = 200, 60  # people; half of the first only choose the candidates
_PEOPLE = _MEASURED + _TIMED
_CLUSTERS, _AT_ONCE, _ANSWERED = 2000, 100_000, 1000
_NOTHING = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Drawn:
    """Movies [movies, dimensions + 1], the last number an appeal, and people who take that as it is."""

    kind: str
    vectors: Tensor
    posteriors: list[UserPosterior]


def measure(movielens: Path) -> Iterator[Line]:  # noqa: ARG001 - made numbers do
    """Measure at the size of the goal."""
    yield from lines(MOVIES, DIMENSIONS)


def lines(movies: int, dimensions: int) -> Iterator[Line]:
    """Measure both draws."""
    work = f"top {LIMIT} of {movies:,} movies × {dimensions} dimensions by the index, "
    if find_spec("faiss") is None:
        why = "FAISS is not installed: pip install -e '.[faiss]'"
        for goal in (NEARER, FASTER):
            yield missing(work, BRUTE_FORCE, goal, why)
        return
    torch.set_num_threads(1)
    for draw in (_normal, _clusters):
        yield from _measured(work, draw(movies, dimensions, torch.Generator().manual_seed(1)))


def _measured(work: str, samples: Drawn) -> Iterator[Line]:
    model = DotProduct(samples.vectors, _nobody_learns, Objective(), coupled=False)
    took = time.perf_counter()
    shortlist = Shortlist(model, len(samples.vectors))
    for _ in shortlist.codes():
        pass
    took = time.perf_counter() - took
    measurement, timed = samples.posteriors[:_MEASURED], samples.posteriors[_MEASURED:]
    recall = measure_recall(shortlist, model, measurement, lambda: None)
    if recall is None:
        yield missing(
            work + samples.kind, BRUTE_FORCE, NEARER, "no number of candidates is enough", failed=True
        )
        return
    message = f"{recall.candidates} candidates, {recall.users} users; the index takes {took:.0f} s to make"
    yield Line(work + samples.kind, BRUTE_FORCE, NEARER, [recall.recall], message)
    for answers, goal in ((0, FASTER), (_ANSWERED, None)):
        yield _timed(work + samples.kind, model, shortlist, recall, timed, answers, goal)


def _timed(
    work: str,
    model: DotProduct,
    shortlist: Shortlist,
    recall: Recall,
    posteriors: list[UserPosterior],
    answers: int,
    goal: Goal | None,
) -> Line:
    """Ask both in turn, for one person after the other who answered so many of what they like best."""
    ours, theirs = [], []
    for posterior in posteriors:
        left_out = model.best(posterior, answers, _NOTHING, -torch.inf).rows if answers else _NOTHING
        result: list[Best] = []

        def ask(
            posterior: UserPosterior = posterior, left_out: Tensor = left_out, result: list[Best] = result
        ) -> None:
            best = shortlist.best(posterior, LIMIT, left_out, -torch.inf, recall.candidates)
            check(best is not None)
            result.append(each_alone(model, posterior, best or Best(_NOTHING, _NOTHING)))

        ours.append(seconds_of(ask))
        theirs.append(seconds_of(lambda: model.best(posterior, LIMIT, left_out, -torch.inf)))  # noqa: B023 - called at once
        check(torch.equal(result[0].logits, model.predict(posterior, result[0].rows).logits))
        check(not set(result[0].rows.tolist()) & set(left_out.tolist()))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    message = f"{1000 * median(ours):.2f} ms; peer {1000 * median(theirs):.1f} ms; {len(ratios)} users"
    return Line(work + (f", {answers:,} answered" if answers else ""), BRUTE_FORCE, goal, ratios, message)


def _normal(movies: int, dimensions: int, source: torch.Generator) -> Drawn:
    vectors = torch.randn(movies, dimensions + 1, generator=source)
    people = torch.randn(_PEOPLE, dimensions, generator=source) / dimensions**0.5
    return Drawn("normal numbers", _with_appeals(vectors), _posteriors(people))


def _clusters(movies: int, dimensions: int, source: torch.Generator) -> Drawn:
    strengths = 1.0 / (1.0 + torch.arange(dimensions) / 4.0).sqrt()
    centers = torch.randn(_CLUSTERS, dimensions, generator=source)
    shares = torch.rand(_CLUSTERS, generator=source).square()  # few large ones
    vectors = torch.empty(movies, dimensions + 1)
    for part in torch.split(vectors, _AT_ONCE):
        choice = torch.multinomial(shares, len(part), replacement=True, generator=source)
        part.normal_(generator=source)
        part[:, :-1] = (0.5 * part[:, :-1] + centers[choice]) * strengths
    likes = torch.randint(0, _CLUSTERS, (2, _PEOPLE), generator=source)
    people = torch.randn(_PEOPLE, dimensions, generator=source) + centers[likes].sum(dim=0)
    people = people * strengths
    return Drawn(
        "clusters", _with_appeals(vectors), _posteriors(1.5 * people / people.norm(dim=1, keepdim=True))
    )


def _with_appeals(vectors: Tensor) -> Tensor:
    vectors[:, -1].mul_(0.7).sub_(1.0)
    return vectors


def _posteriors(people: Tensor) -> list[UserPosterior]:
    return [UserPosterior(one) for one in torch.cat([people, torch.ones(len(people), 1)], dim=1)]


def _nobody_learns(*_: object) -> Tensor:
    raise NotImplementedError


if __name__ == "__main__":
    asked = [int(size) for size in sys.argv[1:]] or [MOVIES]
    for line in lines(asked[0], asked[1] if len(asked) > 1 else DIMENSIONS):
        ratio = f"{line.ratio:.4g}" if line.ratio is not None else "-"
        print(f"{line.work}: {ratio} ({line.goal or 'no goal'}) {line.said}", flush=True)  # noqa: T201 - its purpose
