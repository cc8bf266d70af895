"""The id, method, route and time of arrival of a request, for middleware and handlers."""

import random
import re
from http import HTTPMethod

from fastapi import Request
from starlette.types import Scope

BEGAN = "began"  # in a request's scope: when it arrived, by `time.perf_counter`
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(request: Request) -> str:
    """Return the id of a request, as given by the caller or by `RequestIdMiddleware`."""
    return str(request.scope.get("request_id", "-"))


def name_request(text: str) -> str:
    """Return the id that a request came with, if it is a valid one, or a new one."""
    return text if _REQUEST_ID.fullmatch(text) else f"{random.getrandbits(64):016x}"


def route_of(scope: Scope) -> str:
    """Return the pattern of the route that matched: paths hold ids, so they are unbounded as labels."""
    return str(getattr(scope.get("route"), "path_format", "none"))


def method_of(scope: Scope) -> str:
    """Return the method, or `other` for one that is not HTTP's: a label must be bounded."""
    method: str = scope["method"]
    return method if method in HTTPMethod.__members__ else "other"
