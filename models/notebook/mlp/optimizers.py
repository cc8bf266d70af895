"""Steps of SGD, of SGD with Nesterov's momentum, and of Adam, by torch.optim.

The default and the learning rates were measured on task 6 of the notebook: docs/experiments.md.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from models.notebook.mlp.network import Activation

OptimizerName = Literal["nesterov", "sgd", "adam"]

_MOMENTUM = 0.9
# By optimizer: for sigmoid and tanh, and for relu, whose neurons die of long steps.
_RATES: Mapping[OptimizerName, tuple[float, float]] = MappingProxyType(
    {"nesterov": (0.1, 0.02), "sgd": (0.3, 0.1), "adam": (0.03, 0.01)}
)


def default_rate(optimizer: OptimizerName, activation: Activation) -> float:
    """Return the default learning rate."""
    smooth, relu = _RATES[optimizer]
    return relu if activation == "relu" else smooth


def stepper(
    optimizer: OptimizerName, parameters: Tensor, gradient: Tensor, rate: float
) -> Callable[[], object]:
    """Return a function that updates the parameters in place by one step against the present gradient.

    It calls the functions behind torch's classes, without their hooks: these take 40 µs a step, and on first
    use a second to import torch's compiler.
    """
    if optimizer == "adam":
        return _adam(parameters, gradient, rate)
    return _descent(parameters, gradient, rate, _MOMENTUM if optimizer == "nesterov" else 0.0)


def _descent(parameters: Tensor, gradient: Tensor, rate: float, momentum: float) -> Callable[[], None]:
    """Return the step of `torch.optim.SGD`."""
    # torch stores the momentum here at the first step, and updates it in place from then on.
    momenta: list[Tensor | None] = [None]

    def step() -> None:
        with torch.no_grad():
            sgd(
                [parameters],
                [gradient],
                momenta,
                weight_decay=0,
                momentum=momentum,
                lr=rate,
                dampening=0,
                nesterov=momentum > 0,
                maximize=False,
                foreach=False,
            )

    return step


def _adam(parameters: Tensor, gradient: Tensor, rate: float) -> Callable[[], None]:
    """Return the step of `torch.optim.Adam` with its defaults."""
    mean, square, steps = torch.zeros_like(parameters), torch.zeros_like(parameters), torch.tensor(0.0)

    def step() -> None:
        with torch.no_grad():
            adam(
                [parameters],
                [gradient],
                [mean],
                [square],
                [],
                [steps],
                foreach=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate,
                weight_decay=0,
                eps=1e-8,
                maximize=False,
            )

    return step
