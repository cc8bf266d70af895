"""A network computes what NumPy does, steps against central differences, and learns the notebook's task 6."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.notebook.mlp.network import Network
from models.notebook.mlp.problem import MlpProblem
from models.notebook.mlp.training import LayerParameters, train_mlp
from tests.models.notebook.small_network import SMALL, TARGETS, small
from tests.models.notebook.task_six import OUTSIDE, POINTS, train

Array = NDArray[np.float64]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}


def f(x1: float, x2: float) -> float:
    return x1 * x2 + 1


def numpy_outputs(layers: list[tuple[Array, Array]], points: list[list[float]], activation: str) -> Array:
    values = np.array(points)
    for number, (weight, bias) in enumerate(layers, 1):
        values = values @ weight.T + bias
        if number < len(layers):
            values = ACTIVATIONS[activation](values)
    return values


def arrays(parameters: list[LayerParameters]) -> list[tuple[Array, Array]]:
    return [(np.array(layer.weight), np.array(layer.bias)) for layer in parameters]


def drawn(sizes: list[int], seed: int) -> list[tuple[Array, Array]]:
    """The layers that torch.nn.Linear draws after torch.manual_seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
    return [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in layers
    ]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_outputs_are_those_of_plain_numpy(activation: str) -> None:
    network = small(activation=activation, evaluate=[[1.0, 1.0]])
    layers = arrays(network.parameters)
    expected = numpy_outputs(layers, [[0.5, -1.0], [2.0, 0.25], [0.0, 1.5], [1.0, 1.0]], activation)
    outputs = [*network.predictions, network.evaluations[0].output]
    assert np.array(outputs) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert network.max_error == pytest.approx(np.abs(expected[:3] - np.array(TARGETS)).max(), rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2**53 - 1])
def test_the_first_weights_are_those_that_torch_s_linear_layers_draw(seed: int) -> None:
    network = Network([3, 5, 1, 2], "tanh", seed)
    for layer, (weight, bias) in zip(network.layers, drawn([3, 5, 1, 2], seed), strict=True):
        assert layer.weight.tolist() == weight.tolist()
        assert layer.bias.tolist() == bias.tolist()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_first_loss_is_the_mean_squared_error_of_the_first_weights(activation: str) -> None:
    outputs = numpy_outputs(drawn([2, 3, 2], 5), [[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]], activation)
    loss = np.mean((outputs - np.array(TARGETS)) ** 2)
    assert small(activation=activation, seed=5).losses[0] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_step_of_descent_goes_against_central_differences_of_the_loss(activation: str) -> None:
    rate, width = 0.5, 1e-6
    before = drawn([2, 3, 2], 0)
    after = arrays(small(activation=activation, optimizer="sgd", learning_rate=rate, epochs=1).parameters)

    def loss() -> float:
        outputs = numpy_outputs(before, [[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]], activation)
        return float(np.mean((outputs - np.array(TARGETS)) ** 2))

    for layer, new_layer in zip(before, after, strict=True):
        for array, new_array in zip(layer, new_layer, strict=True):
            for place in np.ndindex(array.shape):
                middle = array[place]
                array[place] = middle + width
                upper = loss()
                array[place] = middle - width
                slope = (upper - loss()) / (2 * width)
                array[place] = middle
                assert new_array[place] == pytest.approx(middle - rate * slope, abs=1e-6)


