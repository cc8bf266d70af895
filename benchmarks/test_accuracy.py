"""The accuracy benchmark's own arithmetic: errors, scaling, cold starts, claims and tables; no peers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.accuracy import bootstrap, judging, report
from benchmarks.accuracy.bootstrap import Users
from benchmarks.accuracy.claims import claims
from benchmarks.accuracy.contestants import LIKELY
from benchmarks.accuracy.platt import Scaling
from benchmarks.accuracy.results import ColdStart, Figure, FoldIn, Results, Row, Split
from benchmarks.accuracy.splits import FOLDS, KNOWN, cold_start, for_scaling, split
from benchmarks.accuracy.task import Floats, Rows, Task
from benchmarks.folder import Folder
from models.recommender.data import Responses
from models.recommender.evaluation import evaluate, reliability
from testbed.documents import replaced

DOCUMENT = Path(__file__).parents[1] / "docs" / "accuracy.md"


def _scored(seed: int = 0) -> tuple[Rows, Floats, Floats]:
    """Users, scores with ties, and responses that they are right about."""
    generator = np.random.default_rng(seed)
    users = np.repeat(np.arange(30), 20)
    scores = generator.integers(1, 20, len(users)) / 20
    return users, scores, (generator.random(len(users)) < scores).astype(np.float64)


def _folder() -> Folder:
    """Twenty-five users with 24 responses each, to 40 items."""
    generator = np.random.default_rng(1)
    items = np.concatenate([generator.permutation(40)[:24] for _ in range(25)])
    responses = Responses.from_triples(
        torch.zeros(40, 2),
        torch.arange(25).repeat_interleave(24),
        torch.from_numpy(items),
        torch.from_numpy(generator.integers(0, 2, 600).astype(np.float32)),
        25,
    )
    return Folder(responses, torch.arange(600).double())


def _pairs(task: Task) -> set[tuple[int, int]]:
    return set(zip(task.asked_users.tolist(), task.asked_items.tolist(), strict=True))


def test_a_draw_counts_a_user_as_often_as_repeating_the_responses_would() -> None:
    users, scores, values = _scored()
    counts = np.random.default_rng(2).integers(0, 4, 30)
    repeated = np.repeat(np.arange(len(users)), counts[users])
    expected = evaluate(torch.from_numpy(scores[repeated]), torch.from_numpy(values[repeated]))
    samples = Users(users, counts[None].astype(np.float64))
    assert bootstrap.aucs(scores, values, samples)[0] == pytest.approx(expected.auc, abs=1e-12)
    assert bootstrap.log_losses(scores, values, samples)[0] == pytest.approx(expected.log_loss, abs=1e-12)


def test_the_error_of_a_difference_is_measured_over_the_same_users() -> None:
    users, scores, values = _scored()
    figures = judging.auc_figures(values, Users.drawn(users), {LIKELY: scores, "a peer": scores / 2})
    assert figures["a peer"].error == figures[LIKELY].error > 0
    assert (figures["a peer"].more, figures["a peer"].more_error) == (0, 0)


def test_scaling_ends_where_the_likelihood_has_no_slope() -> None:
    _, scores, values = _scored()
    likes, dislikes = values.sum(), len(values) - values.sum()
    targets = np.where(values > 0, (likes + 1) / (likes + 2), 1 / (dislikes + 2))
    missed = Scaling.fit(7 * scores - 3, values).probabilities(7 * scores - 3) - targets
    assert missed.sum() == pytest.approx(0, abs=1e-6)
    assert (missed * scores).sum() == pytest.approx(0, abs=1e-6)


def test_scores_that_are_exactly_right_are_charged_with_chance_alone() -> None:
    few, many = (judging.chance_calibration_error(np.full(n, 0.3)) for n in (100, 10_000))
    # one bin, so the mean of |share − 0.3|, which is √(2/π) of the share's standard deviation √(0.21/n)
    assert few == pytest.approx(np.sqrt(2 / np.pi * 0.21 / 100), rel=0.15)
    assert many == pytest.approx(np.sqrt(2 / np.pi * 0.21 / 10_000), rel=0.15)


def test_no_task_holds_what_it_asks() -> None:
    folder = _folder()
    questions = [split(folder, "random"), split(folder, "time"), cold_start(folder, 10, 0)]
    questions += [for_scaling(questions[0].task, "random"), for_scaling(questions[1].task, "time")]
    for question in questions:
        seen = question.task.everything
        assert not _pairs(question.task) & set(zip(seen.users.tolist(), seen.items.tolist(), strict=True))


def test_new_users_are_asked_the_same_whatever_is_known_of_them() -> None:
    questions = {count: cold_start(_folder(), count, 0) for count in KNOWN}
    asked = [_pairs(question.task) for question in questions.values()]
    assert all(item == asked[0] for item in asked)
    for count, question in questions.items():
        new = set(question.task.asked_users.tolist())
        assert len(new) == 5
        assert not new & set(question.task.train.users.tolist())
        known = question.task.known.users.tolist()
        assert all(known.count(user) == count for user in new)


def test_everybody_is_new_in_one_of_the_folds() -> None:
    folder = _folder()
    new = [cold_start(folder, 0, fold).task.asked_users for fold in range(FOLDS)]
    assert sorted(user for users in new for user in set(users.tolist())) == list(range(25))


def test_a_task_is_the_same_after_its_file(tmp_path: Path) -> None:
    task = cold_start(_folder(), 3, 0).task
    task.save(tmp_path / "task.npz")
    back = Task.load(tmp_path / "task.npz")
    assert back.users == task.users
    assert (back.known.items == task.known.items).all()
    assert [user for user, _ in back.asked()] == sorted(set(task.asked_users.tolist()))


def test_a_table_takes_the_place_of_the_old_one_and_prose_stays() -> None:
    text = "before\n<!-- table one -->\nold\n<!-- end -->\nafter\n"
    assert replaced(text, {"one": "new\n"}) == ("before\n<!-- table one -->\n\nnew\n\n<!-- end -->\nafter\n")
    with pytest.raises(ValueError, match="one place for the table two"):
        replaced(text, {"two": "new\n"})


def _results(lead: float, error: float) -> Results:
    """A run in which a peer is ahead by ``lead`` in every figure, give or take ``error``."""

    def row(name: str, more: float, seconds: float) -> Row:
        auc, loss = Figure(0.8 + more, 0.01, more, error), Figure(0.5 - more, 0.01, -more, error)
        return Row(name, auc, loss, 0.2, 0.01, 0.7, seconds, scaled=False)

    _, scores, values = _scored()
    bins = reliability(torch.from_numpy(scores), torch.from_numpy(values))
    rows = [row(LIKELY, 0, 1), row("myFM", lead, 6)]
    cold = {item.name: dict.fromkeys(KNOWN, item.auc) for item in rows}
    one = Split(100, 50, 10, rows, bins, 0.01)
    return Results(
        {"processor": "one"}, {}, {"random": one, "time": one}, ColdStart(5, 50, cold), FoldIn(3, 1, 2)
    )


def test_a_lead_within_one_standard_error_refutes_nothing_but_being_ahead() -> None:
    result = {claim.said: claim.holds for claim in claims(_results(lead=0.001, error=0.002))}
    ahead = {said for said in result if said.startswith("cold start")}
    assert {said for said, holds in result.items() if not holds} == ahead
    refuted = {claim.said for claim in claims(_results(lead=0.003, error=0.002)) if not claim.holds}
    assert {"AUC" in said or "log loss" in said for said in refuted - ahead} == {True}
    assert len(refuted - ahead) == 4


def test_the_document_has_a_place_for_every_table() -> None:
    tables = report.tables(_results(0, 0))
    written = replaced(DOCUMENT.read_text(), tables)
    assert all(table in written for table in tables.values())
