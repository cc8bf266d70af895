"""Weights are found by name; what is wrong with a problem is refused, with the place and what there is."""

import pytest
import torch
from pydantic import ValidationError

from models.errors import DivergedError
from models.notebook.mlp.problem import MlpProblem, check
from models.notebook.mlp.training import train_mlp
from models.notebook.neuron import BadNetworkError
from models.notebook.tensor_language.runtime.errors import LanguageError, LimitError, UnknownNameError
from models.notebook.tensor_language.runtime.limits import Limits
from tests.models.notebook.small_network import SMALL, TARGETS, small
from tests.models.notebook.task_six import train


def test_weights_are_named_as_the_task_writes_them() -> None:
    names = [
        "w_12^(1)",
        "w_{1, 2}^{(1)}",
        "w_13^(3)",
        "w_{1,3}^{(3)}",
        "b_4^(2)",
        "b_{4}^{(2)}",
        "w_{12}^(1)",
    ]
    network = train(weights=names, epochs=2)
    first, second, third = network.parameters
    assert network.weights == dict(
        zip(
            names,
            [first.weight[0][1]] * 2 + [third.weight[0][2]] * 2 + [second.bias[3]] * 2 + [first.weight[0][1]],
            strict=True,
        )
    )


def test_numbers_of_two_digits_take_a_comma() -> None:
    network = train(layers=[2, 12, 11, 1], weights=["w_1,12^(2)", "w_{11,3}^{(2)}", "b_11^(2)"], epochs=1)
    layer = network.parameters[1]
    assert list(network.weights.values()) == [layer.weight[0][11], layer.weight[10][2], layer.bias[10]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("w_51^(1)", "layer 1 has neurons 1 to 4, inputs 1 to 2"),
        ("w_13^(1)", "layer 1 has neurons 1 to 4, inputs 1 to 2"),
        ("b_2^(3)", "layer 3 has neurons 1 to 1, inputs 1 to 4"),
        ("w_11^(4)", "the layers that have weights are 1 to 3"),
        *(
            (name, "no weight's name")
            for name in ("", "w", "w_1^(1)", "w_10^(1)", "w_123^(1)", "w_0,1^(1)", "w_11^(0)", "w_11^1")
        ),
        *(
            (name, "no weight's name")
            for name in ("b_1,2^(1)", "v_11^(1)", "w_{11^(1)", "w_١٢^(1)", "w_11^(1)\n2")
        ),
    ],
)
def test_a_name_that_no_weight_has_is_refused_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(BadNetworkError, match=words) as refusal:
        train(weights=["w_11^(1)", name])
    assert refusal.value.place == ("weights", 1)


