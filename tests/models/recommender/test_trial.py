"""A trial: its metrics are those computed by hand, and nothing held out was learned from."""

import pytest
import torch

from models.recommender.data import BadResponsesError, Responses
from models.recommender.evaluation import evaluate
from models.recommender.holdout import Holdout
from models.recommender.trainer import Trainer
from models.recommender.trainers import make_trainer
from models.recommender.trial import Split, run_trial
from tests.models.recommender.problems import generator, masked_responses, model_of, random_responses, unheard

HALF = Holdout(fraction=0.5, by="seed")


def split_of(responses: Responses, holdout: Holdout = HALF) -> Split:
    return Split.of(responses, torch.zeros_like(responses.values).double(), holdout, seed=3)


def test_what_is_held_out_is_not_seen_and_nothing_is_lost() -> None:
    responses = random_responses(1)
    split = split_of(responses)
    cells = [part.user_rows * part.items + part.item_rows for part in (split.seen, split.unseen)]
    all_cells = responses.user_rows * responses.items + responses.item_rows
    assert torch.equal(torch.cat(cells).sort().values, all_cells.sort().values)


def test_scores_and_rankings_are_those_of_a_model_that_learned_from_the_rest(trainer: Trainer) -> None:
    split = split_of(random_responses(2, users=8, items=25, dimensions=4))
    trial = run_trial(trainer, split, 5, lambda: None)
    result = trainer.fit(split.seen, 5, unheard)
    model = model_of(trainer, result, split.seen)
    scores = []
    shares = []
    for user, posterior in enumerate(result.posteriors):
        mask = split.unseen.user_rows == user
        rows, answers = split.unseen.item_rows[mask], split.unseen.values[mask]
        logits = model.predict(posterior, torch.arange(25)).logits
        scores.append(torch.sigmoid(logits[rows]))
        logits[split.seen.item_rows[split.seen.user_rows == user]] = -torch.inf
        likes = set(rows[answers >= 0.5].tolist())
        if likes:
            ten = set(torch.argsort(logits, descending=True)[:10].tolist())
            shares.append(len(ten & likes) / len(likes))
    by_hand = evaluate(torch.cat(scores), split.unseen.values)
    assert trial.metrics.log_loss == pytest.approx(by_hand.log_loss, abs=1e-9)
    assert trial.metrics.auc == pytest.approx(by_hand.auc)
    assert trial.metrics.calibration_error == pytest.approx(by_hand.calibration_error, abs=1e-9)
    assert trial.rankings.users == len(shares)
    assert trial.rankings.recall_at_10 == pytest.approx(sum(shares) / len(shares))
    assert sum(bin_.responses for bin_ in trial.reliability) == len(split.unseen.values)


def test_of_many_users_a_sample_is_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.recommender.trial._RANKED_USERS", 5)
    split = split_of(random_responses(4, users=30, items=20))
    trainer = make_trainer("mixed_effects", {"learned_dimensions": 0})
    first, second = (run_trial(trainer, split, 1, lambda: None) for _ in range(2))
    assert 0 < first.rankings.users <= 5
    assert first == second


def test_a_holdout_that_holds_out_nothing_is_refused() -> None:
    vectors = torch.randn(4, 2, generator=generator(5))
    single = masked_responses(vectors, torch.ones(4, 4), torch.eye(4) > 0)
    with pytest.raises(BadResponsesError, match="holds out nothing"):
        split_of(single)
