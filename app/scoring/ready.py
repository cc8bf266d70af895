"""Routes with a short way: what is ready is answered at once, its parameters not looked at one by one.

The short way takes only the plainest request, and leaves every other, and every mistake, to the handler,
which is declared as any other is. It runs on the event loop: it never waits, and what it computes is small.
Does not know what the answers say.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl

from fastapi import Request, Response
from pydantic import TypeAdapter
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from app.observability.tracing import span
from app.processes.garbage_collection import making_much
from app.scoring.fast_path import ReadyScores
from app.scoring.ready_pairs import ReadyPairs
from app.scoring.scores import PairScores, UserScores
from app.web.auth.routes import Handler, KeyedRoute

Asked = list[tuple[str, str]]
Short = Callable[[ReadyScores, str, str, Asked], UserScores | None]

_LARGEST_LIMIT, _ITS_DIGITS = 1000, 4
_SCORES, _PAIR_SCORES = TypeAdapter(UserScores), TypeAdapter(PairScores)
_PAIRS, MOST_PAIRS = "score_pairs", 100_000


class ReadyRoute(KeyedRoute):
    """A route of a user's scores that is asked in the short way first, where it has one."""

    def get_admitted_handler(self) -> Handler:
        """Return what answers the request of somebody who may ask."""
        ordinary = super().get_admitted_handler()
        if self.name == _PAIRS:
            return _answer_pairs_first(ordinary)
        short = _SHORT.get(self.name)
        if short is None:
            return ordinary

        async def answer(request: Request) -> Response:
            path, asked = request.path_params, _asked(request.scope["query_string"])
            with span("ready scores"):
                found = short(request.app.state.ready, path["catalog"], path["user"], asked)
            if found is None:
                return await ordinary(request)
            return Response(_SCORES.dump_json(found, exclude_none=True), media_type="application/json")

        return answer


def _asked(query: bytes) -> Asked:
    """Return what `parse_qsl` does, which takes ten times as long where nothing is encoded."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    return [(name, value) for name, _, value in (each.partition("=") for each in text.split("&") if each)]


def _answer_pairs_first(ordinary: Handler) -> Handler:
    """Return what answers a body of pairs: in a thread, because there may be many."""

    async def answer(request: Request) -> Response:
        if request.headers.get("content-type") == "application/json" and not request.scope["query_string"]:
            ready, catalog = request.app.state.ready_pairs, request.path_params["catalog"]
            body = await request.body()
            with span("ready pairs"):
                content = await run_in_threadpool(_score_pairs, ready, catalog, body)
            if content is not None:
                return Response(content, media_type="application/json")
        return await ordinary(request)

    return answer


def _score_pairs(ready: ReadyPairs, catalog: str, body: bytes) -> bytes | None:
    with making_much():
        asked = _read_pairs(body)
        found = None if asked is None else ready.score_pairs(catalog, *asked)
        return None if found is None else _PAIR_SCORES.dump_json(found)


def _read_pairs(body: bytes) -> tuple[list[object], list[object]] | None:
    """Return the first and the second part of all pairs; None for what is not so plain."""
    try:
        asked = from_json(body)
        if not isinstance(asked, dict) or list(asked) != ["pairs"] or not isinstance(asked["pairs"], list):
            return None
        pairs = asked["pairs"]
        # As a set, for what a loop looks at one by one takes as long as to score it.
        if len(pairs) > MOST_PAIRS or set(map(type, pairs)) != {list}:
            return None
        return [user for user, _ in pairs], [movie for _, movie in pairs]
    except ValueError:  # no JSON, or no pair
        return None


def _score_movies(ready: ReadyScores, catalog: str, user: str, asked: Asked) -> UserScores | None:
    movies = [value for name, value in asked if name == "movie"]
    return ready.score_movies(catalog, user, movies) if len(movies) == len(asked) else None


def _recommend(ready: ReadyScores, catalog: str, user: str, asked: Asked) -> UserScores | None:
    limit = "10" if not asked else asked[0][1] if [name for name, _ in asked] == ["limit"] else ""
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= _ITS_DIGITS):
        return None
    if not 1 <= int(limit) <= _LARGEST_LIMIT:
        return None
    return ready.recommend(catalog, user, int(limit))


_SHORT: dict[str, Short] = {"list_scores": _score_movies, "list_recommendations": _recommend}