@pytest.mark.parametrize(
    ("choices", "place", "words"),
    [
        ({"inputs": [[1.0, 2.0], [1.0]]}, ("inputs", 1), "1 number where the network has 2 input neurons"),
        ({"evaluate": [[1.0, 2.0, 3.0]]}, ("evaluate", 0), "3 numbers where"),
        ({"targets": TARGETS[:2]}, ("targets",), "2 targets for 3 points"),
        ({"targets": [[1.0, 2.0], [1.0, 2.0], 3.0]}, ("targets", 2), "1 number where"),
        ({"targets": None}, ("targets",), "give targets, or a target_expression"),
        ({"layers": [2, 1000, 1000, 2]}, ("layers",), "1,006,002 parameters; 100,000 are allowed"),
        (
            {"targets": None, "target_expression": "x1"},
            ("target_expression",),
            "1 numbers, and the network's",
        ),
        ({"targets": None, "target_expression": "[[x1, x2]]"}, ("target_expression",), "holds a list"),
        ({"targets": None, "target_expression": "y = x1"}, ("target_expression",), "gives nothing"),
        (
            {"targets": None, "target_expression": "torch.log(tensor([x1, x2]))"},
            ("target_expression",),
            "nan",
        ),
        ({"targets": None, "target_expression": "[1e7, x1]"}, ("target_expression",), "to 1,000,000"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_its_place(
    choices: dict[str, object], place: tuple[str | int, ...], words: str
) -> None:
    with pytest.raises(BadNetworkError, match=words) as refusal:
        small(**choices)
    assert refusal.value.place == place
    assert refusal.value.message == str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("layers", [2], ("layers",)),
        ("layers", [2, 0, 1], ("layers", 1)),
        ("layers", [2, 1001, 1], ("layers", 1)),
        ("layers", [1] * 11, ("layers",)),
        ("inputs", [], ("inputs",)),
        ("inputs", [[1.0, 2.0], [1.0, "2"]], ("inputs", 1, 1)),
        ("inputs", [[1.0, 2.0], [1.0, 1e39]], ("inputs", 1, 1)),
        ("targets", [1.0, True], ("targets", 1)),
        ("targets", [1.0, float("nan")], ("targets", 1)),
        ("targets", [1.0, 1e39], ("targets", 1)),
        ("targets", [1.0, [2.0, "x"]], ("targets", 1, 1)),
        ("activation", "softmax", ("activation",)),
        ("optimizer", "lbfgs", ("optimizer",)),
        ("learning_rate", 0, ("learning_rate",)),
        ("seed", 2**53, ("seed",)),
        ("tolerance", 0, ("tolerance",)),
        ("weights", ["w" * 41], ("weights", 0)),
        ("bias", 1, ("bias",)),
    ],
)
def test_a_field_that_is_wrong_by_itself_is_refused_in_its_place(
    field: str, value: object, place: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as refusal:
        MlpProblem.model_validate({**SMALL, "targets": TARGETS, field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [place]


def test_a_million_wrong_numbers_are_one_error() -> None:
    with pytest.raises(ValidationError) as refusal:
        MlpProblem.model_validate({**SMALL, "inputs": [["x"] * 1000] * 1000})
    assert refusal.value.error_count() == 1


def test_the_json_schema_says_that_a_single_target_needs_no_brackets() -> None:
    fields = MlpProblem.model_json_schema()["properties"]
    assert all(field["description"] for field in fields.values())
    items = next(schema for schema in fields["targets"]["anyOf"] if schema["type"] == "array")["items"]
    assert [schema["type"] for schema in items["anyOf"]] == ["number", "array"]


def test_too_many_parameters_are_refused_before_any_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = MlpProblem.model_validate({"layers": [1000] * 10, "inputs": [[0.0] * 1000], "targets": [[0.0]]})
    monkeypatch.delattr(torch, "empty")
    with pytest.raises(BadNetworkError, match="9,009,000 parameters"):
        train_mlp(problem)


def test_the_bound_on_parameters_is_the_caller_s() -> None:
    problem = MlpProblem.model_validate({**SMALL, "targets": TARGETS})
    check(problem, largest=17)  # 2 · 3 + 3 + 3 · 2 + 2
    with pytest.raises(BadNetworkError, match="17 parameters; 16 are allowed"):
        check(problem, largest=16)


def test_what_the_language_refuses_passes_through_with_its_position() -> None:
    with pytest.raises(UnknownNameError, match="x3") as refusal:
        train(target_expression="x1 *\\\n x3")
    assert (refusal.value.line, refusal.value.column) == (2, 2)
    with pytest.raises(LanguageError):
        train(target_expression="x1 *")


def test_all_points_together_allocate_what_one_program_may() -> None:
    problem = MlpProblem.model_validate(
        {**SMALL, "layers": [2, 1], "target_expression": "sum(zeros(40)) + x1"}
    )
    assert train_mlp(problem, Limits(total_elements=300)).targets == [[0.5], [2.0], [0.0]]
    with pytest.raises(LimitError):
        train_mlp(problem, Limits(total_elements=100))


def test_a_loss_that_leaves_the_finite_numbers_ends_the_training() -> None:
    with pytest.raises(DivergedError, match=r"at epoch \d+; lower learning_rate"):
        train(activation="relu", optimizer="sgd", learning_rate=1000.0)
    with pytest.raises(DivergedError, match="at epoch 1; lower learning_rate"):
        small(
            inputs=[[1e6, 1e6]] * 3,
            activation="relu",
            layers=[2, 16, 16, 16, 2],
            learning_rate=1000.0,
            epochs=1,
        )
