"""The neuron comes to the figures that the notebook prints; its gradient is the one worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.notebook.neuron import BadNetworkError, NeuronProblem, TrainedNeuron, train_neuron

NOTEBOOK = {"inputs": [2.0, -1.0, 3.0], "weights": [4.0, 2.0, -1.0]}

# What the notebook prints after an epoch, in both of its sections: epoch, w, w.grad, y, loss.
PRINTED = (
    (1, "[ 3.9945,  2.0027, -1.0082]", "[ 0.0547, -0.0273,  0.0820]", "0.9526", "0.0916"),
    (2, "[ 3.9889,  2.0055, -1.0166]", "[ 0.0563, -0.0281,  0.0844]", "0.9508", "0.0905"),
    (3, "[ 3.9831,  2.0084, -1.0253]", "[ 0.0579, -0.0290,  0.0869]", "0.9489", "0.0894"),
    (98, "[ 3.6599,  2.1701, -1.5102]", "[ 6.1291e-06, -3.0645e-06,  9.1936e-06]", "0.6500", "4.5365e-11"),
    (99, "[ 3.6599,  2.1701, -1.5102]", "[ 5.0985e-06, -2.5493e-06,  7.6478e-06]", "0.6500", "3.1392e-11"),
    (100, "[ 3.6599,  2.1701, -1.5102]", "[ 4.4477e-06, -2.2238e-06,  6.6715e-06]", "0.6500", "2.3888e-11"),
)

LAYERS = ("weights", "linear")


def trained(**problem: object) -> TrainedNeuron:
    return train_neuron(NeuronProblem.model_validate({**NOTEBOOK, **problem}))


def printed(numbers: list[float] | float) -> str:
    return str(torch.tensor(numbers)).removeprefix("tensor(").removesuffix(")")


@pytest.mark.parametrize("layer", LAYERS)
def test_every_figure_that_the_notebook_prints_comes_out_to_its_last_digit(layer: str) -> None:
    trace = [
        (row.epoch, printed(row.weights), printed(row.gradient), printed(row.output), printed(row.loss))
        for row in trained(layer=layer).trace
    ]
    assert trace == list(PRINTED)


def test_the_steps_are_those_of_torch_s_own_optimizer_bit_for_bit() -> None:
    x = torch.tensor([2.0, -1.0, 3.0])
    w = torch.tensor([4.0, 2.0, -1.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    losses, weights = [], []
    for _ in range(100):  # the notebook's loop
        optimizer.zero_grad()
        loss = torch.pow(torch.sigmoid(torch.sum(x * w)) - 0.65, 2)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        losses.append(loss.item())
        optimizer.step()
        weights.append(w.tolist())
    neuron = trained(trace="all")
    assert neuron.losses == losses
    assert [row.weights for row in neuron.trace] == weights


@pytest.mark.parametrize("layer", LAYERS)
def test_the_neuron_ends_at_its_target_with_a_loss_an_epoch(layer: str) -> None:
    neuron = trained(layer=layer)
    assert len(neuron.losses) == 100
    assert neuron.losses == sorted(neuron.losses, reverse=True)
    assert neuron.output == pytest.approx(0.65, abs=1e-5)
    assert neuron.weights == neuron.trace[-1].weights
    assert [neuron.losses[row.epoch - 1] for row in neuron.trace] == [row.loss for row in neuron.trace]


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=20),
    st.floats(0.05, 0.95),
    st.floats(0.001, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_both_layers_train_alike(pairs: list[tuple[float, float]], target: float, rate: float) -> None:
    inputs, weights = [list(numbers) for numbers in zip(*pairs, strict=True)]
    problem = {"inputs": inputs, "weights": weights, "target": target, "learning_rate": rate, "epochs": 20}
    by_hand, linear = (trained(**problem, layer=layer) for layer in LAYERS)
    # float32 sums of up to 20 products of up to 9, in one order and in another
    assert linear.weights == pytest.approx(by_hand.weights, rel=1e-5, abs=1e-5)
    assert linear.output == pytest.approx(by_hand.output, rel=1e-5)
    assert linear.losses == pytest.approx(by_hand.losses, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_the_gradient_is_the_derivative_and_the_step_goes_against_it(layer: str, target: float) -> None:
    inputs, weights = [0.5, -1.5, 2.0, 0.0], [0.2, 0.4, -0.3, 7.0]
    first = trained(
        inputs=inputs, weights=weights, target=target, epochs=1, learning_rate=0.5, layer=layer
    ).trace[0]
    y = 1 / (1 + math.exp(-sum(x * w for x, w in zip(inputs, weights, strict=True))))
    gradient = [2 * (y - target) * y * (1 - y) * x for x in inputs]
    assert first.output == pytest.approx(y, rel=1e-6)
    assert first.loss == pytest.approx((y - target) ** 2, rel=1e-6)
    assert first.gradient == pytest.approx(gradient, rel=1e-5)
    expected = [w - 0.5 * g for w, g in zip(weights, gradient, strict=True)]
    assert first.weights == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("epochs", "epochs_shown"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (5, [1, 2, 3, 4, 5]),
        (6, [1, 2, 3, 4, 5, 6]),
        (7, [1, 2, 3, 5, 6, 7]),
    ],
)
def test_the_trace_has_the_first_and_the_last_three_epochs_once_each(
    epochs: int, epochs_shown: list[int]
) -> None:
    assert [row.epoch for row in trained(epochs=epochs).trace] == epochs_shown


def test_the_whole_trace_begins_and_ends_as_the_short_one_does() -> None:
    full_trace, short_trace = trained(trace="all").trace, trained().trace
    assert [row.epoch for row in full_trace] == list(range(1, 101))
    assert full_trace[:3] + full_trace[-3:] == short_trace


def test_a_whole_trace_of_more_than_a_million_numbers_is_refused() -> None:
    numbers = [0.5] * 1000
    with pytest.raises(BadNetworkError, match="1,001,500 numbers") as refusal:
        trained(inputs=numbers, weights=numbers, epochs=500, trace="all")
    assert refusal.value.place == ("trace",)
    assert len(trained(inputs=numbers, weights=numbers, epochs=499, trace="all").trace) == 499


def test_as_many_weights_as_inputs_are_asked_for() -> None:
    with pytest.raises(BadNetworkError, match="there are 3 inputs and 2 weights") as refusal:
        trained(inputs=[1.0, 2.0, 3.0], weights=[1.0, 2.0])
    assert refusal.value.place == ("weights",)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("inputs", [], ("inputs",)),
        ("inputs", [1.0] * 1001, ("inputs",)),
        ("inputs", [1.0, 1e7, 0.0], ("inputs", 1)),
        ("inputs", [1.0, math.nan, 0.0], ("inputs", 1)),
        ("weights", [1.0, 2.0, True], ("weights", 2)),
        ("target", 1.1, ("target",)),
        ("learning_rate", 0, ("learning_rate",)),
        ("layer", "conv", ("layer",)),
        ("bias", 1.0, ("bias",)),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_its_place(
    field: str, value: object, place: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as refusal:
        NeuronProblem.model_validate({**NOTEBOOK, field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [place]


def test_the_bounds_are_in_the_json_schema_with_a_description_each() -> None:
    fields = NeuronProblem.model_json_schema()["properties"]
    assert all(field["description"] for field in fields.values())
    assert fields["inputs"]["items"] == {"type": "number", "minimum": -1e6, "maximum": 1e6}
    assert (fields["epochs"]["minimum"], fields["epochs"].get("maximum")) == (
        1,
        None,
    )  # a setting of the service
    assert (fields["learning_rate"]["exclusiveMinimum"], fields["learning_rate"]["maximum"]) == (0, 1000)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_the_edge_of_the_bounds_all_numbers_stay_finite(layer: str, sign: float) -> None:
    neuron = trained(inputs=[1e6] * 1000, weights=[sign * 1e-9] * 1000, learning_rate=1000, layer=layer)
    assert all(map(math.isfinite, [neuron.output, *neuron.weights, *neuron.losses]))


def test_torch_s_shared_random_state_stays_as_it_is() -> None:
    before = torch.get_rng_state()
    trained(layer="linear")
    assert torch.equal(torch.get_rng_state(), before)
