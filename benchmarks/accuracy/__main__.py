"""The whole comparison, in one run: every model on the same tasks, one after the other, each with one thread.

    python -m benchmarks.accuracy PATH FOLDS   # an unpacked MovieLens folder; how many fifths are new in turn

Writes .bench/accuracy.json and the tables of docs/accuracy.md. Does not know how any model works.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from benchmarks.accuracy import judging, report, splits
from benchmarks.accuracy.bootstrap import Users
from benchmarks.accuracy.contestants import CONTESTANTS, LIKELY, Contestant
from benchmarks.accuracy.environments import ROOT, Scored, ask, python
from benchmarks.accuracy.likely_model import relearning_seconds
from benchmarks.accuracy.platt import Scaling
from benchmarks.accuracy.results import ColdStart, Figure, FoldIn, Results, Split
from benchmarks.accuracy.splits import Question
from benchmarks.accuracy.task import Floats, Task
from benchmarks.folder import Folder
from benchmarks.machine import machine
from models.recommender.evaluation import reliability

_FEWEST, _MOST = 150, 260  # responses of the users who are relearned: 200, more or less
_CONSOLE = Console()


def main(path: Path, folds: int) -> None:
    """Measure everything and write it down; ``folds`` of the five of users take their turn as new ones."""
    torch.set_num_threads(1)
    for environment in dict.fromkeys(contestant.environment for contestant in CONTESTANTS):
        _CONSOLE.print(f"environment {environment}")
        python(environment)
    folder = Folder.read(path)
    versions: dict[str, str] = {}
    results = Results(
        machine() | {"threads": "one for every model"},
        versions,
        {name: _split(splits.split(folder, name), name, versions) for name in splits.SPLITS},
        _cold_start(folder, folds),
        _relearning(folder),
    )
    results.save(ROOT / ".bench" / "accuracy.json")
    report.write(ROOT / "docs" / "accuracy.md", results)


def _ask(contestant: Contestant, task: Task, message: str) -> Scored:
    answer = ask(contestant.environment, contestant.model, contestant.package, task)
    _CONSOLE.print(f"{message:<8} {contestant.name:<46} {answer.seconds:7.2f} s")
    return answer


def _split(question: Question, name: str, versions: dict[str, str]) -> Split:
    ranking: dict[str, Floats] = {}
    said: dict[str, Floats] = {}
    seconds: dict[str, float] = {}
    scaling = splits.for_scaling(question.task, name)
    for contestant in CONTESTANTS:
        scored = _ask(contestant, question.task, name)
        versions[contestant.package] = scored.version
        seconds[contestant.name] = scored.seconds
        ranking[contestant.name] = said[contestant.name] = scored.scores
        if not contestant.probabilities:
            result = _ask(contestant, scaling.task, "scaling").scores
            said[contestant.name] = Scaling.fit(result, scaling.answers).probabilities(scored.scores)
    users = Users.drawn(question.task.asked_users)
    scores, answers = torch.from_numpy(said[LIKELY]), torch.from_numpy(question.answers)
    return Split(
        len(question.task.train.values),
        len(question.answers),
        users.counts.shape[1],
        judging.rows(question.answers, users, ranking, said, seconds),
        reliability(scores, answers),
        judging.chance_calibration_error(said[LIKELY]),
    )


def _cold_start(folder: Folder, folds: int) -> ColdStart:
    result: dict[str, dict[int, Figure]] = {}
    for count in splits.KNOWN:
        questions = [splits.cold_start(folder, count, fold) for fold in range(folds)]
        scores = {
            contestant.name: np.concatenate(
                [_ask(contestant, question.task, f"{count} known").scores for question in questions]
            )
            for contestant in CONTESTANTS
            if contestant.new_users != "not asked" and contestant.fewest <= count
        }
        answers = np.concatenate([question.answers for question in questions])
        users = Users.drawn(np.concatenate([question.task.asked_users for question in questions]))
        for name, figure in judging.auc_figures(answers, users, scores).items():
            result.setdefault(name, {})[count] = figure
    return ColdStart(users.counts.shape[1], len(answers), result)


def _relearning(folder: Folder) -> FoldIn:
    milliseconds = 1000 * np.array(relearning_seconds(folder.responses, _FEWEST, _MOST))
    return FoldIn(len(milliseconds), float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
