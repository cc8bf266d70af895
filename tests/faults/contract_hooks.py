"""What schemathesis is told of bodies and queries, by its hooks: a whole number is written as one.

JSON Schema takes 5.0 for an integer; the service does not, and says so. Does not know what is asked.
"""

from typing import Any

import schemathesis
from schemathesis import HookContext

from tests.support.requests.schemas import WHOLE_NUMBERS


@schemathesis.hook
def map_body(_context: HookContext, body: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a body without floats that are whole where the schema says integer."""
    return _whole(body)


def _whole(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _number(name, item) for name, item in value.items()}
    return value


def _number(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if name in WHOLE_NUMBERS and isinstance(value, float) and value.is_integer():
        return int(value)
    return _whole(value)
