"""A fully connected network: its layers as `torch.nn.Linear` draws them, and the forward pass.

All weights and biases lie in one tensor, and so do their gradients; a layer's are views of both. So a step of
an optimizer is a step of one tensor, however many layers there are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["sigmoid", "tanh", "relu"]

_ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
)


def parameter_count(sizes: Sequence[int]) -> int:
    """Return how many weights and biases a network of these layers has."""
    return sum(inputs * neurons + neurons for inputs, neurons in pairwise(sizes))


@dataclass(frozen=True)
class Layer:
    """One layer's parameters: weight float32 [neurons, inputs], bias [neurons]."""

    weight: Tensor
    bias: Tensor


class Network:
    """The network of ``sizes``, inputs first, drawn as after `torch.manual_seed(seed)`.

    parameters   float32, all layers' one after the other
    gradient     of the same shape; backward adds to it
    layers       views of the parameters
    """

    def __init__(self, sizes: Sequence[int], activation: Activation, seed: int) -> None:
        self.parameters = torch.empty(parameter_count(sizes))
        self.gradient = torch.zeros_like(self.parameters)
        self.layers: list[Layer] = []
        self._activation = _ACTIVATIONS[activation]
        # A separate generator draws the same numbers and leaves torch's global random state alone.
        generator = torch.Generator().manual_seed(seed)
        begin = 0
        for inputs, neurons in pairwise(sizes):
            middle, end = begin + neurons * inputs, begin + neurons * inputs + neurons
            layer = Layer(self._view(begin, middle, (neurons, inputs)), self._view(middle, end, (neurons,)))
            _draw(layer, generator)
            self.layers.append(layer)
            begin = end

    def __call__(self, points: Tensor) -> Tensor:
        """Return the outputs [points, outputs] for float32 points [points, inputs]."""
        *hidden_layers, last = self.layers
        values = points
        for layer in hidden_layers:
            values = self._activation(functional.linear(values, layer.weight, layer.bias))
        return functional.linear(values, last.weight, last.bias)

    def _view(self, begin: int, end: int, shape: tuple[int, ...]) -> Tensor:
        view = self.parameters[begin:end].view(shape).requires_grad_()
        # Backward adds in place to a gradient that is there (torch.autograd.backward says so).
        view.grad = self.gradient[begin:end].view(shape)
        return view


def _draw(layer: Layer, generator: torch.Generator) -> None:
    """Draw what `torch.nn.Linear.reset_parameters` draws: uniform, up to 1/√inputs."""
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(layer.weight.shape[1])
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
