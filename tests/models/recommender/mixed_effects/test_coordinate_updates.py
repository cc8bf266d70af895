"""Coordinate updates by ranges: wherever a range is computed, in whatever order, the bits are the same."""

import random
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.mixed_effects import blocks, coordinate_updates
from models.recommender.mixed_effects import trainer as trainer_module
from models.recommender.mixed_effects.blocks import BlockedResponses, Layout
from models.recommender.mixed_effects.coordinate_updates import GlobalParameters, Sites, Totals, UserSums
from models.recommender.mixed_effects.items import Items, ItemSums
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.recommender.model import UserPosteriors
from tests.models.recommender.problems import generator, random_responses, unheard

DATA = random_responses(1, users=60, items=40, dimensions=4)
TRAINER = MixedEffects(MixedEffectsOptions(learned_dimensions=3, max_steps=8))
SIZE = TRAINER.sizes(DATA.dimensions).embedding


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_RESPONSES_PER_BLOCK", 120)
    monkeypatch.setattr(blocks, "_NUMBERS_PER_BATCH", 1000)
    monkeypatch.setattr(coordinate_updates, "_ITEMS_PER_RANGE", 7)


def of_users(responses: Responses, users: Tensor) -> Responses:
    """Return the responses of these users alone, in this order."""
    ranges = [slice(int(responses.offsets[user]), int(responses.offsets[user + 1])) for user in users]
    counts = responses.offsets.diff()[users]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    rows, values = (
        torch.cat([numbers[part] for part in ranges]) for numbers in (responses.item_rows, responses.values)
    )
    return Responses(responses.item_vectors, offsets, rows, values)


class PartitionedUpdates:
    """Updates as several processes would: each has some ranges, and they end in any order."""

    def __init__(self, responses: Responses, partitions: int) -> None:
        layout = Layout.of(responses.offsets.diff(), SIZE)
        self._rows = torch.cat([layout.order[users] for users in layout.blocks])
        self._ranges = [
            BlockedResponses.of(of_users(responses, layout.order[users]), SIZE) for users in layout.blocks
        ]
        self._sites = [coordinate_updates.initial_sites(part.values) for part in self._ranges]
        self._partitions, self._random = partitions, random.Random(partitions)
        self._sums: list[list[ItemSums]] = []

    def _shuffled(self, count: int) -> list[int]:
        """Return the ranges' numbers, partition by partition, in random order."""
        hands = [list(range(first, count, self._partitions)) for first in range(self._partitions)]
        self._random.shuffle(hands)
        return [number for hand in hands for number in self._random.sample(hand, len(hand))]

    def update_users(self, parameters: GlobalParameters) -> Totals:
        sites: dict[int, Sites] = {}
        sums: dict[int, UserSums] = {}
        for number in self._shuffled(len(self._ranges)):
            part = self._ranges[number]
            (block,) = part.blocks
            sites[number], sums[number] = coordinate_updates.update_users(
                block, part.values, self._sites[number], parameters
            )
        numbers = range(len(self._ranges))
        self._sites = [sites[number] for number in numbers]
        ranges = coordinate_updates.item_ranges(len(parameters.items.means))
        self._sums = [[sums[number].items.part(rows) for number in numbers] for rows in ranges]
        return coordinate_updates.tree_sum(sums[number].totals for number in numbers)

    def update_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        ranges = coordinate_updates.item_ranges(len(items.means))
        posteriors = {
            number: coordinate_updates.update_items(
                items.part(ranges[number]),
                prior.part(ranges[number]),
                coordinate_updates.tree_sum(self._sums[number]),
            )
            for number in self._shuffled(len(ranges))
        }
        return coordinate_updates.join_items(items, [posteriors[number] for number in range(len(ranges))])

    def fold_in_users(self, parameters: GlobalParameters) -> UserPosteriors:
        blocks = (
            coordinate_updates.fold_in_users(part.blocks[0], part.values, sites, parameters)
            for part, sites in zip(self._ranges, self._sites, strict=True)
        )
        return coordinate_updates.in_row_order(self._rows, blocks, SIZE)


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 100])
def test_any_number_of_partitions_learns_the_bits_that_one_process_learns(partitions: int) -> None:
    assert len(Layout.of(DATA.offsets.diff(), SIZE).blocks) > 7
    local = TRAINER.learn(DATA, 1, unheard)
    fit = TRAINER.learn_by(PartitionedUpdates(DATA, partitions), DATA.item_vectors, 1, unheard)
    assert torch.equal(fit.posteriors.embeddings, local.posteriors.embeddings)
    for field in fields(Items):
        assert torch.equal(
            getattr(fit.predictor.items, field.name), getattr(local.predictor.items, field.name)
        )
    assert torch.equal(fit.predictor.population.covariance, local.predictor.population.covariance)
    assert fit.status == local.status


def test_ranges_of_items_learn_what_all_items_at_once_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = TRAINER.learn(DATA, 1, unheard)
    monkeypatch.setattr(coordinate_updates, "_ITEMS_PER_RANGE", 1000)
    at_once = TRAINER.learn(DATA, 1, unheard)
    torch.testing.assert_close(
        ranges.predictor.items.means, at_once.predictor.items.means, atol=1e-10, rtol=0
    )


def test_counts_alone_say_which_users_are_in_which_block() -> None:
    layout, blocked_responses = Layout.of(DATA.offsets.diff(), SIZE), BlockedResponses.of(DATA, SIZE)
    assert torch.equal(layout.order, blocked_responses.order)
    assert layout.blocks == [block.users for block in blocked_responses.blocks]
    for users, block in zip(layout.blocks, blocked_responses.blocks, strict=True):
        alone = BlockedResponses.of(of_users(DATA, layout.order[users]), SIZE)
        assert torch.equal(alone.values, blocked_responses.values[block.responses])
        assert [batch.users for batch in alone.blocks[0].batches] == [batch.users for batch in block.batches]


def test_a_tree_sum_adds_sixteen_at_a_time() -> None:
    additions: list[str] = []

    class Part(str):
        __slots__ = ()

        def __add__(self, other: str) -> "Part":
            additions.append(f"{self}{other}")
            return Part(f"{self}{other}")

    letters = "abcdefghijklmnopqrstuvwxyz"
    assert coordinate_updates.tree_sum(map(Part, letters)) == letters
    assert additions[14] == letters[:16]
    assert additions[15] == "qr"
    assert additions[-1] == letters


def test_moments_about_any_mean_give_the_next_prior_of_the_users() -> None:
    source = generator(3)
    means = torch.randn(50, 4, generator=source, dtype=torch.float64) + 3
    covariance = 0.1 * torch.eye(4, dtype=torch.float64)
    priors = []
    for center in (torch.zeros(4, dtype=torch.float64), means.mean(0)):
        prior = Prior(center, torch.eye(4, dtype=torch.float64))
        parts = (prior.sums(part, len(part) * covariance, -1.0) for part in torch.split(means, 7))
        priors.append(trainer_module._next_prior(prior, coordinate_updates.tree_sum(parts)))  # noqa: SLF001
        torch.testing.assert_close(priors[-1].mean, means.mean(0), atol=1e-12, rtol=0)
    torch.testing.assert_close(priors[0].covariance, priors[1].covariance, atol=1e-10, rtol=0)
