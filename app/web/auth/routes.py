"""Routes that need an API key: each declares the scope that it needs.

The key is checked before the body is read and before the database is queried, so a refusal does not show
what exists.
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

# A handler with one of these, run in a thread, writes; the database has one writer at a time.
_WRITING = frozenset({Scope.WRITE, Scope.TRAIN, Scope.ADMIN})


class AuthenticatedRoute(APIRoute):
    """A route that asks for a key with the one scope that it, or its router, declares."""

    @property
    def scope(self) -> Scope:
        """The scope that a key needs here; raises `TypeError` unless exactly one is declared."""
        scopes = [
            scope
            for dependency in self.dependencies
            if isinstance(dependency, params.Security)
            for scope in dependency.scopes or ()
        ]
        if len(scopes) != 1:
            raise TypeError(f"{self.path} declares the scopes {scopes}, and needs one")
        return Scope(scopes[0])

    def get_route_handler(self) -> Handler:
        """Return the handler of all requests: it authenticates, and queues writes."""
        scope, handler = self.scope, self.get_authenticated_handler()
        is_write = scope in _WRITING and not iscoroutinefunction(self.endpoint)

        async def answer(request: Request) -> Response:
            key = await _authenticate(request)
            key.check_scope(scope)
            if self.body_field is not None:
                request = JsonRequest(request.scope, request.receive)
            if not is_write:
                return await handler(request)
            await request.body()  # before the slot: a slow client holds none
            async with request.app.state.writers.slot():
                return await handler(request)

        return answer

    def get_authenticated_handler(self) -> Handler:
        """Return the handler of requests whose key has the scope."""
        return super().get_route_handler()


async def _authenticate(request: Request) -> Key:
    """Return the key of a request and store it in its scope; raises `Unauthorized`."""
    authenticator = request.app.state.authenticator
    text = sent_key(request.scope["headers"])
    key: Key = authenticator.authenticate_nowait(text) or await run_in_threadpool(
        authenticator.authenticate, text
    )
    request.scope["api_key"] = key
    return key


def sent_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key of the Authorization header, which must be the only one."""
    values = [value for name, value in headers if name == b"authorization"]
    match = _BEARER.fullmatch(values[0].strip()) if len(values) == 1 else None
    return None if match is None else match[1].decode("ascii")
