"""A network of 17 parameters with two outputs, quick to train."""

from models.notebook.mlp.problem import MlpProblem
from models.notebook.mlp.training import TrainedMlp, train_mlp

SMALL = {"layers": [2, 3, 2], "inputs": [[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]], "epochs": 3}
TARGETS = [[0.5, -1.0], [1.0, 2.0], [0.0, 3.0]]


def small(**choices: object) -> TrainedMlp:
    problem: dict[str, object] = {**SMALL, "targets": TARGETS}
    return train_mlp(MlpProblem.model_validate({**problem, **choices}))
