"""Gradients and Hessians are those of calculus; central differences and the order of backward are seen."""

import math
from typing import TYPE_CHECKING

import pytest
import torch

from models.notebook.autograd.gradient import GradientOptionError, GradientOptions, differentiate
from models.notebook.tensor_language.runtime.errors import LimitError, OperationError, UnknownNameError
from models.notebook.tensor_language.runtime.limits import Limits
from tests.models.notebook.generated_programs import smooth

if TYPE_CHECKING:
    from models.notebook.tensor_language.runtime.values import PlainValue


@pytest.mark.parametrize("seed", range(100))
def test_generated_gradients_agree_with_central_differences(seed: int) -> None:
    expression, variables = smooth(seed)
    check = differentiate(expression, variables, options=GradientOptions(order=2, check=True)).check
    assert check is not None
    assert check.largest_disagreement < 1e-4


def test_the_hessian_of_a_product_has_the_mixed_derivatives() -> None:
    derivatives = differentiate(
        "x**2 * y", {"x": 3.0, "y": 5.0}, options=GradientOptions(order=2, check=True)
    )
    assert derivatives.hessian is not None
    table = {
        first: {last: float(value) for last, value in row.items()}
        for first, row in derivatives.hessian.items()
    }
    assert table == {"x": {"x": 10.0, "y": 6.0}, "y": {"x": 6.0, "y": 0.0}}
    assert derivatives.check is not None
    assert derivatives.check.largest_disagreement < 1e-6


def test_the_hessian_of_a_quadratic_form_is_its_matrix_doubled() -> None:
    derivatives = differentiate(
        "x @ A @ x", {"x": [1.0, 2.0], "A": [[2.0, 1.0], [1.0, 3.0]]}, options=GradientOptions(("x",), 2)
    )
    assert derivatives.hessian is not None
    assert derivatives.hessian["x"]["x"].tolist() == [[4.0, 2.0], [2.0, 6.0]]


def test_of_a_linear_expression_the_hessian_is_zero() -> None:
    derivatives = differentiate("sum(x)", {"x": [1.0, 2.0]}, options=GradientOptions(order=2))
    assert derivatives.hessian is not None
    assert derivatives.hessian["x"]["x"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_a_variable_that_is_not_in_the_expression_has_gradient_zero() -> None:
    derivatives = differentiate("w**2", {"w": 3.0, "v": [1.0, 2.0]})
    assert derivatives.gradients["v"].tolist() == [0.0, 0.0]


def test_float32_is_torch_s_and_float64_is_there_to_choose() -> None:
    assert float(differentiate("sin(w)", {"w": math.pi}).value) == pytest.approx(-8.74e-8, rel=1e-3)
    precise = differentiate("sin(w)", {"w": math.pi}, options=GradientOptions(dtype="float64"))
    assert float(precise.value) == pytest.approx(1.22e-16, rel=1e-2)
    assert precise.gradients["w"].dtype == torch.float64


def test_random_draws_are_the_same_in_the_check() -> None:
    derivatives = differentiate(
        "(x * torch.randn(40)).sum()", {"x": [1.0] * 40}, seed=3, options=GradientOptions(check=True)
    )
    assert derivatives.check is not None
    assert derivatives.check.largest_disagreement < 1e-6


def test_variables_in_a_list_keep_their_gradients() -> None:
    derivatives = differentiate(
        "sum(tensor([w, 2 * v]) ** 2)", {"w": 1.0, "v": 2.0}, options=GradientOptions(check=True)
    )
    assert {name: float(value) for name, value in derivatives.gradients.items()} == {"w": 2.0, "v": 16.0}
    assert derivatives.check is not None
    assert derivatives.check.largest_disagreement < 1e-6


def test_a_list_of_tensors_is_refused_with_gradients_as_it_is_without() -> None:
    with pytest.raises(OperationError, match="only of tensors with one element"):
        differentiate("(sum([x, x])**2).sum()", {"x": [1.0, 2.0]})


def test_the_graph_is_in_the_order_in_which_backward_visits_it() -> None:
    graph = differentiate(
        "y = w**3 + w**2\ny * sin(w)", {"w": 2.0}, options=GradientOptions(graph=True)
    ).graph
    assert graph is not None
    # The engine takes what was computed last first: sin after the sum; the square after the cube.
    assert [(node.operation, node.line, node.column) for node in graph.nodes] == [
        ("*", 2, 3),
        ("sin", 2, 5),
        ("+", 1, 10),
        ("**", 1, 13),
        ("**", 1, 6),
        ("w", None, None),
    ]
    assert {(edge.source, edge.target) for edge in graph.edges} == {
        (0, 1),
        (0, 2),
        (1, 5),
        (2, 3),
        (2, 4),
        (3, 5),
        (4, 5),
    }
    assert 'n5 [label="5: w", shape=ellipse];' in graph.dot
    assert "n0 -> n1;" in graph.dot


def test_the_graph_of_what_does_not_depend_on_the_variables_is_empty() -> None:
    graph = differentiate("3", {"w": 2.0}, options=GradientOptions(graph=True)).graph
    assert graph is not None
    assert graph.nodes == ()


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("x", "one number"),
        ("y = 3", "one number"),
        ("[x]", "one number"),
        ("x[0].item() ** 2", "no gradient follows"),
        ("x[0] = 3\nsum(x)", "in-place"),
        ("y = x * 1\nz = y**2\ny[0] = 3\nsum(z)", "writes to a tensor"),
    ],
)
def test_what_autograd_refuses_is_refused(expression: str, words: str) -> None:
    with pytest.raises(OperationError, match=words):
        differentiate(expression, {"x": [1.0, 2.0]})


