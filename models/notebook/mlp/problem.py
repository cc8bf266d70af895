"""The problem of a network: layers, points, targets and choices, and their checks.

A field that is wrong by itself is refused when the problem is made, by pydantic; fields that do not fit each
other are refused by `check`, with the place.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator

from models.notebook.mlp.network import Activation, parameter_count
from models.notebook.mlp.optimizers import OptimizerName
from models.notebook.mlp.weight_names import check_name
from models.notebook.neuron import BadNetworkError, Number
from models.options import LARGEST_SEED, Options

_NUMBER: TypeAdapter[float] = TypeAdapter(Number, config=ConfigDict(strict=True, allow_inf_nan=False))


def _row(value: object, handler: ValidatorFunctionWrapHandler) -> list[float]:
    """Return a point's targets, of which a single one may come without its brackets."""
    if isinstance(value, list):
        row: list[float] = handler(value)
        return row
    return [_NUMBER.validate_python(value)]


# A million wrong numbers make one error, not a million.
_Point = Annotated[list[Number], Field(max_length=1000, fail_fast=True)]
_Target = Annotated[_Point, WrapValidator(_row, json_schema_input_type=Number | _Point)]


class MlpProblem(Options):
    """A network, the points to train it on and the choices of the training."""

    layers: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        min_length=2, max_length=10, description="neurons a layer, inputs first, outputs last"
    )
    inputs: list[_Point] = Field(
        min_length=1, max_length=1000, fail_fast=True, description="the points, a number an input neuron each"
    )
    targets: list[_Target] | None = Field(
        None,
        max_length=1000,
        fail_fast=True,
        description="a point's wanted outputs; of a single output the number alone will do",
    )
    target_expression: str | None = Field(
        None,
        max_length=2**20,
        description="a program of the tensor language over x1, x2, … that gives a point's wanted outputs",
    )
    activation: Activation = Field("sigmoid", description="of the hidden layers; the output layer has none")
    optimizer: OptimizerName = Field(
        "nesterov", description="torch.optim.SGD with Nesterov's momentum of 0.9, without any, or Adam"
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1000, description="step length; by default one that suits optimizer and activation"
    )
    epochs: int = Field(
        1000, ge=1, description="steps, as many as the limits allow; each sees every point once"
    )
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of the weights to begin with")
    tolerance: float = Field(0.1, gt=0, le=1e6, description="largest error that counts as a good fit")
    evaluate: list[_Point] = Field(
        [], max_length=1000, fail_fast=True, description="points outside of the training set to look at"
    )
    weights: list[Annotated[str, Field(max_length=40)]] = Field(
        [],
        max_length=100,
        description="weights to show: w_12^(1) from input 2 to neuron 1 of layer 1; b_1^(1)",
    )


def check(problem: MlpProblem, largest: int) -> None:
    """Raise `BadNetworkError` if fields do not fit together, or for more than ``largest`` parameters."""
    parameters = parameter_count(problem.layers)
    if parameters > largest:
        raise BadNetworkError(f"the network has {parameters:,} parameters; {largest:,} are allowed", "layers")
    inputs, outputs = problem.layers[0], problem.layers[-1]
    _check_lengths("inputs", problem.inputs, inputs, "input neuron")
    _check_lengths("evaluate", problem.evaluate, inputs, "input neuron")
    if problem.targets is not None:
        if len(problem.targets) != len(problem.inputs):
            raise BadNetworkError(
                f"{_counted(len(problem.targets), 'target')} for {_counted(len(problem.inputs), 'point')}: "
                "a target a point is expected",
                "targets",
            )
        _check_lengths("targets", problem.targets, outputs, "output neuron")
    elif problem.target_expression is None:
        raise BadNetworkError(
            "there is nothing to learn: give targets, or a target_expression such as x1 * x2 + 1", "targets"
        )
    for position, name in enumerate(problem.weights):
        check_name(name, problem.layers, position)


def _check_lengths(field: str, points: Sequence[Sequence[float]], length: int, neuron: str) -> None:
    for position, point in enumerate(points):
        if len(point) != length:
            raise BadNetworkError(
                f"{_counted(len(point), 'number')} where the network has {_counted(length, neuron)}",
                field,
                position,
            )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
