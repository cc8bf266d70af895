"""The two half-steps, range by range: what is done in one range needs nothing of another.

A range of users is a block of the responses, one of items so many of them. What the ranges of users leave is
added up in one order, that of `total`, so that who does which range, and where, changes no bit. `Here` does
them one after the other; another process may do as well. Does not know what users and items have in common.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import add
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.mixed_effects import items as items_
from models.recommender.mixed_effects import users as users_
from models.recommender.mixed_effects.blocks import Block, Cut
from models.recommender.mixed_effects.items import Items, Sums
from models.recommender.mixed_effects.logistic import evidence
from models.recommender.mixed_effects.predictor import covariance_factors
from models.recommender.mixed_effects.priors import Posteriors, Prior
from models.recommender.model import UserPosteriors, packed

ADDED_AT_ONCE = 16
_ITEMS_AT_ONCE = 16_384

Part = TypeVar("Part", bound=Any)  # whatever can be added


class Common(NamedTuple):
    """What all users are held to in a half-step: the items, and the users' prior."""

    items: Items
    prior: Prior


class Known(NamedTuple):
    """What the last half-step left of a block's responses: weights and pulls, float32 [responses]."""

    weights: Tensor
    pulls: Tensor


class Moved(NamedTuple):
    """A range of items' new means [n, K], covariances [n, K, K], and the sum of their log determinants."""

    means: Tensor
    covariances: Tensor
    log_determinants: float


@dataclass(frozen=True)
class Totals:
    """What the users' half-step leaves for their prior and the bound, summed over users."""

    users: Posteriors
    likelihood: float

    def __add__(self, other: Self) -> "Totals":
        return Totals(self.users + other.users, self.likelihood + other.likelihood)


@dataclass(frozen=True)
class Left:
    """All that it leaves, summed over users: totals, and what the items' half-step needs."""

    totals: Totals
    items: Sums

    def __add__(self, other: Self) -> "Left":
        return Left(self.totals + other.totals, self.items + other.items)


class HalfSteps(Protocol):
    """Takes half-steps over all users and all items of a training."""

    def move_users(self, common: Common) -> Totals:
        """Update all users once, and keep what the items need of them."""
        ...

    def move_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        """Return all items with new posteriors, and the sum of their covariances' log determinants."""
        ...

    def settle(self, common: Common) -> UserPosteriors:
        """Return every user's posterior with the items held where they are, by the users' rows."""
        ...


class Here:
    """Takes the half-steps in this process, one range after the other."""

    def __init__(self, responses: Responses, size: int) -> None:
        self._cut = Cut.of(responses, size)
        self._known = [begun(answers) for _, answers in self._blocks()]
        self._sums: Sums

    def _blocks(self) -> Iterator[tuple[Block, Tensor]]:
        for block in self._cut.blocks:
            yield block, self._cut.values[block.responses]

    def move_users(self, common: Common) -> Totals:
        """Update all users once, and keep what the items need of them."""

        def moved() -> Iterator[Left]:
            for number, (block, answers) in enumerate(self._blocks()):
                self._known[number], left = move_users(block, answers, self._known[number], common)
                yield left

        left = total(moved())
        self._sums = left.items
        return left.totals

    def move_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        """Return all items with new posteriors, and the sum of their covariances' log determinants."""
        ranges = item_ranges(len(items.means))
        moved = [move_items(items.part(own), prior.part(own), self._sums.part(own)) for own in ranges]
        return together(items, moved)

    def settle(self, common: Common) -> UserPosteriors:
        """Return every user's posterior with the items held where they are, by the users' rows."""
        settled = (
            settle(block, answers, known, common)
            for (block, answers), known in zip(self._blocks(), self._known, strict=True)
        )
        return by_rows(self._cut.order, settled, common.items.features.shape[1])


def total(parts: Iterable[Part]) -> Part:
    """Add up the parts by sixteens, then those sums by sixteens, until there is one.

    So whoever has sixteen parts that belong together can add them before anybody else has the rest. Raises
    `ValueError` where there is none.
    """
    while True:
        given = iter(parts)
        added = [reduce(add, islice(given, ADDED_AT_ONCE - 1), first) for first in given]
        if not added:
            raise ValueError("there is nothing to add up")
        if len(added) == 1:
            return added[0]
        parts = added


