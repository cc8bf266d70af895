"""The notebook's networks, the neuron and the multilayer perceptron, and how they are refused.

Does not know that it runs in a process of its own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.compute.figures import mlp_fit, mlp_losses, neuron_losses, surface_grid
from app.compute.inputs import ComputeLimits, as_json, placed, placed_in_network
from app.errors import Place, TooLarge, pointer
from app.plots.figures import Fit, LossCurve
from models.notebook.mlp.problem import MlpProblem, check
from models.notebook.mlp.targets import targets_at
from models.notebook.mlp.training import TrainedMlp, train_mlp
from models.notebook.neuron import NeuronProblem, TrainedNeuron, train_neuron
from models.notebook.tensor_language.syntax.parsing import parse

MlpFigure = Literal["losses", "fit"]

# A message for each loss would take longer than to train.
_SEND_SECONDS = 0.05


@dataclass(frozen=True)
class Progress:
    """Losses of epochs that follow each other, the first of them by its number."""

    epoch: int
    losses: list[float]


def run_neuron(problem: NeuronProblem, limits: ComputeLimits) -> TrainedNeuron:
    """Train a neuron; raises `BadInput` and `TooLarge` with the place."""
    _check_epochs(problem.epochs, limits)
    with placed_in_network():
        return train_neuron(problem)


def draw_neuron(problem: NeuronProblem, limits: ComputeLimits) -> LossCurve:
    """Train a neuron and return what a plot shows of it; raises as `run_neuron`."""
    brief_problem = problem.model_copy(update={"trace": "ends"})
    return neuron_losses(brief_problem, run_neuron(brief_problem, limits))


def run_mlp(
    problem: MlpProblem, limits: ComputeLimits, progress: Callable[[bytes], None] | None
) -> TrainedMlp:
    """Train a network, sending its losses on the way; raises `BadInput` and `TooLarge` with the place."""
    _check_epochs(problem.epochs, limits)
    losses = _Losses(progress)
    with placed_in_network(), placed("target_expression"):
        result = train_mlp(problem, limits.language, limits.parameters, losses.add)
    losses.send()
    return result


def draw_mlp(problem: MlpProblem, limits: ComputeLimits, figure: MlpFigure) -> LossCurve | Fit:
    """Train a network and return what a plot shows of it; raises as `run_mlp`."""
    if figure == "losses":
        return mlp_losses(problem, run_mlp(problem, limits, None))
    with_targets = _with_targets(problem, limits)
    with_surface = with_targets.model_copy(update={"evaluate": surface_grid(with_targets)})
    return mlp_fit(with_surface, run_mlp(with_surface, limits, None))


def _with_targets(problem: MlpProblem, limits: ComputeLimits) -> MlpProblem:
    """Return the problem with its targets worked out: an expression may have no value on all of a surface."""
    _check_epochs(problem.epochs, limits)
    targets = problem.targets
    with placed_in_network(), placed("target_expression"):
        check(problem, limits.parameters)
        if problem.target_expression is not None:
            program = parse(problem.target_expression, limits.language)
            if targets is None:
                outputs = problem.layers[-1]
                targets = targets_at(program, problem.inputs, outputs, problem.seed, limits.language)
    return problem.model_copy(update={"targets": targets, "target_expression": None})


class _Losses:
    """Sends losses together, a few times a second."""

    def __init__(self, progress: Callable[[bytes], None] | None) -> None:
        self._progress = progress
        self._waiting: list[float] = []
        self._sent = 0
        self._sent_at = time.monotonic()

    def add(self, epoch: int, loss: float) -> None:
        """Take an epoch's loss; epochs come in their order, from 1."""
        self._waiting.append(loss)
        if epoch == 1 or time.monotonic() > self._sent_at + _SEND_SECONDS:
            self.send()

    def send(self) -> None:
        """Send what waits."""
        if self._progress is not None and self._waiting:
            self._progress(as_json(Progress(self._sent + 1, self._waiting)))
        self._sent += len(self._waiting)
        self._waiting = []
        self._sent_at = time.monotonic()


def _check_epochs(epochs: int, limits: ComputeLimits) -> None:
    if epochs > limits.epochs:
        detail = f"at most {limits.epochs:,} epochs"
        raise TooLarge(f"/epochs: {detail}", [Place(detail, pointer("epochs"))])
