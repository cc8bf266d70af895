"""Newton's method: it ends at known problems' minima, and reports when it does not."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from models.recommender.class_model.newton import Curvature, minimise
from models.recommender.class_model.objective import LossName, Objective, PenaltyName
from tests.models.recommender.problems import generator, gradient_of, hessian_of, one_user_objective

Formula = Callable[[Tensor], Tensor]


def differentiated(formula: Formula) -> Callable[[Tensor], Curvature]:
    """Return a problem for the solver whose derivatives are autograd's."""
    return lambda point: Curvature(
        float(formula(point)), gradient_of(formula, point), hessian_of(formula, point)
    )


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def rosenbrock(point: Tensor) -> Tensor:
    return (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2


def double_well(point: Tensor) -> Tensor:
    """Two minima, (±1, 0), and a saddle at zero."""
    return point[0] ** 4 / 4 - point[0] ** 2 / 2 + point[1] ** 2 / 2


def one_user_problem(
    seed: int, loss: LossName, penalty: PenaltyName, scale: float = 1.0
) -> tuple[Callable[[Tensor], Curvature], Formula]:
    """Return one user's problem twice: as the service solves it, and as a formula."""
    source = generator(seed)
    vectors = torch.randn(30, 4, generator=source).double()
    vectors[:, 0] = scale * (1 + 0.2 * vectors[:, 0])
    answers = (vectors[:, 1] + torch.randn(30, generator=source) > 0).double()
    objective = Objective(loss, penalty, 0.2)
    return (
        lambda point: objective.for_one_user(point, vectors, answers, 5.0),
        lambda point: one_user_objective(point, vectors, answers, 5.0, loss, penalty, 0.2),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_quadratic_ends_at_the_solution_of_its_linear_system_in_one_step(seed: int) -> None:
    root = torch.randn(6, 6, generator=generator(seed), dtype=torch.float64)
    matrix = root @ root.T + 0.5 * torch.eye(6, dtype=torch.float64)
    right = torch.randn(6, generator=generator(seed + 9), dtype=torch.float64)
    problem = differentiated(lambda x: 0.5 * x @ matrix @ x - right @ x)
    end = minimise(problem, torch.zeros(6, dtype=torch.float64), tolerance=1e-8)
    torch.testing.assert_close(end.point, torch.linalg.solve(matrix, right))
    assert (end.steps, end.converged) == (1, True)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.0, 0.0), (5.0, -20.0)])
def test_rosenbrock_s_valley_is_followed_to_its_end(start: tuple[float, float]) -> None:
    end = minimise(differentiated(rosenbrock), vector(*start))
    torch.testing.assert_close(end.point, vector(1, 1))
    assert end.converged


@pytest.mark.parametrize(("start", "well"), [((0.1, 1.0), 1.0), ((-1e-3, 0.0), -1.0), ((0.4, -9.0), 1.0)])
def test_from_where_the_curvature_is_indefinite_it_runs_downhill_into_a_well(
    start: tuple[float, float], well: float
) -> None:
    first = differentiated(double_well)(vector(*start))
    assert float(torch.linalg.eigvalsh(first.hessian).min()) < 0
    end = minimise(differentiated(double_well), vector(*start))
    torch.testing.assert_close(end.point.abs(), vector(abs(well), 0), atol=1e-8, rtol=0)
    assert end.converged


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
@pytest.mark.parametrize("seed", range(4))
def test_a_convex_fold_in_ends_where_scipy_ends(seed: int, penalty: PenaltyName) -> None:
    problem, formula = one_user_problem(seed, "logistic", penalty)
    peer = minimize(
        lambda x: float(formula(torch.from_numpy(x))),
        np.zeros(4),
        method="trust-exact",
        jac=lambda x: gradient_of(formula, torch.from_numpy(x)).numpy(),
        hess=lambda x: hessian_of(formula, torch.from_numpy(x)).numpy(),
        options={"gtol": 1e-10},
    )
    end = minimise(problem, 3 * torch.randn(4, generator=generator(seed), dtype=torch.float64))
    assert end.converged
    torch.testing.assert_close(end.point, torch.from_numpy(peer.x), atol=1e-7, rtol=0)


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
@pytest.mark.parametrize("seed", range(4))
def test_scipy_finds_nothing_lower_next_to_the_end_of_a_squared_fold_in(
    seed: int, penalty: PenaltyName
) -> None:
    problem, formula = one_user_problem(seed, "squared", penalty)
    end = minimise(problem, 3 * torch.randn(4, generator=generator(seed), dtype=torch.float64))
    start = end.point + 1e-3 * torch.randn(4, generator=generator(seed + 1), dtype=torch.float64)
    peer = minimize(
        lambda x: float(formula(torch.from_numpy(x))),
        start.numpy(),
        method="BFGS",
        jac=lambda x: gradient_of(formula, torch.from_numpy(x)).numpy(),
    )
    assert end.converged
    assert end.value <= peer.fun + 1e-9
    torch.testing.assert_close(end.point, torch.from_numpy(peer.x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e6])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_coordinate_in_thousands_beside_one_in_units_leaves_no_slope_in_either(
    loss: LossName, scale: float
) -> None:
    problem, formula = one_user_problem(1, loss, "squared_norm", scale)
    end = minimise(problem, torch.zeros(4, dtype=torch.float64))
    # Measured in steps of Newton: how far the minimum still is, beside how far it is from zero. Values in
    # float64 tell points apart that are some 1e-8 of their distance away, more or less by the processor.
    step = torch.linalg.solve(hessian_of(formula, end.point), gradient_of(formula, end.point))
    assert end.converged
    assert bool((step.abs() <= 1e-6 * end.point.abs()).all())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["rosenbrock", "double well", "one user"])
def test_no_step_raises_the_value(name: str, seed: int) -> None:
    problem = {
        "rosenbrock": differentiated(rosenbrock),
        "double well": differentiated(double_well),
        "one user": one_user_problem(seed, "squared", "norm")[0],
    }[name]
    start = 3 * torch.randn(4 if name == "one user" else 2, generator=generator(seed)).double()
    values = [minimise(problem, start, steps=steps).value for steps in range(12)]
    assert values[0] == problem(start).value
    assert all(later <= earlier for earlier, later in pairwise(values))
    assert values[-1] < values[0]


def test_it_says_so_when_the_steps_run_out() -> None:
    end = minimise(differentiated(rosenbrock), vector(-1.2, 1), steps=3)
    assert (end.steps, end.converged) == (3, False)
    assert end.slope > 1e-3
    assert end.value == float(rosenbrock(end.point))


def test_it_says_so_when_there_is_no_minimum() -> None:
    assert not minimise(differentiated(lambda x: -x.sum() + 0 * (x * x).sum()), vector(0, 0)).converged
    assert not minimise(differentiated(lambda x: (x * float("nan")).sum()), vector(1, 1)).converged


@pytest.mark.parametrize("start", [(0.0, 0.0), (1.0, 1.0), (-30.0, 4.0), (1e-9, -1e-9)])
def test_weak_data_under_the_norm_alone_end_at_its_kink(start: tuple[float, float]) -> None:
    # At zero the data pull with 2 · ½ · ¼ · ‖x‖ = 0.03 at most, the norm holds with 0.2: the minimum is zero.
    vectors, answers = vector(0.1, 0.05)[None], vector(1)
    objective = Objective("squared", "norm", 0.2)
    end = minimise(lambda point: objective.for_one_user(point, vectors, answers, 0.0), vector(*start))
    assert end.converged
    assert float(end.point.norm()) < 1e-5
