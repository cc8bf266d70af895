"""Trains one neuron, sigmoid(w · x), until it gives a target on one input, as the class notebook does.

    loss = (sigmoid(w · x) − target)²,   w ← w − learning_rate · ∂loss/∂w

in float32 by torch's autograd and the step of `torch.optim.SGD`, with the notebook's own operations, so that
it ends at the notebook's figures. Source: its sections "Backpropagation" (``layer="weights"``) and "Proper
PyTorch model with a fully-connected layer" (``layer="linear"``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.sgd import sgd

from models.options import Options

LARGEST = 1e6

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""An input, weight or target of any network: far enough from float32's 3e38 for products and squares."""

# How many epochs the notebook prints at the start, and at the end.
_PRINTED = 3
# Numbers in a trace of all epochs; more makes an answer of tens of megabytes.
_MOST_PRINTED = 1_000_000


class BadNetworkError(ValueError):
    """A problem that no network can be trained on.

    message   a sentence that says what is wrong
    place     the field's path in the problem, for example ("inputs", 3)
    """

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


class NeuronProblem(Options):
    """One input, the weights to begin with and the output wanted; the defaults are the notebook's."""

    inputs: list[Number] = Field(min_length=1, max_length=1000, description="x, a number an input")
    weights: list[Number] = Field(
        min_length=1, max_length=1000, description="w before the first epoch, as many numbers as inputs"
    )
    target: float = Field(0.65, ge=0, le=1, description="the output to come to")
    learning_rate: float = Field(0.1, gt=0, le=1000, description="step length along the gradient")
    epochs: int = Field(100, ge=1, description="steps, as many as the limits allow")
    layer: Literal["weights", "linear"] = Field(
        "weights", description="sum(x * w) written out, or torch.nn.Linear without a bias"
    )
    trace: Literal["ends", "all"] = Field(
        "ends", description="the first three and last three epochs, as the notebook prints them, or all"
    )


@dataclass(frozen=True)
class NeuronEpoch:
    """One epoch as the notebook prints it.

    epoch      from 1
    weights    after the step
    gradient   of the loss by the weights, before the step
    output     before the step
    loss       before the step
    """

    epoch: int
    weights: list[float]
    gradient: list[float]
    output: float
    loss: float


@dataclass(frozen=True)
class TrainedNeuron:
    """What the training ended with.

    weights   after the last step
    output    with these weights
    losses    one an epoch, each before its step
    trace     the epochs that were asked for
    """

    weights: list[float]
    output: float
    losses: list[float]
    trace: list[NeuronEpoch]


def train_neuron(problem: NeuronProblem) -> TrainedNeuron:
    """Run all epochs; raises `BadNetworkError` for other than a weight an input, and for a trace too long.

    The numbers stay finite: a slope is at most |x| / 2, so within the problem's bounds w stays below 1e14.
    """
    if len(problem.inputs) != len(problem.weights):
        raise BadNetworkError(
            f"a weight an input is expected: there are {len(problem.inputs)} inputs "
            f"and {len(problem.weights)} weights",
            "weights",
        )
    is_traced = _trace_filter(problem)
    inputs = torch.tensor(problem.inputs, dtype=torch.float32)
    weights, weigh = _layer(problem)
    losses, trace = [], []
    for epoch in range(1, problem.epochs + 1):
        weights.grad = None  # what optimizer.zero_grad() does
        output = torch.sigmoid(weigh(inputs))
        loss = torch.pow(output - problem.target, 2)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        losses.append(loss.item())
        _step(weights, problem.learning_rate)
        if is_traced(epoch):
            gradient: list[float] = [] if weights.grad is None else weights.grad.tolist()
            trace.append(NeuronEpoch(epoch, weights.tolist(), gradient, output.item(), losses[-1]))
    with torch.no_grad():
        return TrainedNeuron(weights.tolist(), torch.sigmoid(weigh(inputs)).item(), losses, trace)


def _trace_filter(problem: NeuronProblem) -> Callable[[int], bool]:
    """Return whether an epoch, from 1, is in the trace; raises `BadNetworkError` for a trace too long."""
    if problem.trace == "ends":
        last = problem.epochs - _PRINTED
        return lambda epoch: epoch <= _PRINTED or epoch > last
    numbers = problem.epochs * (2 * len(problem.inputs) + 3)
    if numbers > _MOST_PRINTED:
        raise BadNetworkError(
            f"a trace of all epochs has {numbers:,} numbers here and {_MOST_PRINTED:,} are allowed: "
            "ask for fewer epochs, or for the ends",
            "trace",
        )
    return lambda _: True


def _layer(problem: NeuronProblem) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the weights, float32 [inputs], and the function w · x of inputs x."""
    weights = torch.tensor(problem.weights, dtype=torch.float32)
    if problem.layer == "weights":
        weights.requires_grad_()
        return weights, lambda inputs: torch.sum(inputs * weights)
    # On "meta" nothing is drawn: the weights are given, and torch's global random state is left alone.
    linear = nn.Linear(len(problem.inputs), 1, bias=False, device="meta")
    linear.weight = nn.Parameter(weights)  # of one dimension, as in the notebook: the output is a number
    return linear.weight, linear


def _step(weights: Tensor, rate: float) -> None:
    """Take the step of `torch.optim.SGD([weights], lr=rate)`, by the function behind the class.

    The class adds hooks, which take a third of an epoch's time, and on first use a second to import torch's
    compiler.
    """
    gradient = weights.grad
    if gradient is None:
        return
    with torch.no_grad():
        sgd(
            [weights],
            [gradient],
            [None],
            weight_decay=0,
            momentum=0,
            lr=rate,
            dampening=0,
            nesterov=False,
            maximize=False,
            foreach=False,
        )
