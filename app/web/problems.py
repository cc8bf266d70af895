"""Words every failure as `application/problem+json` (RFC 9457).

Does not know what went wrong where; the exceptions say it.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from app.errors import (
    BadInput,
    Place,
    Problem,
    TooLarge,
    TooSlow,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
    pointer,
)
from app.observability.logs import redact
from app.web.scope import request_id

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_SENTENCES = 3  # more than these are read in errors[]
_TYPES = "urn:likely:problem:"


class ProblemPlace(BaseModel):
    """One mistake and where it stands."""

    detail: str
    pointer: str | None = Field(None, description="JSON pointer into the body")
    parameter: str | None = Field(None, description="name of a path, query or header parameter")
    line: int | None = Field(None, description="line of an import or a program; in Parquet, the row")
    column: int | None = Field(None, description="column of a program")


class ProblemAnswer(BaseModel):
    """Any failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemPlace] = []
    request_id: str


_SCHEMAS = "#/components/schemas/"
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS + ProblemAnswer.__name__}}}

RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "the caller's mistake", "content": _CONTENT},
    "5XX": {"description": "not the caller's mistake", "content": _CONTENT},
}


def handle_problems(app: FastAPI) -> None:
    """Let this module answer every exception that leaves a handler."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    _describe_problems(app)


def _describe_problems(app: FastAPI) -> None:
    """Add the schema of problems to the OpenAPI document.

    FastAPI's own ``model=`` would document them under each route's media type, which they never have.
    """
    describe = app.openapi

    def describe_with_problems() -> dict[str, Any]:
        document = describe()
        problem = ProblemAnswer.model_json_schema(ref_template=_SCHEMAS + "{model}")
        places = problem.pop("$defs")
        document["components"]["schemas"].update(places | {ProblemAnswer.__name__: problem})
        return document

    app.openapi = describe_with_problems  # type: ignore[method-assign]  # FastAPI's documented way


def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that words a problem, and count it if it is a refusal."""
    request.app.state.measurements.count_refusal(problem.type)
    content = {
        "type": _TYPES + problem.type,
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "errors": [_without_nones(place) for place in problem.places],
        "request_id": request_id(request),
    }
    body = redact(json.dumps(content, ensure_ascii=True, allow_nan=False))  # ids, for one, may be anything
    return Response(body, problem.status.value, dict(headers or {}), MEDIA_TYPE)


