"""Trains a fully connected network on all points at once, and evaluates it.

Source: task 6 of the class notebook, in its section "PyTorch advanced operations tasks".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import DivergedError
from models.notebook.mlp.network import Network
from models.notebook.mlp.optimizers import OptimizerName, default_rate, stepper
from models.notebook.mlp.problem import MlpProblem, check
from models.notebook.mlp.targets import targets_at
from models.notebook.mlp.weight_names import find
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.syntax.parsing import parse

_LIMITS = Limits()


@dataclass(frozen=True)
class LayerParameters:
    """One layer: weight[i][j] from input j to neuron i, both from 0; a bias a neuron."""

    weight: list[list[float]]
    bias: list[float]


@dataclass(frozen=True)
class Evaluation:
    """The network at a point outside of the training set.

    expected   what the target expression gives there; None without one
    distance   the largest |output − expected|; None without an expression
    """

    inputs: list[float]
    output: list[float]
    expected: list[float] | None
    distance: float | None


@dataclass(frozen=True)
class TrainedMlp:
    """What the training ended with.

    parameters         a layer each, the first hidden one first
    weights            those asked for, by the names that they were asked by
    predictions        a point each
    targets            a point each, as given or from the expression
    losses             one an epoch, each before its step
    evaluations        a point of ``evaluate`` each
    max_error          the largest |prediction − target|
    within_tolerance   whether that is less than the tolerance
    """

    parameters: list[LayerParameters]
    weights: dict[str, float]
    predictions: list[list[float]]
    targets: list[list[float]]
    losses: list[float]
    evaluations: list[Evaluation]
    max_error: float
    within_tolerance: bool
    optimizer: OptimizerName
    learning_rate: float


@dataclass(frozen=True)
class _Targets:
    """Targets of the training points, and of the points to evaluate where there is an expression."""

    training: list[list[float]]
    evaluation: list[list[float]] | None


def train_mlp(
    problem: MlpProblem,
    limits: Limits = _LIMITS,
    largest: int = 100_000,
    report: Callable[[int, float], None] | None = None,
) -> TrainedMlp:
    """Run all epochs, calling ``report(epoch, loss)`` after each; it may raise to stop the training.

    ``limits`` are the target expression's, ``largest`` bounds the number of parameters. Raises
    `BadNetworkError` with the place, the expression's `LanguageError`, `DivergedError` when numbers overflow.
    """
    check(problem, largest)
    targets = _targets(problem, limits)
    rate = problem.learning_rate or default_rate(problem.optimizer, problem.activation)
    network = Network(problem.layers, problem.activation, problem.seed)
    losses = _descend(problem, network, targets.training, rate, report)
    predictions = _outputs(network, problem.inputs, problem.epochs)
    outputs = _outputs(network, problem.evaluate, problem.epochs)
    parameters = [LayerParameters(layer.weight.tolist(), layer.bias.tolist()) for layer in network.layers]
    max_error = max(map(_distance, predictions, targets.training))
    return TrainedMlp(
        parameters,
        {name: _weight(name, parameters) for name in problem.weights},
        predictions,
        targets.training,
        losses,
        _evaluations(problem.evaluate, outputs, targets.evaluation),
        max_error,
        max_error < problem.tolerance,
        problem.optimizer,
        rate,
    )


def _targets(problem: MlpProblem, limits: Limits) -> _Targets:
    if problem.target_expression is None:
        return _Targets(problem.targets or [], None)
    program = parse(problem.target_expression, limits)
    points = problem.evaluate if problem.targets is not None else problem.inputs + problem.evaluate
    targets = targets_at(program, points, problem.layers[-1], problem.seed, limits)
    if problem.targets is not None:
        return _Targets(problem.targets, targets)
    count = len(problem.inputs)
    return _Targets(targets[:count], targets[count:])


def _descend(
    problem: MlpProblem,
    network: Network,
    targets: Sequence[Sequence[float]],
    rate: float,
    report: Callable[[int, float], None] | None,
) -> list[float]:
    """Train the network in place; returns the losses."""
    points, expected = _tensor(problem.inputs), _tensor(targets)
    step = stepper(problem.optimizer, network.parameters, network.gradient, rate)
    losses = []
    for epoch in range(1, problem.epochs + 1):
        network.gradient.zero_()
        loss = functional.mse_loss(network(points), expected)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the loss left the finite numbers at epoch {epoch}; lower learning_rate")
        step()
        if report is not None:
            report(epoch, losses[-1])
    return losses


def _outputs(network: Network, points: Sequence[Sequence[float]], epoch: int) -> list[list[float]]:
    """Return the network's outputs at the points after the last epoch; raises `DivergedError`."""
    if not points:
        return []
    with torch.no_grad():
        outputs = network(_tensor(points))
    if not bool(torch.isfinite(outputs).all()):
        raise DivergedError(f"the outputs left the finite numbers at epoch {epoch}; lower learning_rate")
    plain: list[list[float]] = outputs.tolist()
    return plain


def _tensor(rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def _distance(output: Sequence[float], expected: Sequence[float]) -> float:
    return max(abs(actual - target) for actual, target in zip(output, expected, strict=True))


def _evaluations(
    points: list[list[float]], outputs: list[list[float]], expected: list[list[float]] | None
) -> list[Evaluation]:
    if expected is None:
        return [Evaluation(*pair, None, None) for pair in zip(points, outputs, strict=True)]
    return [
        Evaluation(point, output, target, _distance(output, target))
        for point, output, target in zip(points, outputs, expected, strict=True)
    ]


def _weight(name: str, parameters: Sequence[LayerParameters]) -> float:
    """Return the weight or bias of a name that `check` has accepted."""
    place = find(name)
    if place is None:
        raise KeyError(name)
    layer = parameters[place.layer]
    return layer.bias[place.neuron] if place.input is None else layer.weight[place.neuron][place.input]
