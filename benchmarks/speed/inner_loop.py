"""Multiply-adds a second in mixed_effects' inner loop, beside a bare torch batched matmul of the same shapes.

The inner loop updates every user of ml-latest-small once: gathers, weighs, multiplies, solves and multiplies
again. Bare are its two products alone, of arrays that are there already, so the ratio of the rates is that of
the times. One thread. Does not know what else a training does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.folder import Folder
from benchmarks.running import check
from benchmarks.speed.lines import Goal, Line
from benchmarks.speed.stopwatch import InTurn, said, seconds_of
from models.mixed_effects import users
from models.mixed_effects.blocks import Batch, Cut
from models.mixed_effects.items import Items
from models.mixed_effects.predictor import Predictor
from models.mixed_effects.priors import Prior
from models.mixed_effects.trainer import MixedEffects, MixedEffectsOptions

_TIMES = 30
_GOAL = Goal("at least", 0.4, "of its multiply-adds a second")


@dataclass(frozen=True)
class _Loop:
    """What a pass over the users takes, for one block: weights and pulls [responses], spread [users, K²]."""

    batches: list[Batch]
    items: Items
    prior: Prior
    weights: Tensor
    pulls: Tensor
    spread: Tensor
    room: users.Room

    def run(self) -> list[users.Posterior]:
        return [
            users.update(
                batch,
                self.items,
                self.prior,
                self.weights[batch.responses],
                self.pulls[batch.responses],
                self.spread[batch.users],
                self.room,
            )
            for batch in self.batches
        ]


def measure(movielens: Path) -> Iterator[Line]:
    """Check all users against the formula in float64, then compare the times."""
    torch.set_num_threads(1)
    responses = Folder.read(movielens).responses
    predictor = MixedEffects(MixedEffectsOptions(max_steps=6)).learn(responses, 1, lambda _: None).predictor
    loop = _loop(Cut.of(responses, len(predictor.population.mean)), predictor)
    _check(loop)
    shapes = [
        (len(batch.asked.offsets) - 1, batch.most, loop.items.narrow.shape[1]) for batch in loop.batches
    ]
    pairs = [(torch.randn(shape), torch.randn(shape[0], shape[2], shape[2])) for shape in shapes]
    times = InTurn.of(lambda: seconds_of(loop.run), lambda: seconds_of(lambda: _bare(pairs)), _TIMES)
    count = sum(2 * lines * most * width**2 for lines, most, width in shapes)
    yield Line(
        "multiply-adds a second in mixed_effects' inner loop, ml-latest-small",
        "a bare torch batched matmul of the same shapes",
        _GOAL,
        times.times_faster,
        f"{count / 1e6:.0f} million in {said(times.ours)}, bare in {said(times.theirs)}, one thread",
    )


def _loop(cut: Cut, predictor: Predictor) -> _Loop:
    block = cut.blocks[0]
    check(len(cut.blocks) == 1)
    weights = torch.linspace(0.05, 0.25, len(cut.values))
    spread = block.asked.holding(weights) @ predictor.items.moments.covariances.float()
    room = users.Room(block.batches, predictor.items.narrow.shape[1], torch.float32)
    prior = predictor.population
    return _Loop(block.batches, predictor.items, prior, weights, cut.values - 0.5, spread, room)


def _bare(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for there, moments in pairs:
        torch.bmm(there.mT, there)
        torch.bmm(there, moments)


def _check(loop: _Loop) -> None:
    for batch, found in zip(loop.batches, loop.run(), strict=True):
        offsets = batch.asked.offsets.tolist()
        check(len(found.means) == len(offsets) - 1)
        weights, pulls = loop.weights[batch.responses], loop.pulls[batch.responses]
        for mean, begin, end in zip(found.means, offsets, offsets[1:], strict=False):
            own = slice(begin, end)
            expected = _expected(loop, batch.asked.columns[own].long(), weights[own], pulls[own])
            check(torch.allclose(mean, expected, atol=1e-4))


def _expected(loop: _Loop, rows: Tensor, weights: Tensor, pulls: Tensor) -> Tensor:
    """Return the mean [K] of a user with these items' rows, by the formula alone."""
    weights, pulls = weights.double(), pulls.double()
    means = loop.items.moments.means[rows]
    sums = (means * weights[:, None]).T @ means
    side = loop.items.means.shape[1]
    sums[-side:, -side:] += (weights @ loop.items.moments.covariances[rows]).view(side, side)
    slopes = pulls @ means[:, :-1] - sums[:-1, -1] + loop.prior.precision @ loop.prior.mean
    return torch.linalg.solve(sums[:-1, :-1] + loop.prior.precision, slopes)
