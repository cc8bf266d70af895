"""Words every failure as `application/problem+json` (RFC 9457).

Does not know what went wrong where; the exceptions say it.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.errors import BadInput, Busy, Place, Problem, UnsupportedMedia
from app.routes.requests import request_id

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_SENTENCES = 3  # more than these are read in errors[]
_TYPES = "urn:likely:problem:"


class ProblemPlace(BaseModel):
    """One mistake and where it stands."""

    detail: str
    pointer: str | None = Field(None, description="JSON pointer into the body")
    parameter: str | None = Field(None, description="name of a path, query or header parameter")
    line: int | None = Field(None, description="line of an import; in Parquet, the row")


class ProblemAnswer(BaseModel):
    """Any failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemPlace] = []
    request_id: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}, "description": "the caller's mistake"},
    "5XX": {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}, "description": "not the caller's mistake"},
}


def handle_problems(app: FastAPI) -> None:
    """Let this module answer every exception that leaves a handler."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_bug)


def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that words a problem."""
    content = {
        "type": _TYPES + problem.type,
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "errors": [_without_nones(place) for place in problem.places],
        "request_id": request_id(request),
    }
    body = json.dumps(content, ensure_ascii=True, allow_nan=False)
    return Response(body, problem.status.value, dict(headers or {}), MEDIA_TYPE)


def _without_nones(place: Place) -> dict[str, object]:
    fields = {
        "detail": place.detail,
        "pointer": place.pointer,
        "parameter": place.parameter,
        "line": place.line,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def _answer_problem(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem(str(error))
    return answer(request, problem, {"Retry-After": "1"} if isinstance(problem, Busy) else None)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Word what the framework itself refuses: unknown paths and methods, bodies that are too large."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    problem = Problem(_FRAMEWORK_DETAILS.get(status, str(error.detail)))
    problem.status, problem.type = status, status.phrase.lower().replace(" ", "-")
    return answer(request, problem, error.headers)


_FRAMEWORK_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path; /docs lists what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path does not take this method; /docs lists what it takes",
    HTTPStatus.BAD_REQUEST: "the body could not be read as JSON",
}


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
    places = [_place(one, error.body) for one in errors[:100]]
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
    return "".join("/" + _escape(str(part)) for part in parts)


_EXPLANATIONS = {
    "extra_forbidden": "there is no such field here",
    "missing": "this field is required",
    "finite_number": "this must be a finite number",
    "string_unicode": "this text holds half of a surrogate pair, which is no character",
    "string_pattern_mismatch": "a character here is not allowed, or none is visible",
}


def _sentence(place: Place) -> str:
    where = place.parameter or place.pointer or "the body"
    return f"{where}: {place.detail}"


def _escape(part: str) -> str:
    part = part.encode("utf-8", "replace").decode()
    return part.replace("~", "~0").replace("/", "~1")


async def _answer_bug(request: Request, _error: Exception) -> Response:
    """Answer what nobody foresaw, without a word about the inside; the log has it, under the request id."""
    log.error("request failed", request_id=request_id(request), path=request.url.path)
    problem = Problem("something went wrong here; the log of the service has it under this request id")
    problem.type = "internal-error"
    return answer(request, problem)
