"""The options of trainers: what may be asked for, and what stands when nothing is."""

from math import inf, nan

import pytest
from pydantic import ValidationError

from models.recommender.class_model.gradient_descent import GradientDescentOptions
from models.recommender.trainers import make_trainer

NOTEBOOK = {
    "loss": "squared",  # torch.pow(y - response, 2)
    "penalty": "norm",  # torch.norm(param)
    "penalty_weight": 1 / 5,
    "learning_rate": 0.1,
    "epochs": 1000,
    "optimizer": "sgd",
    "device": "cpu",
}


def test_the_defaults_are_the_notebook_s() -> None:
    assert GradientDescentOptions.model_validate({}).model_dump() == NOTEBOOK


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "logistic", "penalty": "squared_norm", "optimizer": "adam"},
        {"penalty_weight": 0, "learning_rate": 1},  # whole numbers are numbers
        {"penalty_weight": 1e6, "learning_rate": 1e3, "epochs": 100_000},
        {"learning_rate": 1e-300, "epochs": 1},
    ],
)
def test_what_is_asked_for_is_kept_and_the_rest_stays_the_notebook_s(options: dict[str, object]) -> None:
    assert GradientDescentOptions.model_validate(options).model_dump() == {**NOTEBOOK, **options}


@pytest.mark.parametrize("field", ["penalty_weight", "learning_rate", "epochs"])
@pytest.mark.parametrize("value", [True, False, "1", "", None, nan, inf, -inf, [1], -1])
def test_a_number_is_refused_that_is_none_or_not_finite_or_negative(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        GradientDescentOptions.model_validate({field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("penalty_weight", 1.1e6),
        ("penalty_weight", -1e-9),
        ("learning_rate", 0),
        ("learning_rate", 1001),
        ("epochs", 0),
        ("epochs", 100_001),
        ("epochs", 10.5),
        ("epochs", 10.0),
        ("loss", "absolute"),
        ("loss", True),
        ("loss", None),
        ("penalty", "Norm"),
        ("penalty", 2),
        ("optimizer", "lbfgs"),
        ("optimizer", None),
        ("device", "gpu"),
        ("device", None),
        ("momentum", 0.9),
        ("Epochs", 10),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        GradientDescentOptions.model_validate({field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


def test_options_do_not_change_once_made() -> None:
    options = GradientDescentOptions()
    with pytest.raises(ValidationError, match="frozen"):
        options.epochs = 5  # type: ignore[misc]
    assert options.epochs == 1000


def test_a_trainer_is_made_by_name_with_its_options() -> None:
    assert make_trainer("gradient_descent", {"epochs": 7}).steps_total == 7


@pytest.mark.parametrize("name", ["", "Gradient_Descent", "gradient descent", "sgd"])
def test_a_trainer_of_no_known_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"no trainer {name!r}"):
        make_trainer(name, {})


def test_a_trainer_s_options_are_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="epochs"):
        make_trainer("gradient_descent", {"epochs": 0})


@pytest.mark.parametrize(
    ("trainer", "field", "value", "range_"),
    [
        ("mixed_effects", "learned_dimensions", 65, "from 0 to 64"),
        ("mixed_effects", "learned_dimensions", -1, "from 0 to 64"),
        ("mixed_effects", "tolerance", 0, "above 0 to 0.1"),
        ("gradient_descent", "epochs", 0, "from 1 to 100,000"),
    ],
)
def test_an_option_outside_its_range_is_refused_with_the_range(
    trainer: str, field: str, value: object, range_: str
) -> None:
    with pytest.raises(ValidationError, match=f"expected a number {range_}"):
        make_trainer(trainer, {field: value})
