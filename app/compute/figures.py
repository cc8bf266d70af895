"""What plots show of a trained network: its losses, and how well it fits. Does not know how they look."""

from collections.abc import Sequence

from app.plots.figures import Fit, LossCurve, Surface
from models.notebook.mlp.problem import MlpProblem
from models.notebook.mlp.training import TrainedMlp
from models.notebook.neuron import NeuronProblem, TrainedNeuron

_SIDE = 25  # points of a surface's grid on each side
_MARGIN = 0.1  # of the inputs' range, on each side
_MOST_SHOWN = 1000  # outputs of all points together


def neuron_losses(problem: NeuronProblem, result: TrainedNeuron) -> LossCurve:
    """Return the losses, an epoch each, each before the epoch's step."""
    return LossCurve.of(
        "Neuron: loss",
        f"target {problem.target:g}, learning rate {problem.learning_rate:g}, {_epochs(problem.epochs)}; "
        f"output {result.output:.4g} at the end",
        "epoch",
        range(1, len(result.losses) + 1),
        {"loss": result.losses},
    )


def mlp_losses(problem: MlpProblem, result: TrainedMlp) -> LossCurve:
    """Return the losses, an epoch each."""
    return LossCurve.of(
        f"Network {_sizes(problem)}: loss",
        f"{_choices(problem, result)}; mean squared error {result.losses[-1]:.4g} at the end",
        "epoch",
        range(1, len(result.losses) + 1),
        {"loss": result.losses},
    )


def mlp_fit(problem: MlpProblem, result: TrainedMlp) -> Fit:
    """Return predictions and targets; the surface if the network was evaluated on `surface_grid`."""
    points = max(1, _MOST_SHOWN // problem.layers[-1])
    left_out = len(problem.inputs) - points
    more = f"; {left_out:,} more points are not shown" if left_out > 0 else ""
    return Fit(
        title=f"Network {_sizes(problem)}: predictions beside targets",
        subtitle=f"{_choices(problem, result)}; largest error {result.max_error:.3g}{more}",
        tolerance=problem.tolerance,
        inputs=problem.inputs[:points],
        targets=result.targets[:points],
        predictions=result.predictions[:points],
        surface=_surface(problem, result),
    )


def surface_grid(problem: MlpProblem) -> list[list[float]]:
    """Return a grid of points around the inputs, if these are two and the output is one; else none."""
    if problem.layers[0] != 2 or problem.layers[-1] != 1:  # noqa: PLR2004 - a surface has two sides
        return []
    xs, ys = (_ticks([point[axis] for point in problem.inputs]) for axis in (0, 1))
    return [[x, y] for y in ys for x in xs]


def _surface(problem: MlpProblem, result: TrainedMlp) -> Surface | None:
    if not surface_grid(problem):
        return None
    outputs = [evaluation.output[0] for evaluation in result.evaluations]
    points = [evaluation.inputs for evaluation in result.evaluations]
    return Surface(
        xs=[point[0] for point in points[:_SIDE]],
        ys=[point[1] for point in points[::_SIDE]],
        predictions=[outputs[start : start + _SIDE] for start in range(0, len(outputs), _SIDE)],
    )


def _ticks(values: Sequence[float]) -> list[float]:
    least, highest = min(values), max(values)
    margin = (highest - least) * _MARGIN or 1.0
    step = (highest - least + 2 * margin) / (_SIDE - 1)
    return [least - margin + step * place for place in range(_SIDE)]


def _sizes(problem: MlpProblem) -> str:
    return "-".join(map(str, problem.layers))


def _choices(problem: MlpProblem, trained: TrainedMlp) -> str:
    return (
        f"{problem.activation}, {trained.optimizer} at rate {trained.learning_rate:g}, seed {problem.seed}, "
        f"{_epochs(problem.epochs)}"
    )


def _epochs(count: int) -> str:
    return f"{count:,} epoch{'' if count == 1 else 's'}"
