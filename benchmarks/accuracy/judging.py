"""From scores and the responses that came to figures with standard errors.

Does not know how a model came to its scores.
"""

from collections.abc import Mapping

import numpy as np
import torch

from benchmarks.accuracy import bootstrap
from benchmarks.accuracy.bootstrap import Users
from benchmarks.accuracy.contestants import LIKELY
from benchmarks.accuracy.results import Figure, Row
from benchmarks.accuracy.task import Floats
from models.recommender.evaluation import evaluate

_DRAWS = 200  # of responses, for the calibration error that chance alone brings


def rows(
    answers: Floats,
    users: Users,
    ranking: Mapping[str, Floats],
    said: Mapping[str, Floats],
    seconds: Mapping[str, float],
) -> list[Row]:
    """Return a row a model: of scores ``ranking`` the AUC, of the probabilities ``said`` all else."""
    aucs = auc_figures(answers, users, ranking)
    losses = {name: bootstrap.log_losses(scores, answers, users) for name, scores in said.items()}
    result = {
        name: evaluate(torch.from_numpy(scores), torch.from_numpy(answers)) for name, scores in said.items()
    }
    return [
        Row(
            name,
            aucs[name],
            _figure(name, {other: metrics.log_loss for other, metrics in result.items()}, losses),
            metrics.brier,
            metrics.calibration_error,
            metrics.accuracy,
            seconds[name],
            scaled=said[name] is not ranking[name],
        )
        for name, metrics in result.items()
    ]


def auc_figures(answers: Floats, users: Users, scores: Mapping[str, Floats]) -> dict[str, Figure]:
    """Return each model's AUC."""
    draws = {name: bootstrap.aucs(item, answers, users) for name, item in scores.items()}
    once = Users(users.rows, np.ones((1, users.counts.shape[1])))
    values = {name: float(bootstrap.aucs(item, answers, once)[0]) for name, item in scores.items()}
    return {name: _figure(name, values, draws) for name in scores}


def _figure(name: str, values: Mapping[str, float], draws: Mapping[str, Floats]) -> Figure:
    return Figure(
        values[name],
        float(draws[name].std()),
        values[name] - values[LIKELY],
        float((draws[name] - draws[LIKELY]).std()),
    )


def chance_calibration_error(scores: Floats, seed: int = 1) -> float:
    """Return the mean calibration error of scores when each response is drawn with exactly that chance."""
    generator, said = np.random.default_rng(seed), torch.from_numpy(scores)
    samples = (generator.random((_DRAWS, len(scores))) < scores).astype(np.float64)
    return float(np.mean([evaluate(said, torch.from_numpy(item)).calibration_error for item in samples]))
