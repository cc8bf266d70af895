"""Every number that the class notebook prints, unseeded draws apart, comes out to its last digit."""

import math

import pytest

from models.notebook.autograd.gradient import GradientOptions, differentiate
from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.interpreter import run
from models.notebook.tensor_language.runtime.values import show
from tests.models.notebook.notebook_cells import (
    CELLS,
    GRADIENT_CELLS,
    TASK_3,
    TASKS,
    Cell,
    GradientCell,
    Task,
)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.heading)
def test_a_cell_prints_what_the_notebook_prints(cell: Cell) -> None:
    assert show(run(cell.program, {}, 0).result).text == cell.printed


@pytest.mark.parametrize("cell", GRADIENT_CELLS, ids=lambda cell: cell.heading)
def test_a_gradient_is_the_one_that_the_notebook_prints(cell: GradientCell) -> None:
    derivatives = differentiate(
        cell.expression, cell.variables, options=GradientOptions(wrt=tuple(cell.gradients))
    )
    assert show(derivatives.value).text == cell.value
    assert {name: show(gradient).text for name, gradient in derivatives.gradients.items()} == cell.gradients


def test_a_negative_step_does_not_work_for_tensors() -> None:
    with pytest.raises(OperationError, match="line 2, column 2: step must be greater than zero"):
        run("a = torch.tensor([i**2 for i in range(10)])\na[::-1]", {}, 0)


def test_draws_have_the_shape_and_the_bounds_that_the_notebook_asks_for() -> None:
    numbers = show(run("torch.randint(low=0, high=10, size=(3, 2))", {}, 5).result)
    assert (numbers.shape, numbers.dtype) == ((3, 2), "int64")
    assert isinstance(numbers.value, list)
    assert show(run("np.random.normal(loc=0, scale=10, size=(3, 2))", {}, 5).result).dtype == "float64"
    assert show(run("torch.normal(mean=0, std=10, size=(3, 2))", {}, 5).result).dtype == "float32"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_basic_task_has_its_answer(task: Task) -> None:
    assert show(run(task.program, {}, 0).result).text == task.printed


def test_task_3_is_the_logistic_function_of_the_sum() -> None:
    x = [1.2, 2.3, 3.4, -0.7, 4.2, 2.7, -0.5, 1.4, -3.3, 0.2]
    theta = [1.7, 0.33, -2.12, -1.73, 2.9, -5.8, -0.9, 12.11, 3.43, -0.5, -1.65]
    z = sum(x_i * theta_i for x_i, theta_i in zip(x, theta[:-1], strict=True)) + theta[-1]
    assert show(run(TASK_3, {}, 0).result).value == pytest.approx(1 / (1 + math.exp(-z)), rel=1e-6)


@pytest.mark.parametrize(
    ("expression", "w", "derivative"),
    [("w**3 + w**2", 2.0, 16.0), ("sin(w)", math.pi, -1.0), ("log(w * exp(3 * w))", 1.0, 4.0)],
)
def test_task_4_has_the_derivatives_16_minus_1_and_4(expression: str, w: float, derivative: float) -> None:
    derivatives = differentiate(expression, {"w": w}, options=GradientOptions(check=True))
    assert float(derivatives.gradients["w"]) == pytest.approx(derivative, rel=1e-6)
    assert derivatives.check is not None
    assert derivatives.check.largest_disagreement < 1e-6


SQUARES = "w1**2 + w2**2 + w3**2"


@pytest.mark.parametrize(
    ("expression", "variables", "derivative"),
    [
        ("w1**3 + w1**2 + w2", {"w1": 2.0, "w2": 3.0}, 16.0),
        ("sin(w1) * w2 + w1**2 * w3", {"w1": math.pi, "w2": 2.0, "w3": 4.0}, 2 * 4 * math.pi - 2),
        (
            f"exp({SQUARES}) + {SQUARES}",
            {"w1": 0.5, "w2": 0.67, "w3": 0.55},
            2 * 0.5 * (math.exp(0.5**2 + 0.67**2 + 0.55**2) + 1),
        ),
    ],
)
def test_task_5_has_the_derivatives_that_calculus_gives(
    expression: str, variables: dict[str, float], derivative: float
) -> None:
    derivatives = differentiate(expression, variables, options=GradientOptions(wrt=("w1",)))
    assert list(derivatives.gradients) == ["w1"]
    assert float(derivatives.gradients["w1"]) == pytest.approx(derivative, rel=1e-6)


def test_task_5_ends_with_3_7221() -> None:
    derivatives = differentiate(f"exp({SQUARES}) + {SQUARES}", {"w1": 0.5, "w2": 0.67, "w3": 0.55})
    assert show(derivatives.gradients["w1"]).text == "tensor(3.7221)"
