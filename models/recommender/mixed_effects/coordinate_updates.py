"""Coordinate updates of all users and of all items, range by range; no range needs anything of another.

A range of users is a block of the responses, a range of items a fixed number of them. The sums over ranges
of users are added in one order, that of `tree_sum`, so where a range is computed changes no bit.
`LocalUpdates` computes one range after the other in this process; a cluster may compute them as well.
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
from models.recommender.mixed_effects.blocks import Block, BlockedResponses
from models.recommender.mixed_effects.items import Items, ItemSums
from models.recommender.mixed_effects.logistic import expectations
from models.recommender.mixed_effects.predictor import covariance_factors
from models.recommender.mixed_effects.priors import PosteriorSums, Prior
from models.recommender.model import UserPosteriors, packed

FAN_IN = 16
_ITEMS_PER_RANGE = 16_384

Summand = TypeVar("Summand", bound=Any)  # whatever has +


class GlobalParameters(NamedTuple):
    """What a users' update holds fixed: the items, and the users' prior."""

    items: Items
    prior: Prior


class Sites(NamedTuple):
    """Weights and pseudo-targets of a block's responses after an update, float32 [responses]."""

    weights: Tensor
    pseudo_targets: Tensor


class ItemPosteriors(NamedTuple):
    """A range of items' means [n, K], covariances [n, K, K], and the sum of their log determinants."""

    means: Tensor
    covariances: Tensor
    log_determinants: float


@dataclass(frozen=True)
class Totals:
    """Sums over users for their prior and for the bound."""

    posteriors: PosteriorSums
    log_likelihood: float

    def __add__(self, other: Self) -> "Totals":
        return Totals(self.posteriors + other.posteriors, self.log_likelihood + other.log_likelihood)


@dataclass(frozen=True)
class UserSums:
    """All sums over users: the totals, and those that the items' update needs."""

    totals: Totals
    items: ItemSums

    def __add__(self, other: Self) -> "UserSums":
        return UserSums(self.totals + other.totals, self.items + other.items)


class CoordinateUpdates(Protocol):
    """Updates all users and all items of a training."""

    def update_users(self, parameters: GlobalParameters) -> Totals:
        """Update all users once, and keep the sums that the items need."""
        ...

    def update_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        """Return all items with new posteriors, and the sum of their covariances' log determinants."""
        ...

    def fold_in_users(self, parameters: GlobalParameters) -> UserPosteriors:
        """Return every user's posterior with the items held fixed, by the users' rows."""
        ...


class LocalUpdates:
    """Updates in this process, one range after the other."""

    def __init__(self, responses: Responses, size: int) -> None:
        self._responses = BlockedResponses.of(responses, size)
        self._sites = [initial_sites(answers) for _, answers in self._blocks()]
        self._sums: ItemSums

    def _blocks(self) -> Iterator[tuple[Block, Tensor]]:
        for block in self._responses.blocks:
            yield block, self._responses.values[block.responses]

    def update_users(self, parameters: GlobalParameters) -> Totals:
        def sums_of_blocks() -> Iterator[UserSums]:
            for number, (block, answers) in enumerate(self._blocks()):
                self._sites[number], sums = update_users(block, answers, self._sites[number], parameters)
                yield sums

        sums = tree_sum(sums_of_blocks())
        self._sums = sums.items
        return sums.totals

    def update_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        ranges = item_ranges(len(items.means))
        posteriors = [
            update_items(items.part(rows), prior.part(rows), self._sums.part(rows)) for rows in ranges
        ]
        return join_items(items, posteriors)

    def fold_in_users(self, parameters: GlobalParameters) -> UserPosteriors:
        posteriors = (
            fold_in_users(block, answers, sites, parameters)
            for (block, answers), sites in zip(self._blocks(), self._sites, strict=True)
        )
        return in_row_order(self._responses.order, posteriors, parameters.items.features.shape[1])


def tree_sum(summands: Iterable[Summand]) -> Summand:
    """Add up as a tree with a fan-in of 16: sixteen at a time, then those sums sixteen at a time, and so on.

    So sixteen that lie together can be added before the rest is there. Raises `ValueError` if there are none.
    """
    while True:
        remaining = iter(summands)
        sums = [reduce(add, islice(remaining, FAN_IN - 1), first) for first in remaining]
        if not sums:
            raise ValueError("there is nothing to add up")
        if len(sums) == 1:
            return sums[0]
        summands = sums


def item_ranges(count: int) -> list[slice]:
    """Return the ranges in which ``count`` items are updated."""
    return [slice(start, min(start + _ITEMS_PER_RANGE, count)) for start in range(0, count, _ITEMS_PER_RANGE)]


