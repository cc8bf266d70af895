"""Degenerate data: every trainer learns them and folds users in, in finite numbers."""

import pytest
import torch

from models.recommender.data import Responses
from models.recommender.trainer import Step, Trainer
from tests.models.recommender.problems import dense_responses, generator, masked_responses, model_of, rows_of


def data_at_the_edge() -> dict[str, Responses]:
    vectors = torch.randn(6, 3, generator=generator(1))
    table = torch.randint(0, 2, (4, 6), generator=generator(2)).float()
    wide = torch.randn(6, 50, generator=generator(3))
    many_vectors = torch.randn(2000, 3, generator=generator(4))
    many_answers = torch.randint(0, 2, (2, 2000), generator=generator(5)).float()
    return {
        "one user": dense_responses(vectors, table[:1]),
        "one movie": dense_responses(vectors[:1], table[:, :1]),
        "one response": dense_responses(vectors[:1], table[:1, :1]),
        "one dimension": dense_responses(vectors[:, :1], table),
        "all like everything": dense_responses(vectors, torch.ones(4, 6)),
        "all dislike everything": dense_responses(vectors, torch.zeros(4, 6)),
        "equal vectors": dense_responses(vectors[:1].expand(6, 3), table),
        "vectors of zeros": dense_responses(torch.zeros(6, 3), table),
        "constant dimensions": dense_responses(torch.cat([vectors, torch.ones(6, 2)], dim=1), table),
        "vectors of a million": dense_responses(1e6 * vectors, table),
        "vectors of a millionth": dense_responses(1e-6 * vectors, table),
        "one dimension of a million": dense_responses(vectors * torch.tensor([1e6, 1, 1]), table),
        "more dimensions than responses": dense_responses(wide, table),
        "users of 2,000 responses": dense_responses(many_vectors, many_answers),
        "movies nobody answered": masked_responses(vectors, table, torch.arange(6).expand(4, 6) < 3),
        "users with one response each": masked_responses(vectors, table, torch.eye(4, 6) > 0),
        "two vectors alike": dense_responses(vectors[[0, 0, 1, 1, 2, 2]], table),
    }


pytestmark = pytest.mark.slow

DATA = data_at_the_edge()


@pytest.mark.parametrize("name", DATA)
def test_degenerate_data_are_learned_and_folded_in_in_finite_numbers(trainer: Trainer, name: str) -> None:
    responses = DATA[name]
    steps: list[Step] = []
    result = trainer.fit(responses, 6, steps.append)
    assert bool(torch.isfinite(result.embeddings).all())
    assert all(abs(step.loss) < float("inf") for step in steps)
    others_squared_norm = float(result.embeddings[1:].double().square().sum())
    model = model_of(trainer, result, responses)
    for start in (result.posteriors[0], None):
        posterior = model.fold_in(*rows_of(responses, 0), start, others_squared_norm)
        assert posterior.embedding.shape == result.embeddings[0].shape
        assert bool(torch.isfinite(posterior.embedding).all())
        all_rows = torch.arange(responses.items)
        assert bool(torch.isfinite(model.predict(posterior, all_rows).logits).all())
        assert len(model.best(posterior, 3, all_rows[:0], -torch.inf).rows) == min(3, responses.items)


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_a_user_who_answers_everything_alike_is_scored_so(trainer: Trainer, answer: float) -> None:
    # With a constant dimension in the vectors there is an embedding that says so.
    vectors = torch.cat([torch.randn(6, 2, generator=generator(7)), torch.ones(6, 1)], dim=1)
    data = dense_responses(vectors, torch.full((4, 6), answer))
    result = trainer.fit(data, 8, lambda _: None)
    model = model_of(trainer, result, data)
    scores = torch.stack(
        [model.predict(posterior, torch.arange(6)).logits for posterior in result.posteriors]
    )
    assert bool(((scores > 0) == (answer > 0)).all())
