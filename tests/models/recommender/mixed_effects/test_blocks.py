"""Blocks and batches of responses: every response once, the same results, no idle work."""

import pytest
import torch

from models.recommender.data import Responses
from models.recommender.mixed_effects import blocks
from models.recommender.mixed_effects.blocks import BlockedResponses
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from tests.models.recommender.problems import dense_responses, generator, random_responses, unheard

DATA = random_responses(1, users=40, items=30, dimensions=4)


def seen(cut: BlockedResponses) -> list[tuple[int, int, float]]:
    """Return every user, item and response that the lines of the batches hold."""
    triples = []
    for block in cut.blocks:
        users, values = cut.order[block.users], cut.values[block.responses]
        for batch in block.batches:
            lines = batch.padded(values[batch.responses] + 1)  # 0 is where a line is padded
            rows = batch.item_rows.view(lines.shape)
            for user, line, items in zip(users[batch.users], lines, rows, strict=True):
                triples += [
                    (int(user), int(item), float(value - 1))
                    for value, item in zip(line, items, strict=True)
                    if value > 0
                ]
    return triples


@pytest.mark.parametrize("at_once", [1, 50, 1_000_000])
def test_every_response_is_in_one_line_of_its_user(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(blocks, "_RESPONSES_PER_BLOCK", at_once)
    columns = (DATA.user_rows.tolist(), DATA.item_rows.tolist(), DATA.values.tolist())
    triples = seen(BlockedResponses.of(DATA, 6))
    assert [pair[:2] for pair in sorted(triples)] == list(zip(*columns[:2], strict=True))
    assert [value for _, _, value in sorted(triples)] == pytest.approx(columns[2], abs=1e-6)


def test_blocks_hold_no_more_responses_than_a_pass_may_have_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_RESPONSES_PER_BLOCK", 150)
    cut = BlockedResponses.of(DATA, 6)
    assert len(cut.blocks) > 1
    for block in cut.blocks:
        assert len(block.batches) == 1 or block.responses.stop - block.responses.start <= 150


def test_many_blocks_learn_what_one_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MixedEffects(MixedEffectsOptions(learned_dimensions=3, max_steps=8))
    one_block = trainer.learn(DATA, 1, unheard)
    monkeypatch.setattr(blocks, "_RESPONSES_PER_BLOCK", 1)
    parts = trainer.learn(DATA, 1, unheard)
    torch.testing.assert_close(
        parts.predictor.items.means, one_block.predictor.items.means, atol=1e-7, rtol=0
    )
    torch.testing.assert_close(
        parts.posteriors.embeddings, one_block.posteriors.embeddings, atol=1e-6, rtol=0
    )


def operations_of_a_step(responses: Responses) -> int:
    def operations(steps: int) -> int:
        trainer = MixedEffects(MixedEffectsOptions(learned_dimensions=3, max_steps=steps))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            state = trainer.learn(responses, 1, unheard)
        assert state.status.startswith("stopped after")
        return sum(event.count for event in profile.key_averages() if event.key.startswith("aten::"))

    # The fold-in after the steps is the same; after more steps it takes as many updates or fewer.
    return (operations(5) - operations(1)) // 4


def test_a_step_takes_no_more_operations_for_more_users() -> None:
    vectors = torch.randn(30, 4, generator=generator(2))
    answers = (torch.rand(400, 30, generator=generator(3)) < 0.5).float()
    few_users, all_users = (
        operations_of_a_step(dense_responses(vectors, answers[:users])) for users in (40, 400)
    )
    assert all_users <= 1.2 * few_users
