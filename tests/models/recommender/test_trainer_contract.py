"""The contract of trainers, run on every one that conftest.py lists. Fold-in has a file of its own."""

import dataclasses

import pytest
import torch
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.trainer import Step, Trainer
from models.recommender.trainers import make_trainer
from tests.models.conftest import FEW_STEPS, TRAINERS, Choice
from tests.models.recommender.problems import (
    dense_responses,
    generator,
    masked_responses,
    model_of,
    random_responses,
    unheard,
)


class StopRequestedError(Exception):
    """Raised by a report, as a worker raises when its training is cancelled."""


def test_an_embedding_for_every_user_even_those_without_responses(trainer: Trainer) -> None:
    mask = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 1]]) > 0
    vectors = torch.randn(3, 5, generator=generator(1))
    result = trainer.fit(masked_responses(vectors, torch.ones(3, 3), mask), 1, unheard)
    assert (len(result.embeddings), result.embeddings.dtype) == (3, torch.float32)
    assert bool(torch.isfinite(result.embeddings).all())
    assert result.status


def test_the_same_data_and_seed_give_the_same_bits(trainer: Trainer) -> None:
    first_steps: list[Step] = []
    first = trainer.fit(random_responses(2), 3, first_steps.append)
    with torch.random.fork_rng():
        torch.manual_seed(4)  # the shared random state has no part in it
        second_steps: list[Step] = []
        second = trainer.fit(random_responses(2), 3, second_steps.append)
    assert torch.equal(first.embeddings, second.embeddings)
    assert first_steps == second_steps


def test_the_order_in_which_responses_came_changes_no_bit(trainer: Trainer) -> None:
    data = random_responses(5, users=10, items=20)
    order = torch.randperm(data.values.numel(), generator=generator(6))
    permutation = Responses.from_triples(
        data.item_vectors, data.user_rows[order], data.item_rows[order], data.values[order], data.users
    )
    expected = trainer.fit(data, 7, unheard).embeddings
    assert torch.equal(trainer.fit(permutation, 7, unheard).embeddings, expected)


@pytest.mark.parametrize("choice", TRAINERS.values(), ids=TRAINERS.keys())
def test_two_threads_learn_what_one_learns(choice: Choice) -> None:
    name, options = choice
    trainer = make_trainer(name, {**options, **FEW_STEPS[name]})
    # Large enough for torch to share the responses and the embeddings out among threads.
    responses = random_responses(8, users=900, items=100, dimensions=40, share=0.5, scale=0.3)
    assert responses.values.numel() > 2**15
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(trainer.fit(responses, 9, unheard).embeddings.double())
    torch.testing.assert_close(results[0], results[1], atol=1e-8, rtol=0)


def test_steps_count_from_one_to_the_last_and_their_losses_add_up(trainer: Trainer) -> None:
    steps: list[Step] = []
    trainer.fit(random_responses(10), 11, steps.append)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) <= trainer.steps_total
    assert all(step.loss == step.data_loss + step.penalty for step in steps)
    assert steps[-1].loss < steps[0].loss


def test_a_report_that_raises_stops_the_training(trainer: Trainer) -> None:
    reports = []

    def stop_at_third(step: Step) -> None:
        reports.append(step.step)
        if step.step == 3:
            raise StopRequestedError

    with pytest.raises(StopRequestedError):
        trainer.fit(random_responses(12), 13, stop_at_third)
    assert reports == [1, 2, 3]


def test_training_leaves_its_data_as_they_were(trainer: Trainer) -> None:
    responses = random_responses(14)
    names = [field.name for field in dataclasses.fields(responses)]
    before = {name: getattr(responses, name).clone() for name in names}
    trainer.fit(responses, 15, unheard)
    assert all(torch.equal(getattr(responses, name), before[name]) for name in names)


def chance_to_rank_right(is_liked: Tensor, logits: Tensor) -> float:
    """Return the area under the ROC curve: how often what is liked has a larger logit than what is not."""
    return float((logits[is_liked][:, None] > logits[~is_liked]).double().mean())


@pytest.mark.parametrize(("likes", "dislikes"), [(1.0, 0.0), (0.8, 0.2)])
def test_preferences_known_by_construction_are_recovered(
    trainer: Trainer, likes: float, dislikes: float
) -> None:
    # Even users like the items whose first coordinate is positive, odd users the others.
    vectors = torch.randn(120, 5, generator=generator(16))
    is_liked = (vectors[:, 0] > 0) ^ (torch.arange(20)[:, None] % 2 == 1)
    mask = torch.rand(20, 120, generator=generator(17)) < 0.5
    data = masked_responses(vectors, torch.where(is_liked, likes, dislikes), mask)
    result = trainer.fit(data, 18, unheard)
    model = model_of(trainer, result, data)
    for user, likes_mask, seen_mask in zip(result.posteriors, is_liked, mask, strict=True):
        logits = model.predict(user, torch.nonzero(~seen_mask)[:, 0]).logits
        assert chance_to_rank_right(likes_mask[~seen_mask], logits) > 0.95


def test_answers_between_0_and_1_are_learned_as_such(trainer: Trainer) -> None:
    # Everybody answers item n with the same number; the items' vectors are at right angles to each other.
    expected = torch.tensor([0.2, 0.4, 0.6, 0.8])
    data = dense_responses(4 * torch.eye(4), expected.expand(30, 4))
    result = trainer.fit(data, 19, unheard)
    model = model_of(trainer, result, data)
    actual = torch.sigmoid(
        torch.stack([model.predict(posterior, torch.arange(4)).logits for posterior in result.posteriors])
    )
    torch.testing.assert_close(actual.mean(dim=0), expected.double(), atol=0.05, rtol=0)


def test_what_was_learned_is_as_large_as_the_trainer_says(trainer: Trainer) -> None:
    data = random_responses(20)
    result = trainer.fit(data, 21, unheard)
    sizes = trainer.sizes(data.dimensions)
    factors = result.posteriors.factors
    actual = (result.embeddings.shape[1], 0 if factors is None else factors.shape[1], result.items.shape[1])
    assert actual == (sizes.embedding, sizes.factor, sizes.item)
