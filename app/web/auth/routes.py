"""Routes that need a key: each declares its scope, and nobody without it gets any further.

The key is asked for before the body is read and before anything is looked up, so an answer says nothing of
what there is to whom it is not due. Does not know the keys.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Request, Response, Security, params
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from app.web.auth.api_keys import Key, Scope
from app.web.problems import JsonRequest

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_BEARER = re.compile(rb"bearer +([\x21-\x7e]+)", re.IGNORECASE)

# Only declares: OpenAPI shows it, and `AuthenticatedRoute` reads the scopes.
api_key = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="a key that `likely keys create` printed; needed once there is one",
)


READ = Security(api_key, scopes=[Scope.READ])
WRITE = Security(api_key, scopes=[Scope.WRITE])
TRAIN = Security(api_key, scopes=[Scope.TRAIN])
COMPUTE = Security(api_key, scopes=[Scope.COMPUTE])
ADMIN = Security(api_key, scopes=[Scope.ADMIN])

# What a handler with one of these does in its thread is a write, and the database has one writer at a time.
_WRITING = frozenset({Scope.WRITE, Scope.TRAIN, Scope.ADMIN})


class AuthenticatedRoute(APIRoute):
    """A route that asks for a key with the one scope that it, or its router, declares."""

    @property
    def scope(self) -> Scope:
        """The scope that a key needs here; raises `TypeError` unless there is just one."""
        scopes = [scope for dependency in self.dependencies for scope in _scopes(dependency)]
        if len(scopes) != 1:
            raise TypeError(f"{self.path} declares the scopes {scopes}, and needs one")
        return Scope(scopes[0])

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        scope, handler = self.scope, self.get_authenticated_handler()
        takes_turns = scope in _WRITING and not iscoroutinefunction(self.endpoint)

        async def answer(request: Request) -> Response:
            key = await _authenticate(request)
            key.check_scope(scope)
            if self.body_field is not None:
                request = JsonRequest(request.scope, request.receive)
            if not takes_turns:
                return await handler(request)
            await request.body()  # before the turn: who sends slowly keeps nobody waiting
            async with request.app.state.writers.slot():
                return await handler(request)

        return answer

    def get_authenticated_handler(self) -> Handler:
        """Return what answers the request of somebody who may ask."""
        return super().get_route_handler()


def _scopes(dependency: params.Depends) -> list[str]:
    return list(dependency.scopes or []) if isinstance(dependency, params.Security) else []


async def _authenticate(request: Request) -> Key:
    """Return the key of a request and note it there; raises `Unauthorized`."""
    authenticator = request.app.state.authenticator
    text = sent_key(request.scope["headers"])
    key: Key = authenticator.authenticate_nowait(text) or await run_in_threadpool(
        authenticator.authenticate, text
    )
    request.scope["api_key"] = key
    return key


def sent_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key that was sent: in one Authorization header and nowhere else."""
    values = [value for name, value in headers if name == b"authorization"]
    match = _BEARER.fullmatch(values[0].strip()) if len(values) == 1 else None
    return None if match is None else match[1].decode("ascii")
