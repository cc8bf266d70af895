"""Expectations of the logistic likelihood: held to the trapezoidal rule, and to each other."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.recommender.mixed_effects.logistic import expectations, logistic_moments
from tests.models.recommender.problems import generator

MEANS = torch.linspace(-40, 40, 41, dtype=torch.float64).repeat(5)
VARIANCES = torch.tensor([0.0, 1e-6, 0.3, 4.0, 400.0], dtype=torch.float64).repeat_interleave(41)


def integrated(function: str, mean: Tensor, variance: Tensor) -> Tensor:
    """Return the expectation of a function of z ~ N(mean, variance), element by element."""
    steps = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    density = torch.exp(-(steps**2) / 2)
    density /= density.sum()
    logits = mean[:, None] + variance.sqrt()[:, None] * steps
    scores = torch.sigmoid(logits)
    values = {
        "score": scores,
        "slope": scores * (1 - scores),
        "softplus": torch.logaddexp(logits, torch.zeros_like(logits)),
    }
    return values[function] @ density


@pytest.mark.parametrize("function", ["score", "slope", "softplus"])
def test_expectations_are_those_of_the_trapezoidal_rule(function: str) -> None:
    actual = getattr(logistic_moments(MEANS, VARIANCES), function)
    torch.testing.assert_close(actual, integrated(function, MEANS, VARIANCES), atol=2e-8, rtol=0)


def slopes(function: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return central differences of a function of mean and variance, by the one and by the other."""
    step = 1e-4
    variances = VARIANCES.clamp(min=2 * step)
    by_mean = function(MEANS + step, variances) - function(MEANS - step, variances)
    by_variance = function(MEANS, variances + step) - function(MEANS, variances - step)
    return by_mean / (2 * step), by_variance / (2 * step)


def test_each_expectation_is_the_slope_of_the_next() -> None:
    there = logistic_moments(MEANS, VARIANCES.clamp(min=2e-4))
    score, half = slopes(lambda mean, variance: logistic_moments(mean, variance).softplus)
    torch.testing.assert_close(score, there.score, atol=1e-7, rtol=0)
    torch.testing.assert_close(2 * half, there.slope, atol=1e-7, rtol=0)  # Price's theorem
    slope, _ = slopes(lambda mean, variance: logistic_moments(mean, variance).score)
    torch.testing.assert_close(slope, there.slope, atol=1e-7, rtol=0)


def test_many_in_any_shape_are_expected_as_one_by_one() -> None:
    mean, variance = (torch.randn(3, 7001, generator=generator(1)).double() for _ in range(2))
    together = logistic_moments(mean, variance.square())
    for row in range(3):
        alone = logistic_moments(mean[row], variance[row].square())
        for actual, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(actual[row], expected, atol=1e-15, rtol=0)


def test_float32_is_near_enough() -> None:
    float32_moments = logistic_moments(MEANS.float(), VARIANCES.float())
    for actual, expected in zip(float32_moments, logistic_moments(MEANS, VARIANCES), strict=True):
        torch.testing.assert_close(actual.double(), expected, atol=1e-6, rtol=1e-6)


def test_weights_and_pseudo_targets_are_the_likelihood_s_derivatives() -> None:
    """At the logits themselves E log p has the slope h − w·mean by the mean and −w/2 by the variance."""
    answers = torch.rand(len(MEANS), generator=generator(2)).double()
    expected = expectations(answers, MEANS, VARIANCES.clamp(min=2e-4))
    by_mean, by_variance = slopes(lambda mean, variance: expectations(answers, mean, variance).log_likelihood)
    torch.testing.assert_close(expected.pseudo_targets - expected.weights * MEANS, by_mean, atol=1e-7, rtol=0)
    torch.testing.assert_close(-expected.weights / 2, by_variance, atol=1e-7, rtol=0)
