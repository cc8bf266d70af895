"""The neuron and the multilayer perceptron over HTTP, at once and as a stream."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from app.compute.routes import ComputationStream
from tests.models.notebook.task_six import OUTSIDE, POINTS
from tests.support.requests.computations import computed
from tests.support.requests.refusals import check_problem

NEURON, MLP = "/v1/compute/neuron", "/v1/compute/mlp"
NOTEBOOK = {"inputs": [2.0, -1.0, 3.0], "weights": [4.0, 2.0, -1.0], "target": 0.65}
TASK_6 = {"layers": [2, 4, 4, 1], "inputs": POINTS, "target_expression": "x1*x2 + 1"}
SMALL = {"layers": [1, 2, 1], "inputs": [[0], [1]], "targets": [0, 1], "epochs": 5}


def events(client: TestClient, **body: object) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the name, id and data of each event of a training's stream."""
    with client.stream("POST", MLP, json={**body, "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for text in answer.read().decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in text.split("\n"))
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])


@pytest.mark.parametrize("layer", ["weights", "linear"])
def test_the_neuron_comes_to_the_figures_of_the_notebook(published: TestClient, layer: str) -> None:
    trained = computed(published, NEURON, **NOTEBOOK, layer=layer)
    first, last = trained["trace"][0], trained["trace"][-1]
    assert [round(weight, 4) for weight in first["weights"]] == [3.9945, 2.0027, -1.0082]
    assert [round(slope, 4) for slope in first["gradient"]] == [0.0547, -0.0273, 0.0820]
    assert (round(first["output"], 4), round(first["loss"], 4)) == (0.9526, 0.0916)
    assert [f"{slope:.4e}" for slope in last["gradient"]] == ["4.4477e-06", "-2.2238e-06", "6.6715e-06"]
    assert f"{last['loss']:.4e}" == "2.3888e-11"
    assert [round(weight, 4) for weight in trained["weights"]] == [3.6599, 2.1701, -1.5102]
    assert [epoch["epoch"] for epoch in trained["trace"]] == [1, 2, 3, 98, 99, 100]
    assert len(trained["losses"]) == 100


def test_task_6_holds_and_the_weights_are_there_by_their_names(published: TestClient) -> None:
    trained = computed(
        published, MLP, **TASK_6, seed=0, evaluate=OUTSIDE, weights=["w_12^(1)", "w_13^(3)", "b_1^(3)"]
    )
    assert trained["within_tolerance"]
    assert trained["max_error"] < 0.1
    assert len(trained["losses"]) == 1000
    first, last = trained["parameters"][0], trained["parameters"][2]
    assert trained["weights"] == {
        "w_12^(1)": first["weight"][0][1],
        "w_13^(3)": last["weight"][0][2],
        "b_1^(3)": last["bias"][0],
    }
    for point, seen in zip(OUTSIDE, trained["evaluations"], strict=True):
        assert seen["inputs"] == point
        assert seen["expected"] == [point[0] * point[1] + 1]
        assert seen["distance"] == pytest.approx(abs(seen["output"][0] - seen["expected"][0]))


def test_a_network_by_hand_from_its_answer_predicts_what_it_says(published: TestClient) -> None:
    trained = computed(published, MLP, **TASK_6, seed=3, epochs=50)
    for point, prediction in zip(POINTS, trained["predictions"], strict=True):
        values = point
        for number, layer in enumerate(trained["parameters"]):
            sums = [
                sum(weight * value for weight, value in zip(row, values, strict=True)) + bias
                for row, bias in zip(layer["weight"], layer["bias"], strict=True)
            ]
            values = sums if number == 2 else [1 / (1 + math.exp(-each)) for each in sums]
        assert values == pytest.approx(prediction, abs=1e-5)


def test_a_stream_sends_every_loss_and_ends_with_the_answer(published: TestClient) -> None:
    whole = computed(published, MLP, **TASK_6, seed=1)
    sent = list(events(published, **TASK_6, seed=1))
    assert [name for name, _, _ in sent] == ["epoch"] * 1000 + ["succeeded"]
    assert [number for _, number, _ in sent[:-1]] == [str(epoch) for epoch in range(1, 1001)]
    assert [data for _, _, data in sent[:-1]] == [
        {"epoch": epoch, "loss": loss} for epoch, loss in enumerate(whole["losses"], 1)
    ]
    assert sent[-1][2] == whole


def test_what_is_refused_before_the_first_epoch_is_refused_as_without_a_stream(published: TestClient) -> None:
    for wrong, status, pointer in (
        ({"targets": [0]}, 422, "/targets"),
        ({"target_expression": "x1 +", "targets": None}, 422, "/target_expression"),
        ({"weights": ["w_13^(1)"]}, 422, "/weights/0"),
        ({"epochs": 100_001}, 413, "/epochs"),
        ({"layers": [1, 500, 500, 1]}, 422, "/layers"),
        ({"inputs": [[0], [1, 2]]}, 422, "/inputs/1"),
    ):
        for stream in (False, True):
            answer = published.post(MLP, json={**SMALL, **wrong, "stream": stream})
            assert answer.status_code == status, answer.text
            assert [place["pointer"] for place in check_problem(answer)["errors"]] == [pointer]


def test_a_training_that_leaves_the_finite_numbers_says_what_would_be_right(published: TestClient) -> None:
    wild = {**SMALL, "inputs": [[1e6], [-1e6]], "targets": [1e6, -1e6], "learning_rate": 1000, "epochs": 1000}
    problem = check_problem(published.post(MLP, json=wild))
    assert "lower learning_rate" in problem["detail"]
    *_, (name, _, data) = events(published, **wild)
    assert name == "failed"
    assert (data["status"], data["detail"]) == (422, problem["detail"])


def test_a_neuron_without_a_weight_an_input_is_refused(published: TestClient) -> None:
    problem = check_problem(published.post(NEURON, json={"inputs": [1, 2], "weights": [1]}))
    assert "2 inputs and 1 weights" in problem["detail"]
    assert [place["pointer"] for place in problem["errors"]] == ["/weights"]
    problem = check_problem(
        published.post(
            NEURON, json={"inputs": [1] * 6, "weights": [1] * 6, "epochs": 100_000, "trace": "all"}
        )
    )
    assert [place["pointer"] for place in problem["errors"]] == ["/trace"]


def test_a_training_that_takes_too_long_is_ended_and_the_next_one_answered(published: TestClient) -> None:
    problem = check_problem(published.post(NEURON, json={"inputs": [1], "weights": [0], "epochs": 100_000}))
    assert problem["type"] == "urn:likely:problem:over-budget"
    assert "2 seconds" in problem["detail"]
    assert computed(published, NEURON, **NOTEBOOK)["losses"]


def test_a_stream_that_nobody_takes_ends_its_computation() -> None:
    async def hung_up(_message: object) -> None:
        raise OSError

    async def nothing() -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def events() -> AsyncIterator[bytes]:
        yield b""

    async def story() -> None:
        computation = asyncio.create_task(asyncio.sleep(60, b""))
        with pytest.raises(ClientDisconnect):
            await ComputationStream(events(), computation)(
                {"type": "http", "method": "POST", "asgi": {"spec_version": "2.4"}}, nothing, hung_up
            )
        await asyncio.wait([computation], timeout=1)
        assert computation.cancelled()

    asyncio.run(story())
