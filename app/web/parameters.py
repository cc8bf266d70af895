"""Parameters that handlers of several rooms share: pages of lists, and the application's parts."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Generic, TypeVar, get_origin

from fastapi import Query, Request, params
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from app.database.database import Database
from app.database.tables import ID_LENGTH
from app.errors import BadInput, Place
from app.observability.metrics import ServiceMetrics
from app.settings import Settings
from app.web.limits import Slots
from models.options import Closed


class Body(Closed):
    """A request body."""


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list; ``next`` is the ``after=`` of the page behind it, or null at the end."""

    items: list[Item]
    next: str | None


def page(items: Sequence[Item], limit: int, key: Callable[[Item], object]) -> Page[Item]:
    """Return the page that ``items`` fill: a full page is followed by another, which may be empty."""
    return Page(items=list(items), next=str(key(items[-1])) if len(items) == limit else None)


def from_app(name: str) -> params.Depends:
    """Return a dependency on a part that `app.main.create_app` put on the application's state.

    Each room declares its own: ``Models = Annotated[TrainedModels, from_app("models")]``.
    """

    async def read(request: Request) -> object:
        return getattr(request.app.state, name)

    return params.Depends(read)


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise `BadInput` for query parameters that the route does not take, or not twice.

    A misspelt dry_run would store a file; of two limits one would be ignored.
    """
    is_list = {
        field.alias: get_origin(field.field_info.annotation) is list
        for dependant in _dependants(request.scope["route"].dependant)
        for field in dependant.query_params
    }
    right = f"there is no such parameter here; there is {', '.join(sorted(is_list)) or 'none'}"
    counts = Counter(name for name, _ in request.query_params.multi_items())
    places = [
        Place("give this once" if name in is_list else right, parameter=name)
        for name, times in counts.items()
        if name not in is_list or (times > 1 and not is_list[name])
    ]
    if places:
        raise BadInput(f"{places[0].parameter}: {places[0].detail}", places[:100])


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _dependants(inner)


FromSettings = Annotated[Settings, from_app("settings")]
FromDatabase = Annotated[Database, from_app("database")]
FromMetrics = Annotated[ServiceMetrics, from_app("metrics")]
Streams = Annotated[Slots, from_app("streams")]


Limit = Annotated[int, Query(ge=1, le=1000, description="most items on the page")]
_NO_NUL = r"^[^\x00]*$"  # which PostgreSQL keeps in no text

Search = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=ID_LENGTH,
        pattern=_NO_NUL,
        description="only what has this in its id or title",
    ),
]
After = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=2 * ID_LENGTH + 1,
        pattern=_NO_NUL,
        description="`next` of the page before",
    ),
]