def update_items(items: Items, prior: Prior, sums: ItemSums) -> ItemPosteriors:
    """Update a range of items, given the sums over all users."""
    items, log_determinants = items_.update(items, prior, sums)
    return ItemPosteriors(items.means, items.covariances, log_determinants)


def join_items(items: Items, posteriors: Iterable[ItemPosteriors]) -> tuple[Items, float]:
    """Return the items with the new posteriors of all ranges, and the sum of the log determinants."""
    means, covariances, log_determinants = zip(*posteriors, strict=True)
    return replace(items, means=_join(means), covariances=_join(covariances)), tree_sum(log_determinants)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def in_row_order(order: Tensor, blocks: Iterable[UserPosteriors], size: int) -> UserPosteriors:
    """Return the blocks' posteriors, whose users stand in ``order`` [users], by the users' rows."""
    embeddings = torch.empty(len(order), size)
    factors = torch.empty(len(order), size * (size + 1) // 2)
    start = 0
    for posteriors in blocks:
        rows = order[start : start + len(posteriors)]
        embeddings[rows] = posteriors.embeddings
        if posteriors.factors is not None:
            factors[rows] = posteriors.factors
        start += len(posteriors)
    return UserPosteriors(embeddings, factors)


def initial_sites(answers: Tensor) -> Sites:
    """Return the sites before the first update, those of logits z ~ N(0, 1)."""
    initial = expectations(answers, torch.zeros_like(answers), torch.ones_like(answers))
    return Sites(initial.weights, initial.pseudo_targets)


def update_users(
    block: Block, answers: Tensor, previous: Sites, parameters: GlobalParameters
) -> tuple[Sites, UserSums]:
    """Update a block's users once, from the sites of the previous update."""
    items, prior, named_size = parameters.items, parameters.prior, parameters.items.named_size
    dtype = users_.sum_dtype(block.batches)
    workspace = users_.Workspace(block.batches, items.padded_float64.shape[1], dtype)
    item_covariances = items.moments.covariances.to(dtype)
    weights, pseudo_targets = previous.weights.to(dtype), previous.pseudo_targets.to(dtype)
    weighted_covariances = block.user_item.with_values(weights) @ item_covariances
    count, users, sides = len(answers), block.users.stop - block.users.start, items.means.shape[1]
    logits, squares = weights.new_empty(count), weights.new_empty(count)
    cross_moments = torch.empty(count, sides, dtype=torch.float64)
    second_moments = torch.empty(users, sides**2, dtype=torch.float64)
    means = torch.empty(users, len(prior.mean), dtype=torch.float64)
    covariance_sum, log_determinants = torch.zeros_like(prior.covariance), 0.0
    for batch in block.batches:
        rows = batch.responses
        posterior = users_.update(
            batch,
            items,
            prior,
            weights[rows],
            pseudo_targets[rows],
            weighted_covariances[batch.users],
            workspace,
        )
        means[batch.users] = posterior.means
        covariance_sum += posterior.covariances.sum(0)
        log_determinants += float(posterior.log_determinants.sum())
        second_moments[batch.users] = posterior.second_moments(named_size)
        logits[rows] = batch.unpadded(posterior.logits)
        squares[rows] = batch.unpadded(posterior.squares)
        cross_moments[rows] = batch.unpadded(posterior.cross_moments(named_size))
    # E[z²] gets the part of the items' covariances
    squares = torch.sparse.sampled_addmm(
        block.user_item.with_values(squares), second_moments.to(dtype), item_covariances.T
    ).values()
    variances = (squares - logits**2).clamp(min=0)
    expected = expectations(answers.float(), logits.float(), variances.float())
    sums = UserSums(
        Totals(
            prior.sums(means, covariance_sum, log_determinants),
            float(expected.log_likelihood.sum(dtype=torch.float64)),
        ),
        items_.item_sums(block, expected, second_moments, cross_moments),
    )
    return Sites(expected.weights, expected.pseudo_targets), sums


def fold_in_users(
    block: Block, answers: Tensor, sites: Sites, parameters: GlobalParameters
) -> UserPosteriors:
    """Return the posteriors of a block's users, in its order, with the items held fixed."""
    users, size = block.users.stop - block.users.start, len(parameters.prior.mean)
    embeddings, factors = torch.empty(users, size), torch.empty(users, size * (size + 1) // 2)
    workspace = users_.Workspace(block.batches, parameters.items.padded_float64.shape[1], torch.float64)
    for batch in block.batches:
        rows = batch.responses
        posterior = users_.fold_in(
            batch,
            parameters.items,
            parameters.prior,
            answers[rows].double(),
            sites.weights[rows].double(),
            sites.pseudo_targets[rows].double(),
            workspace,
        )
        embeddings[batch.users] = posterior.means.float()
        factors[batch.users] = packed(covariance_factors(posterior.factors)).float()
    return UserPosteriors(embeddings, factors)
