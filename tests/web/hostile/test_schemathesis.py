"""Requests made up from the OpenAPI document, right ones and wrong ones: the service keeps to what it says.

They come with a key that may do everything; test_credentials.py has those that come without.

Half of the requests go to the class catalog, trained, so that there is something to answer.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction, ignored_auth, positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.python import asgi

from app.catalogs.catalogs import delete_catalog
from app.cli.demo import CATALOG, load_class
from app.database.database import Database
from app.database.urls import open_database
from app.errors import NotFound
from app.main import create_app
from app.settings import Settings
from app.training.trainings import create_training
from app.training.worker import Worker
from app.web.auth.api_keys import Scope, create_key
from models.notebook.mlp.problem import MlpProblem
from testbed.databases import url_for
from tests.support.requests import operations
from tests.support.requests.schemas import SAY_TOO_LITTLE, WHOLE_NUMBERS

# Checks that an operation cannot pass, because its schema cannot say what is right.
EXCLUDED: dict[str, list[CheckFunction]] = {name: [positive_data_acceptance] for name in SAY_TOO_LITTLE}


NEURON = {"inputs": [2, -1, 3], "weights": [4, 2, -1]}
NETWORK: dict[str, Any] = {
    "layers": [1, 2, 1],
    "inputs": [[1], [2]],
    "targets": [1, 2],
    "target_expression": "x1",
    "evaluate": [[3]],
    "weights": ["w_11^(1)"],
}
# What fits together, for bodies whose fields must.
REAL: dict[str, dict[str, Any]] = {
    "/v1/compute/gradient": {"expression": "w", "variables": {"w": 2}, "wrt": ["w"]},
    "/v1/compute/neuron": NEURON,
    "/v1/compute/neuron/losses": NEURON,
    "/v1/compute/neuron/losses.{suffix}": NEURON,
    "/v1/compute/mlp": NETWORK,
    "/v1/compute/mlp/losses": NETWORK,
    "/v1/compute/mlp/losses.{suffix}": NETWORK,
    "/v1/compute/mlp/fit": NETWORK,
    "/v1/compute/mlp/fit.{suffix}": NETWORK,
}

_DEFAULT_EPOCHS = MlpProblem.model_fields["epochs"].default

# Queries that name what the class catalog has.
QUERY = {"user": ["0"], "movie": ["m0"], "dimension": ["language"], "x": "language", "y": "violence"}

DOCUMENT = copy.deepcopy(operations.DOCUMENT)
# Thousands of different names take seconds to make up; test_bad_input.py has the list that is too long.
del DOCUMENT["components"]["schemas"]["CatalogBody"]["properties"]["dimensions"]["maxItems"]

schema = schemathesis.openapi.from_dict(
    DOCUMENT,
    config=SchemathesisConfig.from_dict({"generation": {"deterministic": True}, "request-timeout": 60}),
).exclude(path_regex=":import$")  # whole files, which no schema describes; test_imports.py has them


@dataclass(frozen=True)
class Service:
    """A running application and its database."""

    client: asgi.ASGIClient
    key: str
    database: Database
    worker: Worker

    def restore(self) -> int:
        """Make the class catalog anew and train it; returns the id of the training."""
        with self.database.writing() as connection:
            with suppress(NotFound):
                delete_catalog(connection, CATALOG)
            load_class(connection)
            training = create_training(connection, CATALOG, "gradient_descent", {"epochs": 5}, 1, serve=True)
        assert self.worker.run_next(only=training.id)
        return training.id


@contextmanager
def _lasting() -> Iterator[None]:
    """Let an application run on between tests: it would end with each, and its processes start anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asgi, "shutdown_lifespans", lambda: None)
        yield
    asgi.shutdown_lifespans()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Bodies that break a rule are often large; here they are to be refused for that rule.
    configured = Settings(
        database_url=url_for(tmp_path_factory.mktemp("schemathesis")),
        compute_body_bytes=4 * 2**20,
    )
    database = open_database(configured.database_url)
    application: Any = create_app(configured)  # ASGI has several descriptions that do not fit together
    with _lasting(), asgi.get_client(application) as client:
        client.post("/v1/compute/tensor.txt", data="1", timeout=60)  # the first waits for a process to start
        with database.writing() as connection:
            key = create_key(connection, "schemathesis", {Scope.ADMIN}, None)
        yield Service(client, key, database, Worker(database, configured, name="test"))
    database.close()


@pytest.fixture
def training(service: Service) -> int:
    """The training of the class catalog, as it is before an operation's first request."""
    return service.restore()


@pytest.fixture
def statuses() -> Iterator[list[int]]:
    """The statuses of an operation's answers: some requests must have been right, or a test proves little."""
    statuses: list[int] = []
    yield statuses
    # 409 is what cancelling says, for the class catalog's training has ended.
    assert min(statuses) < 300 or 409 in statuses


@schema.parametrize()
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_service_keeps_to_its_openapi_document(
    case: schemathesis.Case[Any], service: Service, training: int, statuses: list[int]
) -> None:
    real = {"catalog": CATALOG, "movie": "m0", "user": "0", "training": training, "vector": [1, 2, 3]}
    _make_real(case, {**real, **REAL.get(case.operation.path, {})})
    # It asks again by itself, and then not this service but a host called testserver.
    excluded = [ignored_auth, *EXCLUDED.get(case.operation.label, [])]
    headers = {"Authorization": f"Bearer {service.key}"}
    answered = case.call_and_validate(session=service.client, headers=headers, excluded_checks=excluded)
    statuses.append(answered.status_code)


def _make_real(case: schemathesis.Case[Any], real: dict[str, Any]) -> None:
    """Let every other case whose parameters and body are right name what exists."""
    half = len(str(case.path_parameters)) % 2 == 0
    parts: dict[ParameterLocation, Any] = {
        ParameterLocation.PATH: case.path_parameters,
        ParameterLocation.BODY: case.body,
        ParameterLocation.QUERY: case.query,
    }
    for location, part in parts.items():
        if not isinstance(part, dict) or (case.meta is not None and case.meta.is_negative_at(location)):
            continue
        found = {"training": real["training"], **QUERY} if location is ParameterLocation.QUERY else real
        part.update({name: found[name] for name in part.keys() & found.keys() if half})
        # A training that waits would be watched for ever.
        part.update({name: real[name] for name in part.keys() & {"training"}})
        if part.get("epochs") == _DEFAULT_EPOCHS:  # in hundreds of bodies, and half a minute together
            part["epochs"] = 20
        _make_whole(part)


def _make_whole(body: dict[str, Any]) -> None:
    for name, value in body.items():
        if isinstance(value, dict):
            _make_whole(value)
        elif name in WHOLE_NUMBERS and isinstance(value, float) and value.is_integer():
            body[name] = int(value)
