"""Targets from an expression of the tensor language: f(x1, x2, …) in float64, a point at a time."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from models.notebook.neuron import LARGEST, BadNetworkError
from models.notebook.tensor_language.runtime.interpreter import execute
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import Listing, Value, kind_of
from models.notebook.tensor_language.syntax.program import Program

_COORDINATES_SHOWN = 5


def targets_at(
    program: Program, points: Sequence[Sequence[float]], outputs: int, seed: int, limits: Limits
) -> list[list[float]]:
    """Return f at each of the points, ``outputs`` numbers each; raises `LanguageError`, `BadNetworkError`.

    All points together may allocate what one program may. Random draws are the same at every point.
    """
    share = replace(limits, total_elements=limits.total_elements // max(len(points), 1))
    return [_target(program, point, outputs, seed, share) for point in points]


def _target(program: Program, point: Sequence[float], outputs: int, seed: int, limits: Limits) -> list[float]:
    variables: dict[str, Value] = {f"x{position}": number for position, number in enumerate(point, 1)}
    numbers = _numbers(execute(program, variables, seed, limits, torch.float64).result)
    result = numbers if isinstance(numbers, str) else f"{len(numbers):,} numbers"
    if isinstance(numbers, str) or len(numbers) != outputs:
        expected = "output is one number" if outputs == 1 else f"outputs are {outputs:,} numbers"
        raise _error(point, f"{result}, and the network's {expected}")
    for number in numbers:
        if not (math.isfinite(number) and abs(number) <= LARGEST):
            raise _error(point, f"{number:g}, and targets are from {-LARGEST:,.0f} to {LARGEST:,.0f}")
    return numbers


def _numbers(value: Value) -> list[float] | str:
    """Return the numbers of a number, a tensor or a flat list; of another value its description."""
    if isinstance(value, bool | int | float):
        return [float(value)]
    if isinstance(value, Tensor):
        return [float(number) for number in value.reshape(-1).tolist()]
    if not isinstance(value, Listing):
        return "nothing" if value is None else f"a {kind_of(value)}"
    numbers: list[float] = []
    for item in value.items:
        if isinstance(item, bool | int | float) or (isinstance(item, Tensor) and item.numel() == 1):
            numbers.append(float(item))
        else:
            return f"a {kind_of(value)} that holds a {kind_of(item)}"
    return numbers


def _error(point: Sequence[float], result: str) -> BadNetworkError:
    coordinates = ", ".join(f"{number:g}" for number in point[:_COORDINATES_SHOWN])
    ellipsis = ", …" if len(point) > _COORDINATES_SHOWN else ""
    return BadNetworkError(
        f"at ({coordinates}{ellipsis}) the target expression gives {result}", "target_expression"
    )
