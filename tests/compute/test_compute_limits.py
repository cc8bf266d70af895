"""Every limit of computations is a setting, and what is over it is told so."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from testbed.databases import url_for
from tests.support.requests.computations import computed, refused

TENSOR, GRADIENT = "/v1/compute/tensor", "/v1/compute/gradient"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service with every limit of computations set very low."""
    settings = Settings(
        database_url=url_for(tmp_path_factory.mktemp("narrow")),
        compute_processes=1,
        compute_program_bytes=60,
        compute_nesting=5,
        compute_operations=10,
        compute_elements=20,
        compute_epochs=7,
        compute_parameters=13,
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("1" + " + 1" * 20, "60"),
        ("((((((1))))))", "5"),
        ("[i + 1 for i in range(11)]", "10"),
        ("zeros(21)", "20"),
    ],
)
def test_every_limit_of_programs_is_a_setting(narrow: TestClient, program: str, said: str) -> None:
    assert said in refused(narrow, TENSOR, 413, program=program)["detail"]


def test_a_variable_is_held_to_the_elements_allowed_too(narrow: TestClient) -> None:
    values: tuple[list[object], ...] = ([0] * 21, [[]] * 21)
    for value in values:
        problem = refused(narrow, TENSOR, 413, program="1", variables={"a": value})
        assert [place["pointer"] for place in problem["errors"]] == ["/variables/a"]


BEYOND = {
    "a Hessian": ({"order": 2}, {"x": [1.0] * 5}, 413, "/order"),
    "a check": ({"check": True}, {"x": [1.0] * 11}, 413, "/check"),
    "a check in float64": ({"check": True}, {"x": [1.0], "y": [2.0]}, 422, "/check"),
    "backward": ({}, {"x": [1.0, 2.0]}, 422, "/expression"),
}


@pytest.mark.parametrize(("asked", "variables", "status", "pointer"), BEYOND.values(), ids=BEYOND)
def test_a_refusal_without_a_position_names_the_field_that_asks_for_too_much(
    narrow: TestClient, asked: dict[str, object], variables: dict[str, object], status: int, pointer: str
) -> None:
    expression = "(x.float() @ y).sum()" if "y" in variables else "sum(x)"
    if pointer == "/expression":
        expression = "y = x * 1; z = y**2; y[0] = 3; sum(z)"
    problem = refused(narrow, GRADIENT, status, expression=expression, variables=variables, **asked)
    (place,) = problem["errors"]
    assert set(place) == {"detail", "pointer"}
    assert place["pointer"] == pointer
    assert problem["detail"] == f"{pointer}: {place['detail']}"


def test_every_limit_of_networks_is_a_setting(narrow: TestClient) -> None:
    neuron = {"inputs": [1.0], "weights": [0.0], "epochs": 8}
    assert "7 epochs" in refused(narrow, "/v1/compute/neuron", 413, **neuron)["detail"]
    network: dict[str, object] = {"layers": [2, 3, 1], "inputs": [[1, 2]], "targets": [[1]], "epochs": 7}
    assert computed(narrow, "/v1/compute/mlp", **network)["losses"]
    assert "7 epochs" in refused(narrow, "/v1/compute/mlp", 413, **{**network, "epochs": 8})["detail"]
    network["layers"] = [2, 4, 1]
    assert "13" in refused(narrow, "/v1/compute/mlp", 422, **network)["detail"]


@pytest.mark.parametrize("epochs", [100_001, 10_000_001, 2**63, 10**400])
def test_however_many_epochs_are_asked_for_the_limit_named_is_the_setting(
    published: TestClient, narrow: TestClient, epochs: int
) -> None:
    neuron = {"inputs": [1.0], "weights": [0.0], "epochs": epochs}
    network = {"layers": [1, 2, 1], "inputs": [[1]], "targets": [[1]], "epochs": epochs}
    for client, allowed in ((published, "100,000"), (narrow, "7")):
        for path, body in (("/v1/compute/neuron", neuron), ("/v1/compute/mlp", network)):
            problem = refused(client, path, 413, **body)
            assert problem["detail"] == f"/epochs: at most {allowed} epochs"


def test_where_computing_is_switched_off_nobody_is_told_to_try_again(settings: Settings) -> None:
    without = settings.model_copy(update={"compute_processes": 0})
    with TestClient(create_app(without)) as client:
        answer = client.post(TENSOR, json={"program": "1"})
        assert answer.status_code == 503
        assert "LIKELY_COMPUTE_PROCESSES" in answer.json()["detail"]
        assert "retry-after" not in answer.headers
