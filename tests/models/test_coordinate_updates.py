"""Half-steps by ranges: whoever does which range, in whatever order, the results are the same bits."""

import random
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.mixed_effects import blocks, coordinate_updates
from models.recommender.mixed_effects import trainer as trainer_module
from models.recommender.mixed_effects.blocks import Cut, Layout
from models.recommender.mixed_effects.coordinate_updates import Common, Known, Totals
from models.recommender.mixed_effects.items import Items, Sums
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.trainer import Fit, MixedEffects, MixedEffectsOptions
from models.recommender.model import UserPosteriors
from tests.models.problems import generator, random_responses, unheard

DATA = random_responses(1, users=60, items=40, dimensions=4)
TRAINER = MixedEffects(MixedEffectsOptions(learned_dimensions=3, max_steps=8))
SIZE = TRAINER.sizes(DATA.dimensions).embedding


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_RESPONSES_AT_ONCE", 120)
    monkeypatch.setattr(blocks, "_NUMBERS_AT_ONCE", 1000)
    monkeypatch.setattr(coordinate_updates, "_ITEMS_AT_ONCE", 7)


def of_users(responses: Responses, users: Tensor) -> Responses:
    """Return the responses of these users alone, in this order."""
    chosen = [slice(int(responses.offsets[user]), int(responses.offsets[user + 1])) for user in users]
    counts = responses.offsets.diff()[users]
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    rows, values = (
        torch.cat([each[own] for own in chosen]) for each in (responses.item_rows, responses.values)
    )
    return Responses(responses.item_vectors, offsets, rows, values)


class Dealt:
    """Takes half-steps as several processes would: each has some ranges, and they end in any order."""

    def __init__(self, responses: Responses, partitions: int) -> None:
        layout = Layout.of(responses.offsets.diff(), SIZE)
        self._rows = torch.cat([layout.order[users] for users in layout.blocks])
        self._ranges = [Cut.of(of_users(responses, layout.order[users]), SIZE) for users in layout.blocks]
        self._known = [coordinate_updates.begun(cut.values) for cut in self._ranges]
        self._partitions, self._random = partitions, random.Random(partitions)
        self._sums: list[list[Sums]] = []

    def _dealt(self, count: int) -> list[int]:
        """Return the ranges partition by partition, in any order."""
        hands = [list(range(first, count, self._partitions)) for first in range(self._partitions)]
        self._random.shuffle(hands)
        return [number for hand in hands for number in self._random.sample(hand, len(hand))]

    def move_users(self, common: Common) -> Totals:
        known: dict[int, Known] = {}
        left = {}
        for number in self._dealt(len(self._ranges)):
            cut = self._ranges[number]
            (block,) = cut.blocks
            known[number], left[number] = coordinate_updates.move_users(
                block, cut.values, self._known[number], common
            )
        numbers = range(len(self._ranges))
        self._known = [known[number] for number in numbers]
        ranges = coordinate_updates.item_ranges(len(common.items.means))
        self._sums = [[left[number].items.part(own) for number in numbers] for own in ranges]
        return coordinate_updates.total(left[number].totals for number in numbers)

    def move_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        ranges = coordinate_updates.item_ranges(len(items.means))
        moved = {
            number: coordinate_updates.move_items(
                items.part(ranges[number]),
                prior.part(ranges[number]),
                coordinate_updates.total(self._sums[number]),
            )
            for number in self._dealt(len(ranges))
        }
        return coordinate_updates.together(items, [moved[number] for number in range(len(ranges))])

    def settle(self, common: Common) -> UserPosteriors:
        settled = (
            coordinate_updates.settle(cut.blocks[0], cut.values, known, common)
            for cut, known in zip(self._ranges, self._known, strict=True)
        )
        return coordinate_updates.by_rows(self._rows, settled, SIZE)


def learned(partitions: int) -> Fit:
    return TRAINER.learn_by(Dealt(DATA, partitions), DATA.item_vectors, 1, unheard)


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 100])
def test_any_number_of_partitions_learns_the_bits_that_one_process_learns(partitions: int) -> None:
    assert len(Layout.of(DATA.offsets.diff(), SIZE).blocks) > 7
    here, dealt = TRAINER.learn(DATA, 1, unheard), learned(partitions)
    assert torch.equal(dealt.posteriors.embeddings, here.posteriors.embeddings)
    for field in fields(Items):
        assert torch.equal(
            getattr(dealt.predictor.items, field.name), getattr(here.predictor.items, field.name)
        )
    assert torch.equal(dealt.predictor.population.covariance, here.predictor.population.covariance)
    assert dealt.status == here.status


def test_ranges_of_items_learn_what_all_items_at_once_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = TRAINER.learn(DATA, 1, unheard)
    monkeypatch.setattr(coordinate_updates, "_ITEMS_AT_ONCE", 1000)
    at_once = TRAINER.learn(DATA, 1, unheard)
    torch.testing.assert_close(
        ranges.predictor.items.means, at_once.predictor.items.means, atol=1e-10, rtol=0
    )


def test_counts_alone_say_which_users_are_in_which_block() -> None:
    layout, cut = Layout.of(DATA.offsets.diff(), SIZE), Cut.of(DATA, SIZE)
    assert torch.equal(layout.order, cut.order)
    assert layout.blocks == [block.users for block in cut.blocks]
    for users, block in zip(layout.blocks, cut.blocks, strict=True):
        alone = Cut.of(of_users(DATA, layout.order[users]), SIZE)
        assert torch.equal(alone.values, cut.values[block.responses])
        assert [batch.users for batch in alone.blocks[0].batches] == [batch.users for batch in block.batches]


def test_a_total_adds_by_sixteens() -> None:
    added: list[str] = []

    class Part(str):
        __slots__ = ()

        def __add__(self, other: str) -> "Part":
            added.append(f"{self}{other}")
            return Part(f"{self}{other}")

    letters = "abcdefghijklmnopqrstuvwxyz"
    assert coordinate_updates.total(map(Part, letters)) == letters
    assert added[14] == letters[:16]
    assert added[15] == "qr"
    assert added[-1] == letters


def test_moments_about_any_mean_give_the_next_prior_of_the_users() -> None:
    source = generator(3)
    means = torch.randn(50, 4, generator=source, dtype=torch.float64) + 3
    spread = 0.1 * torch.eye(4, dtype=torch.float64)
    found = []
    for center in (torch.zeros(4, dtype=torch.float64), means.mean(0)):
        prior = Prior(center, torch.eye(4, dtype=torch.float64))
        parts = (prior.compared(part, len(part) * spread, -1.0) for part in torch.split(means, 7))
        moved = trainer_module._next_prior(prior, coordinate_updates.total(parts))  # noqa: SLF001
        found.append(moved)
        torch.testing.assert_close(moved.mean, means.mean(0), atol=1e-12, rtol=0)
    torch.testing.assert_close(found[0].covariance, found[1].covariance, atol=1e-10, rtol=0)
