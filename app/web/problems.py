"""Renders every failure as `application/problem+json` (RFC 9457)."""

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
    MalformedJson,
    MethodNotAllowed,
    Place,
    Problem,
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
_SENTENCES = 3  # of mistakes in the detail; errors[] has the others
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
    """Answer every exception that leaves a handler by this module."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(BodyRefused, _answer_body)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_disconnected)
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


class BodyRefused(HTTPException):
    """A problem found while FastAPI reads a body: it lets `HTTPException` through and wraps all others."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status)
        self.problem = problem


class JsonRequest(Request):
    """A request that says where its body is no JSON."""

    async def json(self) -> object:
        """Return the value of the body; raises `BodyRefused` with a `MalformedJson`."""
        body = await self.body()
        try:
            return json.loads(body)
        except json.JSONDecodeError as error:
            problem = MalformedJson(
                f"the body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}",
                [Place(error.msg, pointer="", line=error.lineno)],
            )
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            problem = unreadable_json("here are bytes that are no UTF-8", line)
        except ValueError:
            problem = unreadable_json("a number in it has too many digits")
        raise BodyRefused(problem)


def unreadable_json(why: str, line: int | None = None) -> MalformedJson:
    """Return the problem of a body that is given up on before it is parsed."""
    return MalformedJson(f"the body cannot be read as JSON: {why}", [Place(why, pointer="", line=line)])


def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a problem, and count it if it is a refusal."""
    request.app.state.metrics.count_refusal(problem.type)
    return problem_response(problem, request_id(request), headers)


def problem_response(problem: Problem, name: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a problem, for the request of this id."""
    content = {
        "type": _TYPES + problem.type,
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "errors": [_without_nones(place) for place in problem.places],
        "request_id": name,
    }
    body = redact(json.dumps(content, ensure_ascii=True, allow_nan=False))  # ids, for one, may be anything
    if headers is None:
        headers = next((_HEADERS[kind] for kind in _HEADERS if isinstance(problem, kind)), {})
    return Response(body, problem.status.value, dict(headers), MEDIA_TYPE)


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
    if not isinstance(error, Problem):
        raise error
    return answer(request, error)


_HEADERS: dict[type[Problem], dict[str, str]] = {
    Unavailable: {"Retry-After": "1"},
    Unauthorized: {"WWW-Authenticate": "Bearer"},
    TooSlow: {"Connection": "close"},
}


async def _answer_body(request: Request, error: Exception) -> Response:
    if not isinstance(error, BodyRefused):
        raise error
    return answer(request, error.problem)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses, such as unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return _answer_method(request)
    detail = _FRAMEWORK_DETAILS.get(status, str(error.detail))
    return answer(request, Problem.of_status(status, detail), error.headers)


_FRAMEWORK_DETAILS = {HTTPStatus.NOT_FOUND: "there is nothing at this path; /docs lists what there is"}


def _answer_method(request: Request) -> Response:
    """Answer a 405; the framework's own Allow names the methods of one handler, not those of the path."""
    scope = {name: request.scope[name] for name in ("type", "path", "root_path")}
    methods = ", ".join(
        method
        for method in HTTPMethod
        if any(route.matches(scope | {"method": method})[0] is Match.FULL for route in request.app.routes)
    )
    problem = MethodNotAllowed(f"this path does not take {request.method}, but {methods}")
    return answer(request, problem, {"Allow": methods})


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Answer what pydantic refuses, without its input: that may be no JSON, or the caller's secret."""
    if not isinstance(error, RequestValidationError):
        raise error
    errors: Sequence[dict[str, Any]] = error.errors()
    first = errors[0]
    if first["loc"][:1] == ("body",) and isinstance(error.body, bytes):
        right = "send the body as JSON, with Content-Type: application/json"
        return answer(request, UnsupportedMedia(right))
    # A dependency that takes the same parameters reports the same mistakes again.
    places = list(dict.fromkeys(_place(error_fields, error.body) for error_fields in errors[:100]))
    more = "; …" if len(places) > _SENTENCES else ""
    sentences = (
        f"{place.parameter or place.pointer or 'the body'}: {place.detail}" for place in places[:_SENTENCES]
    )
    detail = "; ".join(sentences) + more
    return answer(request, BadInput(detail, places))


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


async def _answer_disconnected(request: Request, _error: Exception) -> Response:
    """End a request whose client disconnected in the middle of the body; nothing of it was stored."""
    return answer(request, BadInput("the body ended before its end"))