def test_too_large_a_hessian_or_check_is_refused() -> None:
    with pytest.raises(GradientOptionError, match="Hessian") as error:
        differentiate(
            "sum(x)", {"x": [1.0] * 5}, options=GradientOptions(order=2), limits=Limits(elements=24)
        )
    assert error.value.field == "order"
    assert type(error.value.refusal) is LimitError
    with pytest.raises(GradientOptionError, match="check") as error:
        differentiate(
            "sum(x)", {"x": [1.0] * 5}, options=GradientOptions(check=True), limits=Limits(operations=4)
        )
    assert error.value.field == "check"
    assert type(error.value.refusal) is LimitError


@pytest.mark.parametrize("expression", ["x[i]", "sum(x[:i])", "sum(x.reshape(i, 3))"])
def test_a_whole_number_that_is_needed_as_one_says_to_name_the_others_in_wrt(expression: str) -> None:
    variables: dict[str, PlainValue] = {"x": [1, 2, 3], "i": 1}
    with pytest.raises(OperationError, match=r'for i to stay whole, write "wrt": \["x"\]'):
        differentiate(expression, variables)
    assert differentiate(expression, variables, options=GradientOptions(("x",))).gradients["x"].shape == (3,)
    with pytest.raises(OperationError) as error:
        differentiate("x @ ones(i)", variables)
    assert "wrt" not in error.value.message  # which would not help


def test_what_only_float64_refuses_is_laid_to_the_check() -> None:
    expression, variables = "(x.float() @ a).sum()", {"x": [1.0, 2.0], "a": [3.0, 4.0]}
    assert float(differentiate(expression, variables).value) == 11.0
    with pytest.raises(GradientOptionError, match=r"float64.*line 1, column 12") as error:
        differentiate(expression, variables, options=GradientOptions(check=True))
    assert (error.value.field, error.value.refusal.line) == ("check", None)


def test_what_backward_refuses_has_no_position_and_says_what_to_do() -> None:
    with pytest.raises(OperationError, match=r"y\.clone\(\)") as error:
        differentiate("y = x * 1\nz = y**2\ny[0] = 3\nsum(z)", {"x": [1.0, 2.0]})
    assert (error.value.line, error.value.column) == (None, None)
    with pytest.raises(OperationError, match=r"x\.clone\(\)") as error:
        differentiate("x[0] = 3\nsum(x)", {"x": [1.0, 2.0]})
    assert (error.value.line, error.value.column) == (1, 1)


def test_a_variable_to_differentiate_by_must_be_there() -> None:
    with pytest.raises(UnknownNameError, match="there is no variable v"):
        differentiate("w", {"w": 1.0}, options=GradientOptions(("v",)))
    with pytest.raises(UnknownNameError):
        differentiate("3", {})
