"""Every operation of the OpenAPI document, each with a path that leads somewhere and a body that it takes.

What is hostile is in `hostile_values.py`. Two drivers send it: tests in process (`tests/web`), and harnesses
over sockets (`tests/faults`). A new operation is tested as soon as it exists.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from app.main import create_app
from app.settings import Settings


class Operation(NamedTuple):
    """A method on a path with parameters in braces, and the media types of its body."""

    method: str
    path: str
    media: tuple[str, ...]

    @property
    def takes_json(self) -> bool:
        """Whether its body is JSON."""
        return "application/json" in self.media


def read_operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return all operations of an OpenAPI document."""
    return [
        Operation(method.upper(), path, tuple(operation.get("requestBody", {}).get("content", {})))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


DOCUMENT = create_app(Settings(database_url=f"sqlite:///{Path(__file__).parent}/never.db")).openapi()
# Those under /v1 but the imports, whose bodies are no JSON.
OPERATIONS = [
    operation
    for operation in read_operations(DOCUMENT)
    if operation.path.startswith("/v1/") and not operation.path.endswith(":import")
]
VALID = {"catalog": "class", "movie": "m0", "user": "0", "training": "1", "suffix": "txt"}
# Bodies that would be taken, by the end of the path.
NEURON = {"inputs": [1], "weights": [1]}
NETWORK = {"layers": [1, 1], "inputs": [[1]], "targets": [1]}
BODIES: dict[str, object] = {
    "{catalog}": {"dimensions": ["violence", "positive message", "language"]},
    "serving": {"training": 1},
    "movies/{movie}": {"vector": [1, 2, 3]},
    "responses/{movie}": {"response": 1},
    "trainings": {"trainer": "gradient_descent"},
    "scores": {"pairs": [["0", "m0"]]},
    "scores:preview": {"responses": {"m0": 1}},
    "tensor": {"program": "1"},
    "gradient": {"expression": "w", "variables": {"w": 1}},
    "neuron": NEURON,
    "neuron/losses": NEURON,
    "neuron/losses.{suffix}": NEURON,
    "mlp": NETWORK,
    "mlp/losses": NETWORK,
    "mlp/losses.{suffix}": NETWORK,
    "mlp/fit": NETWORK,
    "mlp/fit.{suffix}": NETWORK,
}


# Those that are no JSON, with their media types.
OTHER_BODIES = {
    "/movies:import": ("application/x-ndjson", b'{"movie": "m0", "title": "", "vector": [1, 2, 3]}\n'),
    "/responses:import": ("application/x-ndjson", b'{"user": "0", "movie": "m0", "response": 1}\n'),
    "/tensor.txt": ("text/plain", b"1 + 1"),
}


def filled(path: str, **parameters: str) -> str:
    """Return a path with its parameters filled in, with valid ones but for those given."""
    return re.sub(r"\{(\w+)\}", lambda name: (VALID | parameters)[name[1]], path)


def body_of(operation: Operation) -> bytes | None:
    """Return a body that the operation takes, None if it takes none."""
    if not operation.media:
        return None
    end = next((end for end in OTHER_BODIES if operation.path.endswith(end)), None)
    if end is not None:
        return OTHER_BODIES[end][1]
    return json.dumps(next(BODIES[end] for end in BODIES if operation.path.endswith(f"/{end}"))).encode()


def media_of(operation: Operation) -> str:
    """Return the media type of the body that `body_of` gives."""
    return next(
        (OTHER_BODIES[end][0] for end in OTHER_BODIES if operation.path.endswith(end)), "application/json"
    )


def named(operation: Operation) -> str:
    """Return the name of a test's case."""
    return f"{operation.method} {operation.path.removeprefix('/v1/catalogs')}"