@pytest.mark.parametrize("name", ["nesterov", "sgd", "adam"])
def test_the_steps_are_those_of_torch_s_optimizers_on_separate_parameters(name: str) -> None:
    torch.manual_seed(3)
    layers = [torch.nn.Linear(2, 3), torch.nn.Sigmoid(), torch.nn.Linear(3, 2)]
    plain = torch.nn.Sequential(*layers)
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "nesterov": lambda: torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, nesterov=True),
        "sgd": lambda: torch.optim.SGD(plain.parameters(), lr=0.1),
        "adam": lambda: torch.optim.Adam(plain.parameters(), lr=0.1),
    }
    optimizer = makers[name]()
    points, targets = torch.tensor([[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]]), torch.tensor(TARGETS)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(plain(points), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        losses.append(loss.item())
        optimizer.step()
    assert small(optimizer=name, learning_rate=0.1, seed=3, epochs=20).losses == pytest.approx(
        losses, rel=1e-5
    )


@pytest.mark.parametrize("seed", range(10))
def test_task_six_of_the_notebook_holds_by_the_defaults(seed: int) -> None:
    network = train(seed=seed)
    assert network.within_tolerance
    assert network.max_error < 0.1
    for (x1, x2), (output,) in zip(POINTS, network.predictions, strict=True):
        assert abs(output - f(x1, x2)) < 0.1
    assert len(network.losses) == 1000


def test_outside_of_the_training_set_the_distance_to_the_expression_is_reported() -> None:
    network = train(evaluate=OUTSIDE)
    assert [evaluation.inputs for evaluation in network.evaluations] == OUTSIDE
    assert [evaluation.expected for evaluation in network.evaluations] == [[5.0], [2.0], [-8.0]]
    for (x1, x2), evaluation in zip(OUTSIDE, network.evaluations, strict=True):
        assert evaluation.distance == pytest.approx(abs(evaluation.output[0] - f(x1, x2)), rel=1e-12)


def test_without_an_expression_nothing_is_expected_outside() -> None:
    (evaluation,) = small(evaluate=[[1.0, 2.0]]).evaluations
    assert len(evaluation.output) == 2
    assert (evaluation.expected, evaluation.distance) == (None, None)


def test_targets_from_the_expression_train_as_targets_given_do() -> None:
    targets = [f(*point) for point in POINTS]
    from_list = train(target_expression=None, targets=targets, epochs=20)
    assert from_list == train(epochs=20)
    assert from_list == train(target_expression=None, targets=[[number] for number in targets], epochs=20)
    assert from_list.targets == [[number] for number in targets]


def test_given_targets_are_trained_on_and_the_expression_only_says_what_lies_outside() -> None:
    network = train(targets=[0.0] * 5, evaluate=[[2.0, 2.0]], epochs=5)
    assert network.targets == [[0.0]] * 5
    assert network.evaluations[0].expected == [5.0]


@pytest.mark.parametrize(
    "expression", ["[x1 + x2, x1 * x2]", "torch.tensor([x1 + x2, x1 * x2])", "s = x1 + x2; (s, x1 * x2)"]
)
def test_several_outputs_come_from_a_list_or_a_tensor(expression: str) -> None:
    targets = [[-0.5, -0.5], [2.25, 0.5], [1.5, 0.0]]
    assert small(targets=None, target_expression=expression) == small(targets=targets)


def test_of_several_outputs_the_error_is_the_largest() -> None:
    network = small(epochs=1)
    errors = [
        abs(output - target)
        for outputs, targets in zip(network.predictions, TARGETS, strict=True)
        for output, target in zip(outputs, targets, strict=True)
    ]
    assert network.max_error == max(errors)
    assert not network.within_tolerance
    assert small(epochs=1, tolerance=max(errors) * 1.01).within_tolerance
    assert not small(epochs=1, tolerance=max(errors)).within_tolerance


def test_a_seed_gives_the_same_bits_again_and_another_seed_others() -> None:
    state = torch.get_rng_state()
    assert train(seed=7, epochs=50) == train(seed=7, epochs=50)
    assert train(seed=7, epochs=50).losses != train(seed=8, epochs=50).losses
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", ["nesterov", "sgd", "adam"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_optimizer_learns_with_every_activation(optimizer: str, activation: str) -> None:
    network = train(optimizer=optimizer, activation=activation, layers=[2, 16, 1], epochs=500)
    assert network.losses[-1] < 0.2 * network.losses[0]
    assert network.optimizer == optimizer


def test_the_learning_rate_used_is_reported() -> None:
    assert small(learning_rate=0.01).learning_rate == 0.01
    assert small().learning_rate > 0


def test_every_epoch_is_reported_and_a_report_may_stop_the_training() -> None:
    reports: list[tuple[int, float]] = []

    def report(epoch: int, loss: float) -> None:
        reports.append((epoch, loss))
        if epoch == 5:
            raise KeyboardInterrupt

    problem = MlpProblem.model_validate({**SMALL, "targets": TARGETS, "epochs": 10})
    with pytest.raises(KeyboardInterrupt):
        train_mlp(problem, report=report)
    assert [epoch for epoch, _ in reports] == [1, 2, 3, 4, 5]
    assert [loss for _, loss in reports] == train_mlp(problem).losses[:5]