def _without_nones(place: Place) -> dict[str, object]:
    fields = {
        "detail": place.detail,
        "pointer": place.pointer,
        "parameter": place.parameter,
        "line": place.line,
        "column": place.column,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def _answer_problem(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem(str(error))
    return answer(
        request, problem, next((_HEADERS[kind] for kind in _HEADERS if isinstance(problem, kind)), None)
    )


_HEADERS: dict[type[Problem], dict[str, str]] = {
    Unavailable: {"Retry-After": "1"},
    Unauthorized: {"WWW-Authenticate": "Bearer"},
}


async def _answer_http(request: Request, error: Exception) -> Response:
    """Word what the framework itself refuses: unknown paths and methods, bodies that are too large."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:
        return answer(request, _unreadable(error.__cause__))
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return _answer_method(request)
    problem = Problem(_FRAMEWORK_DETAILS.get(status, str(error.detail)))
    # Phrases differ between versions of Python, types do not.
    problem.status, problem.type = status, _FRAMEWORK_TYPES.get(status, status.name.lower().replace("_", "-"))
    return answer(request, problem, error.headers)


_FRAMEWORK_DETAILS = {HTTPStatus.NOT_FOUND: "there is nothing at this path; /docs lists what there is"}
_FRAMEWORK_TYPES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.type,
    HTTPStatus.REQUEST_TIMEOUT: TooSlow.type,
}


def _answer_method(request: Request) -> Response:
    """Word a 405; the framework's own Allow names the methods of one handler, not those of the path."""
    scope = {name: request.scope[name] for name in ("type", "path", "root_path")}
    methods = ", ".join(
        method
        for method in HTTPMethod
        if any(route.matches(scope | {"method": method})[0] is Match.FULL for route in request.app.routes)
    )
    problem = Problem(f"this path does not take {request.method}, but {methods}")
    problem.status, problem.type = HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"
    return answer(request, problem, {"Allow": methods})


def _unreadable(cause: BaseException | None) -> Problem:
    """Word a body that the JSON reader gave up on before it could say where."""
    line = None
    if isinstance(cause, UnicodeDecodeError):
        why, line = "here are bytes that are no UTF-8", cause.object.count(b"\n", 0, cause.start) + 1
    elif isinstance(cause, RecursionError):
        why = "its brackets nest too deeply"
    elif isinstance(cause, ValueError):
        why = "a number in it has too many digits"
    else:
        why = "it did not arrive whole"
    problem = BadInput(f"the body cannot be read as JSON: {why}", [Place(why, pointer="", line=line)])
    problem.status, problem.type = HTTPStatus.BAD_REQUEST, "malformed-json"
    return problem


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Word what pydantic refuses, without its input: that may be no JSON, or the caller's secret."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors: Sequence[dict[str, Any]] = error.errors()
    first = errors[0]
    if first["type"] == "json_invalid":
        return answer(request, _malformed(error, first))
    if first["loc"][:1] == ("body",) and isinstance(error.body, bytes):
        right = "send the body as JSON, with Content-Type: application/json"
        return answer(request, UnsupportedMedia(right))
    # A dependency that takes the same parameters says the same again.
    places = list(dict.fromkeys(_place(error_fields, error.body) for error_fields in errors[:100]))
    more = "; …" if len(places) > _SENTENCES else ""
    detail = "; ".join(_sentence(place) for place in places[:_SENTENCES]) + more
    return answer(request, BadInput(detail, places))


def _malformed(error: RequestValidationError, first: dict[str, Any]) -> Problem:
    text, position = str(error.body), int(first["loc"][1])
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    problem = BadInput(
        f"the body is no JSON: {first['ctx']['error']} at line {line}, column {column}",
        [Place(str(first["ctx"]["error"]), pointer="", line=line)],
    )
    problem.status, problem.type = HTTPStatus.BAD_REQUEST, "malformed-json"
    return problem


def _place(error: dict[str, Any], body: object) -> Place:
    where, *path = error["loc"]
    detail = _EXPLANATIONS.get(error["type"], str(error["msg"]))
    if error["type"] == "value_error":  # a sentence of our own
        detail = str(error["ctx"]["error"])
    if error["type"] in _BRANCHES:  # the field that chooses between bodies
        path = [*path, error["ctx"]["discriminator"].strip("'")]
        if error["type"] == "union_tag_invalid":
            detail = f"expected {error['ctx']['expected_tags'].replace(', ', ' or ')}"
        return Place(detail, pointer=_pointer(path, body, missing=True))
    if where == "body":
        return Place(detail, pointer=_pointer(path, body, missing=error["type"] == "missing"))
    return Place(detail, parameter=str(path[0]) if path else str(where))


def _pointer(path: Sequence[str | int], body: object, *, missing: bool) -> str:
    """Return the JSON pointer of an error, which leads through the body as it was sent.

    Pydantic's path also names the branches of unions that it tried; these lead nowhere and are left out.
    """
    parts: list[str | int] = []
    for part in path:
        children = dict(enumerate(body)) if isinstance(body, list) else body
        if isinstance(children, Mapping) and part in children:
            body = children[part]
            parts.append(part)
        elif missing and part is path[-1]:
            parts.append(part)
    return pointer(*(str(part).encode("utf-8", "replace").decode() for part in parts))


_BRANCHES = ("union_tag_invalid", "union_tag_not_found")

_EXPLANATIONS = {
    "extra_forbidden": "there is no such field here",
    "missing": "this field is required",
    "union_tag_not_found": "this field is required",
    "finite_number": "this must be a finite number",
    "string_unicode": "this text holds half of a surrogate pair, which is no character",
    "string_pattern_mismatch": "a character here is not allowed, or none is visible",
}


def _sentence(place: Place) -> str:
    where = place.parameter or place.pointer or "the body"
    return f"{where}: {place.detail}"


async def _answer_nobody(request: Request, _error: Exception) -> Response:
    """End a request whose caller hung up in the middle of the body; nothing of it was stored."""
    return answer(request, BadInput("the body ended before its end"))