def item_ranges(count: int) -> list[slice]:
    """Return the ranges that so many items are updated in."""
    return [slice(start, min(start + _ITEMS_AT_ONCE, count)) for start in range(0, count, _ITEMS_AT_ONCE)]


def move_items(items: Items, prior: Prior, users: Sums) -> Moved:
    """Update a range of items, given what it needs of all users."""
    items, log_determinants = items_.update(items, prior, users)
    return Moved(items.means, items.covariances, log_determinants)


def together(items: Items, moved: Iterable[Moved]) -> tuple[Items, float]:
    """Return the items with the new posteriors of all ranges, and the sum of the log determinants."""
    means, covariances, log_determinants = zip(*moved, strict=True)
    return replace(items, means=_joined(means), covariances=_joined(covariances)), total(log_determinants)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def by_rows(order: Tensor, settled: Iterable[UserPosteriors], size: int) -> UserPosteriors:
    """Return the blocks' tastes, whose users stand in ``order`` [users], by the users' rows."""
    embeddings = torch.empty(len(order), size)
    factors = torch.empty(len(order), size * (size + 1) // 2)
    start = 0
    for tastes in settled:
        rows = order[start : start + len(tastes)]
        embeddings[rows] = tastes.embeddings
        if tastes.factors is not None:
            factors[rows] = tastes.factors
        start += len(tastes)
    return UserPosteriors(embeddings, factors)


def begun(answers: Tensor) -> Known:
    """Return what there is of responses before the first half-step."""
    said = evidence(answers, torch.zeros_like(answers), torch.ones_like(answers))
    return Known(said.weights, said.pulls)


def move_users(block: Block, answers: Tensor, known: Known, common: Common) -> tuple[Known, Left]:
    """Update a block's users once."""
    items, named = common.items, common.items.named
    precision = users_.precision(block.batches)
    room = users_.Room(block.batches, items.wide.shape[1], precision)
    covariances = items.moments.covariances.to(precision)
    weights, pulls = (each.to(precision) for each in known)
    count, users = len(answers), block.users.stop - block.users.start
    logits, squares = weights.new_empty(count), weights.new_empty(count)
    crossed = torch.empty(count, items.means.shape[1], dtype=torch.float64)
    learned = torch.empty(users, items.means.shape[1] ** 2, dtype=torch.float64)
    means = torch.empty(users, len(common.prior.mean), dtype=torch.float64)
    covariances_sum, log_determinants = torch.zeros_like(common.prior.covariance), 0.0
    spread = block.asked.holding(weights) @ covariances
    for batch in block.batches:
        own = batch.responses
        posterior = users_.update(
            batch, items, common.prior, weights[own], pulls[own], spread[batch.users], room
        )
        means[batch.users] = posterior.means
        covariances_sum += posterior.covariances.sum(0)
        log_determinants += float(posterior.log_determinants.sum())
        learned[batch.users] = posterior.learned(named)
        logits[own] = batch.unlined(posterior.logits)
        squares[own] = batch.unlined(posterior.squares)
        crossed[own] = batch.unlined(posterior.crossed(named))
    # what the items' covariances add
    squares = torch.sparse.sampled_addmm(
        block.asked.holding(squares), learned.to(precision), covariances.T
    ).values()
    said = evidence(*(each.float() for each in (answers, logits, (squares - logits**2).clamp(min=0))))
    posteriors = common.prior.compared(means, covariances_sum, log_determinants)
    totals = Totals(posteriors, float(said.likelihood.sum(dtype=torch.float64)))
    return Known(said.weights, said.pulls), Left(totals, items_.sums(block, said, learned, crossed))


def settle(block: Block, answers: Tensor, known: Known, common: Common) -> UserPosteriors:
    """Return the posteriors of a block's users, in its order, with the items held where they are."""
    users, size = block.users.stop - block.users.start, len(common.prior.mean)
    embeddings, factors = torch.empty(users, size), torch.empty(users, size * (size + 1) // 2)
    room = users_.Room(block.batches, common.items.wide.shape[1], torch.float64)
    for batch in block.batches:
        own, weights, pulls = (each[batch.responses].double() for each in (answers, *known))
        posterior = users_.settled(batch, common.items, common.prior, own, weights, pulls, room)
        embeddings[batch.users] = posterior.means.float()
        factors[batch.users] = packed(covariance_factors(posterior.factors)).float()
    return UserPosteriors(embeddings, factors)
