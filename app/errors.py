"""Everything that can go wrong for a caller, as one tree (`app/web/problems.py` answers it over HTTP).

    Problem                       a caller's mistake, or a state that the caller can change
    ├── BadRequest          400   no HTTP request, or one that the framework cannot read
    │   └── MalformedJson   400   a body that is no JSON
    ├── BadInput            422   the body or a parameter says something impossible
    │   ├── BadRows         422   an import: up to 100 bad rows, by line and reason
    │   └── OverBudget      422   a computation that takes more time or memory than it has
    ├── Unauthorized        401   no key, or none that is valid
    ├── Forbidden           403   a key that may not do this
    ├── NotFound            404   no such catalog, movie, user or training
    ├── Conflict            409   right in itself, but not in the present state
    ├── MethodNotAllowed    405   a path that takes other methods
    ├── NotAcceptable       406   no format on offer is one that the caller accepts
    ├── TooLarge            413   more bytes or rows than the settings allow
    ├── UnsupportedMedia    415   a Content-Type or Content-Encoding that this resource does not take
    ├── TooSlow             408   the request did not arrive in time
    ├── HeadersTooLarge     431   more bytes of headers than a connection accepts
    ├── TooManyRequests     429   one client asks for more in a while than the settings allow
    ├── Misdirected         421   the Host of the request is none that is answered here
    ├── FrameworkProblem    any   another status that the framework answers with
    ├── InternalError       500   a bug; the log has it
    ├── SwitchedOff         503   a part of the service that its settings leave out; trying again is no use
    └── Unavailable         503   cannot be done at present; try again
        ├── StorageFull     507   no space is left; reads go on, and writes when there is space again
        ├── Busy            503   the database is locked by other writers; try again
        └── Overloaded      503   more is under way than can be done soon, or the service stops

The command line prints the same sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True)
class Place:
    """One mistake and where it stands: a JSON pointer into the body, a parameter's name, or a line.

    A column is there where the line is one of a program; both count from 1.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    column: int | None = None


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) that leads through these names and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class DatabaseUnusableError(Exception):
    """The database cannot be opened; the message is one sentence for the person who starts the service.

    No caller meets it, so it is no problem.
    """


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A mistake with an HTTP status, a stable type and a sentence that says what would be right."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    type = "problem"

    def __init__(self, detail: str, places: Sequence[Place] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.places = tuple(places)

    @staticmethod
    def of_status(status: HTTPStatus, detail: str) -> "Problem":
        """Return the problem for a status that the framework answers with."""
        kinds = (BadRequest, NotFound, MethodNotAllowed, TooSlow, TooLarge, HeadersTooLarge)
        kind = next((kind for kind in kinds if kind.status == status), None)
        return FrameworkProblem(status, detail) if kind is None else kind(detail)


class BadRequest(Problem):
    """No HTTP request, or one that the framework cannot read."""

    status = HTTPStatus.BAD_REQUEST
    type = "bad-request"


class MalformedJson(BadRequest):
    """A body that is no JSON, or JSON that nests too deeply."""

    type = "malformed-json"


class BadInput(Problem):
    """The body or a parameter cannot be right in any state of the service."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    type = "bad-input"


class BadRows(BadInput):
    """An import with bad rows; nothing of it was stored."""

    type = "bad-rows"


class OverBudget(BadInput):
    """A computation that was ended because it took more time or memory than it has."""

    type = "over-budget"


class Unauthorized(Problem):
    """The request comes with no API key, or with none that is valid."""

    status = HTTPStatus.UNAUTHORIZED
    type = "unauthorized"


class Forbidden(Problem):
    """The API key does not have the scope that this needs."""

    status = HTTPStatus.FORBIDDEN
    type = "forbidden"


class NotFound(Problem):
    """The thing named in the path or body does not exist."""

    status = HTTPStatus.NOT_FOUND
    type = "not-found"


class Conflict(Problem):
    """The request contradicts the present state; the detail says how to change it."""

    status = HTTPStatus.CONFLICT
    type = "conflict"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    type = "method-not-allowed"


class NotAcceptable(Problem):
    """None of the formats on offer is one that the caller accepts."""

    status = HTTPStatus.NOT_ACCEPTABLE
    type = "not-acceptable"


class TooLarge(Problem):
    """More than the settings allow."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    type = "too-large"


class UnsupportedMedia(Problem):
    """A Content-Type that this resource does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    type = "unsupported-media-type"


class TooSlow(Problem):
    """A request that did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    type = "too-slow"


class Misdirected(Problem):
    """A request for a host that is none of this service's."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    type = "misdirected"


class TooManyRequests(Problem):
    """More of one kind from one client than the settings allow in a while."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    type = "too-many-requests"


class HeadersTooLarge(Problem):
    """More bytes of headers than a connection accepts."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    type = "request-header-fields-too-large"


class FrameworkProblem(Problem):
    """A status that the framework answers with, and no other class here has."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.type = status, status.name.lower().replace("_", "-")


class InternalError(Problem):
    """A bug of the service; the log has its trace under the request id."""

    type = "internal-error"


class SwitchedOff(Problem):
    """A part of the service that its settings leave out."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "switched-off"


class Unavailable(Problem):
    """The database, or a process that is needed, cannot be used at present."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "unavailable"


class StorageFull(Unavailable):
    """No space is left for what is to be stored."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    type = "storage-full"


class Busy(Unavailable):
    """The write was not accepted because the database did not become free in time."""

    type = "busy"


class Overloaded(Unavailable):
    """It was not begun, because too much else is under way or the service stops."""

    type = "overloaded"
