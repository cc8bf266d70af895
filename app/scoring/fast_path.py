"""The fast path: plain requests are answered ahead of FastAPI's dependency resolution.

A handler declares with `fast_path` what answers the plainest of its requests. That declines every other
request, and every mistake, with None; then the handler answers as on any route.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request, Response
from pydantic import TypeAdapter
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from app.observability.tracing import span
from app.processes.garbage_collection import gc_paused
from app.scoring.fast_scores import FastScores
from app.scoring.scores import PairScores, UserScores
from app.web.auth.routes import AuthenticatedRoute, Handler

MOST_PAIRS = 100_000

_LARGEST_LIMIT, _LIMIT_DIGITS = 1000, 4

FastAnswer = Callable[[Request], Awaitable[Response | None]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

# A handler's attribute that holds its fast answer.
_FAST_ANSWER = "fast_answer"


def fast_path(answer: FastAnswer) -> Callable[[Endpoint], Endpoint]:
    """Declare on a handler of a `FastPathRoute` what answers its plainest requests, or declines with None."""

    def declare(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)[_FAST_ANSWER] = answer
        return endpoint

    return declare


class FastPathRoute(AuthenticatedRoute):
    """A route that asks its fast answer first, if its handler declares one."""

    def get_authenticated_handler(self) -> Handler:
        """Return what answers an authenticated request."""
        handle = super().get_authenticated_handler()
        answer: FastAnswer | None = vars(self.endpoint).get(_FAST_ANSWER)
        if answer is None:
            return handle

        async def respond(request: Request) -> Response:
            response = await answer(request)
            if response is None:
                return await handle(request)
            request.app.state.fast_answers[self.name] += 1
            return response

        return respond


_USER_SCORES, _PAIR_SCORES = TypeAdapter(UserScores), TypeAdapter(PairScores)


async def answer_scores(request: Request) -> Response | None:
    """Score named movies, on the event loop: it never waits, and what it computes is small."""
    query, path = parse_query(request.scope["query_string"]), request.path_params
    movies = [value for name, value in query if name == "movie"]
    if len(movies) != len(query):
        return None
    with span("ready scores"):
        scores = request.app.state.fast_scores.score_movies(path["catalog"], path["user"], movies)
    return _respond(scores)


async def answer_recommendations(request: Request) -> Response | None:
    """Recommend the best movies, on the event loop likewise."""
    query, path = parse_query(request.scope["query_string"]), request.path_params
    limit = "10" if not query else query[0][1] if [name for name, _ in query] == ["limit"] else ""
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= _LIMIT_DIGITS):
        return None
    if not 1 <= int(limit) <= _LARGEST_LIMIT:
        return None
    with span("ready scores"):
        scores = request.app.state.fast_scores.recommend(path["catalog"], path["user"], int(limit))
    return _respond(scores)


def _respond(scores: UserScores | None) -> Response | None:
    if scores is None:
        return None
    return Response(_USER_SCORES.dump_json(scores, exclude_none=True), media_type="application/json")


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Return what `parse_qsl` does, which takes ten times as long where nothing is encoded."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]


async def answer_pairs(request: Request) -> Response | None:
    """Score pairs, in a thread, because there may be many."""
    if not is_plain_json(request):
        return None
    fast_scores, catalog = request.app.state.fast_scores, request.path_params["catalog"]
    body = await request.body()
    with span("ready pairs"):
        content = await run_in_threadpool(_score_pairs, fast_scores, catalog, body)
    return None if content is None else Response(content, media_type="application/json")


def is_plain_json(request: Request) -> bool:
    """Return whether a request has a body of JSON, and no query."""
    return request.headers.get("content-type") == "application/json" and not request.scope["query_string"]


def _score_pairs(fast_scores: FastScores, catalog: str, body: bytes) -> bytes | None:
    with gc_paused():
        pairs = _read_pairs(body)
        scores = None if pairs is None else fast_scores.score_pairs(catalog, *pairs)
        return None if scores is None else _PAIR_SCORES.dump_json(scores)


def _read_pairs(body: bytes) -> tuple[list[object], list[object]] | None:
    """Return the first and the second part of all pairs; None for what is not so plain."""
    try:
        content = from_json(body)
        if not isinstance(content, dict) or list(content) != ["pairs"]:
            return None
        pairs = content["pairs"]
        # As a set, for what a loop looks at one by one takes as long as to score it.
        if not isinstance(pairs, list) or len(pairs) > MOST_PAIRS or set(map(type, pairs)) != {list}:
            return None
        return [user for user, _ in pairs], [movie for _, movie in pairs]
    except ValueError:  # no JSON, or no pair
        return None
