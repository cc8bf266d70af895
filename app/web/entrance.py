"""What a connection asks before it begins a request, and how it words that it does not.

A refusal that costs as much as an answer would leave no time for answers: it goes through none of the
application's layers, and the usual one is written once. Knows of the routes only the probes.
"""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.observability.metrics import Measurements
from app.settings import Settings
from app.web.heads import EXPOSED, safe_headers
from app.web.limits import Places
from app.web.middleware import name_request

ENTRANCE = "entrance"  # in the state that the application starts with
_PROBES = frozenset({b"/livez", b"/readyz", b"/metrics"})
_NAME = "0" * 16  # as long as a new request's name, in whose place it stands
_CLOSE = {"connection": "close"}
_LOOKED_AT = frozenset({b"origin", b"x-request-id"})


@dataclass(frozen=True)
class Entrance:
    """What is begun: so many requests at once, and probes always.

    ``streams`` are the event streams that run: each is under way, and none counts among the requests.
    """

    settings: Settings
    streams: Places
    measurements: Measurements = field(repr=False)

    def is_full(self, under_way: int, url: bytes) -> bool:
        """Return whether one more request than these would be more than can be answered soon."""
        if under_way - self.streams.busy < self.settings.requests_at_once:
            return False
        return url.partition(b"?")[0] not in _PROBES

    def turn_away(self, method: bytes, given: Iterable[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
        """Return the answer to a request, by its method and headers, that finds no place."""
        self.measurements.count_turned_away(method.decode("ascii"))
        told = {name: value.decode("latin-1") for name, value in given if name in _LOOKED_AT}
        if not told and keep_alive and method != b"HEAD":
            return self._usual.replace(_NAME.encode(), b"%016x" % random.getrandbits(64))
        headers = self._cross_origin(told.get(b"origin", "")) | ({} if keep_alive else _CLOSE)
        answer = self._full(name_request(told.get(b"x-request-id", "")), headers)
        return answer if method != b"HEAD" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def refuse(self, status: HTTPStatus, detail: str) -> bytes:
        """Return the answer to what is no request that could be begun; the connection then closes."""
        return self._worded(status, status.name.lower().replace("_", "-"), detail, name_request(""), _CLOSE)

    @cached_property
    def _usual(self) -> bytes:
        return self._full(_NAME, {})

    def _full(self, name: str, headers: Mapping[str, str]) -> bytes:
        detail = f"{self.settings.requests_at_once} requests are under way already; try again"
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._worded(status, "overloaded", detail, name, {"retry-after": "1", **headers})

    def _worded(
        self, status: HTTPStatus, kind: str, detail: str, name: str, headers: Mapping[str, str]
    ) -> bytes:
        content = {
            "type": f"urn:likely:problem:{kind}",
            "title": status.phrase,
            "status": status.value,
            "detail": detail,
            "errors": (),
            "request_id": name,
        }
        body = json.dumps(content).encode()
        lines = {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "x-request-id": name,
            **{name.decode(): value.decode() for name, value in safe_headers(self.settings)},
            "cache-control": "no-store",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return STATUS_LINE[status.value] + head.encode("latin-1") + b"\r\n" + body

    def _cross_origin(self, origin: str) -> dict[str, str]:
        """Return what lets a page of this origin read an answer; nothing where it may not."""
        allowed = self.settings.cors_origins
        if origin not in allowed and (not origin or "*" not in allowed):
            return {}
        return {
            "access-control-allow-origin": "*" if "*" in allowed else origin,
            "access-control-expose-headers": ", ".join(EXPOSED),
            "vary": "Origin",
        }
