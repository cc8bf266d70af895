"""Central differences are the derivatives of calculus at any scale; a wrong gradient disagrees with them."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.notebook.autograd.differences import Table, differences, disagreement
from models.notebook.autograd.gradient import GradientOptions, differentiate


def slope(function: Callable[[Tensor], Tensor], at: float) -> float:
    def of_table(points: Table) -> Table:
        return {"": function(points["w"])}

    return float(differences(of_table, {"w": torch.tensor(at, dtype=torch.float64)}, "w")[""])


SLOPES = {
    "the reciprocal near 0": (lambda w: 1 / w, lambda w: -1 / w**2, (1e-6, -1e-6, 1e-12, 1e-30, 0.5, 3e8)),
    "the logarithm near 0": (torch.log, lambda w: 1 / w, (1e-6, 1e-12, 1e-200, 2.0, 1e12)),
    "the square root near 0": (torch.sqrt, lambda w: 0.5 / math.sqrt(w), (1e-8, 1e-20, 4.0)),
    "a fast wave": (lambda w: torch.sin(1e6 * w), lambda w: 1e6 * math.cos(1e6 * w), (0.0, 1.0, 1e-6)),
    "a slow slope on a large value": (lambda w: 1e6 + w, lambda _: 1.0, (0.0, 1.0, 1e-6)),
    "a cosine near 0": (torch.cos, lambda w: -math.sin(w), (0.0, 1e-6, 1e-12, 1e-30)),
    "a cube": (lambda w: w**3, lambda w: 3 * w**2, (0.0, 1e-6, 1.0, -7.0, 1e6)),
    "an exponential": (torch.exp, math.exp, (0.0, 1e-6, 1.0, -30.0, 30.0)),
    "beside a kink": (torch.relu, lambda w: float(w > 0), (1e-5, -1e-5, 1.0)),
}


@pytest.mark.parametrize(
    ("function", "derivative", "at"),
    [(function, derivative, at) for function, derivative, points in SLOPES.values() for at in points],
    ids=[f"{name} at {at}" for name, (_, _, points) in SLOPES.items() for at in points],
)
def test_a_difference_is_the_derivative(
    function: Callable[[Tensor], Tensor], derivative: Callable[[float], float], at: float
) -> None:
    assert slope(function, at) == pytest.approx(derivative(at), rel=1e-5, abs=1e-6)


def test_at_a_kink_a_difference_is_the_mean_of_both_slopes() -> None:
    assert slope(torch.relu, 0.0) == pytest.approx(0.5)
    assert slope(torch.abs, 0.0) == 0.0


ROUNDED = {
    "through float32": lambda w: 6 * w.float().double(),
    "its square": lambda w: w.float().double() ** 2,
    "under a large value": lambda w: w + 1e8 - 1e8,
    "on a very large value": lambda w: w + 1e10,
    "float32 at the end": lambda w: torch.sigmoid(w / 2).float().double(),
}


@pytest.mark.parametrize("function", ROUNDED.values(), ids=ROUNDED)
@pytest.mark.parametrize("at", [0.0, 1e-3, 0.3, 1.0, 7.0])
def test_a_difference_of_what_is_rounded_on_its_way_is_the_derivative_roughly(
    function: Callable[[Tensor], Tensor], at: float
) -> None:
    point = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(function(point), point)
    assert slope(function, at) == pytest.approx(float(expected), rel=2e-2, abs=2e-2)


def test_where_the_function_is_not_finite_there_is_no_difference() -> None:
    assert math.isnan(slope(torch.log, -1.0))
    assert math.isnan(slope(torch.sqrt, 0.0))
    assert math.isnan(slope(torch.reciprocal, 0.0))


def test_the_function_is_asked_only_as_often_as_it_takes() -> None:
    visits = []

    def function(points: Table) -> Table:
        visits.append(points)
        return {"": torch.tanh(points["w"]).sum()}

    differences(function, {"w": torch.linspace(-2, 2, 10, dtype=torch.float64)}, "w")
    assert len(visits) == 1 + 10 * 3


@pytest.mark.parametrize("expression", ["1 / w", "log(w)", "sqrt(w)", "w * log(w)", "exp(1 / (1 + w))"])
@pytest.mark.parametrize("at", [1e-6, 3e-5, 1e-3, 2.0])
def test_a_right_gradient_agrees_at_a_small_variable_too(expression: str, at: float) -> None:
    check = differentiate(expression, {"w": at}, options=GradientOptions(order=2, check=True)).check
    assert check is not None
    assert check.largest_disagreement < 1e-5


@pytest.mark.parametrize("wrong", [1.001, 0.0, -1.0])
def test_a_wrong_gradient_disagrees_at_every_scale(wrong: float) -> None:
    for at in (1e-6, 1e-3, 1.0, 100.0):
        right = torch.tensor(slope(torch.log, at), dtype=torch.float64)
        assert disagreement(wrong / torch.tensor(at, dtype=torch.float64), right) > 5e-4 / max(1.0, at)
