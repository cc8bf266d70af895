"""Multiply-adds a second in mixed_effects' inner loop, beside a bare torch batched matmul of the same shapes.

The inner loop updates every user of ml-latest-small once: gathers, weighs, multiplies, solves and multiplies
again. Bare are its two products alone, of arrays that are there already, so the ratio of the rates is that of
the times. A second line has some of what no such loop can do without: the items are gathered, weighed,
multiplied, the users' precisions factored and inverted, and multiplied again, each once and in memory that is
there. One thread. Does not know what else a training does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.folder import Folder
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from models.recommender.mixed_effects import users
from models.recommender.mixed_effects.blocks import Batch, BlockedResponses
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from testbed.running import check

WORK = "multiply-adds a second in mixed_effects' inner loop, ml-latest-small"
AGAINST = "a bare torch batched matmul of the same shapes"
_TIMES = 30
_GOAL = Goal("at least", 0.4, "of its multiply-adds a second")


@dataclass(frozen=True)
class _Loop:
    """What a pass over the users takes, for one block: weights and pseudo-targets [responses].

    weighted_covariances [users, K²] are of the items.
    """

    batches: list[Batch]
    items: Items
    prior: Prior
    weights: Tensor
    pseudo_targets: Tensor
    weighted_covariances: Tensor
    workspace: users.Workspace

    def run(self) -> list[users.Posterior]:
        return [
            users.update(
                batch,
                self.items,
                self.prior,
                self.weights[batch.responses],
                self.pseudo_targets[batch.responses],
                self.weighted_covariances[batch.users],
                self.workspace,
            )
            for batch in self.batches
        ]


def measure(movielens: Path) -> Iterator[Line]:
    """Check all users against the formula in float64, then compare the times."""
    torch.set_num_threads(1)
    responses = Folder.read(movielens).responses
    predictor = MixedEffects(MixedEffectsOptions(max_steps=6)).learn(responses, 1, lambda _: None).predictor
    loop = _loop(BlockedResponses.of(responses, len(predictor.population.mean)), predictor)
    _check(loop)
    shapes = [
        (len(batch.user_item.offsets) - 1, batch.length, loop.items.padded_float32.shape[1])
        for batch in loop.batches
    ]
    pairs = [(torch.randn(shape), torch.randn(shape[0], shape[2], shape[2])) for shape in shapes]
    times = InTurn.of(lambda: seconds_of(loop.run), lambda: seconds_of(lambda: _bare(pairs)), _TIMES)
    count = sum(2 * lines * maximum * width**2 for lines, maximum, width in shapes)
    yield Line(
        WORK,
        AGAINST,
        _GOAL,
        times.times_faster,
        f"{count / 1e6:.0f} million in {said(times.ours)}, bare in {said(times.theirs)}, one thread",
    )
    minimum = [_Needed.of(batch, loop, *pair) for batch, pair in zip(loop.batches, pairs, strict=True)]
    least = InTurn.of(
        lambda: sum(item.seconds() for item in minimum), lambda: seconds_of(lambda: _bare(pairs)), _TIMES
    )
    parts = ", ".join(f"{name} {said([value])}" for name, value in _middles(minimum).items())
    yield Line(
        f"{WORK}: its largest parts alone, each once",
        AGAINST,
        None,
        least.times_faster,
        f"{said(least.ours)}: {parts}; bare in {said(least.theirs)}, one thread",
    )


def _loop(cut: BlockedResponses, predictor: Predictor) -> _Loop:
    block = cut.blocks[0]
    check(len(cut.blocks) == 1)
    weights = torch.linspace(0.05, 0.25, len(cut.values))
    weighted_covariances = block.user_item.with_values(weights) @ predictor.items.moments.covariances.float()
    workspace = users.Workspace(block.batches, predictor.items.padded_float32.shape[1], torch.float32)
    prior = predictor.population
    pseudo_targets = cut.values - 0.5
    return _Loop(
        block.batches, predictor.items, prior, weights, pseudo_targets, weighted_covariances, workspace
    )


def _bare(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for there, moments in pairs:
        torch.bmm(there.mT, there)
        torch.bmm(there, moments)


@dataclass(frozen=True)
class _Needed:
    """The parts of a batch's update, by name, each on arrays that are there; seconds of each run so far."""

    parts: dict[str, Callable[[], object]]
    took: dict[str, list[float]]

    @classmethod
    def of(cls, batch: Batch, loop: _Loop, there: Tensor, moments: Tensor) -> "_Needed":
        size = len(loop.prior.mean)
        weights, workspace = torch.rand(there.shape[:2]), torch.empty_like(there)
        samples = torch.randn(len(there), size, size, dtype=torch.float64)
        precisions = samples @ samples.mT + torch.eye(size, dtype=torch.float64)
        factors = torch.linalg.cholesky(precisions)
        flat = workspace.flatten(0, 1)
        parts: dict[str, Callable[[], object]] = {
            "gathering": lambda: torch.index_select(loop.items.padded_float32, 0, batch.item_rows, out=flat),
            "weighing": lambda: torch.mul(there, weights[..., None], out=workspace),
            "their products": lambda: torch.bmm(there.mT, there),
            "Cholesky factors": lambda: torch.linalg.cholesky_ex(precisions),
            "inverses": lambda: torch.cholesky_inverse(factors),
            "products with moments": lambda: torch.bmm(there, moments, out=workspace),
            "their squares": lambda: torch.linalg.vecdot(there, workspace),
        }
        return cls(parts, {name: [] for name in parts})

    def seconds(self) -> float:
        """Run each part once; return the seconds of all."""
        for name, part in self.parts.items():
            self.took[name].append(seconds_of(part))
        return sum(taken[-1] for taken in self.took.values())


def _middles(minimum: list[_Needed]) -> dict[str, float]:
    """Return the median seconds of each part, over all batches together."""
    return {
        name: median(map(sum, zip(*(item.took[name] for item in minimum), strict=True)))
        for name in minimum[0].parts
    }


def _check(loop: _Loop) -> None:
    for batch, result in zip(loop.batches, loop.run(), strict=True):
        offsets = batch.user_item.offsets.tolist()
        check(len(result.means) == len(offsets) - 1)
        weights, pseudo_targets = loop.weights[batch.responses], loop.pseudo_targets[batch.responses]
        for mean, begin, end in zip(result.means, offsets, offsets[1:], strict=False):
            own = slice(begin, end)
            expected = _expected(loop, batch.user_item.columns[own].long(), weights[own], pseudo_targets[own])
            check(torch.allclose(mean, expected, atol=1e-4))


def _expected(loop: _Loop, rows: Tensor, weights: Tensor, pseudo_targets: Tensor) -> Tensor:
    """Return the mean [K] of a user with these items' rows, by the formula alone."""
    weights, pseudo_targets = weights.double(), pseudo_targets.double()
    means = loop.items.moments.means[rows]
    sums = (means * weights[:, None]).T @ means
    side = loop.items.means.shape[1]
    sums[-side:, -side:] += (
        (weights @ loop.items.moments.covariances[rows]).view(side, side).roll((-1, -1), (0, 1))
    )
    slopes = pseudo_targets @ means[:, :-1] - sums[:-1, -1] + loop.prior.precision @ loop.prior.mean
    return torch.linalg.solve(sums[:-1, :-1] + loop.prior.precision, slopes)
