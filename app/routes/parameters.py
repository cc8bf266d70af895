"""What handlers of several resources take: ids in the path, a page of a list, the application's resources."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from app.names import ID_PATTERN, ID_RULE
from app.resources import Resources
from app.tables import ID_LENGTH


class Body(BaseModel):
    """A request body: nothing unknown, nothing converted, nothing infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list; ``next`` is the ``after=`` of the page behind it, or null at the end."""

    items: list[Item]
    next: str | None


def page(items: Sequence[Item], limit: int, key: Callable[[Item], object]) -> Page[Item]:
    """Return the page that ``items`` fill: a full page is followed by another, which may be empty."""
    return Page(items=list(items), next=str(key(items[-1])) if len(items) == limit else None)


def get_resources(request: Request) -> Resources:
    """Return what `create_app` made."""
    resources: Resources = request.app.state.resources
    return resources


FromApp = Annotated[Resources, Depends(get_resources)]

_ID = Path(min_length=1, max_length=ID_LENGTH, pattern=ID_PATTERN, description=ID_RULE)

CatalogId = Annotated[str, _ID]
MovieId = Annotated[str, _ID]
UserId = Annotated[str, _ID]
TrainingId = Annotated[int, Path(ge=1, le=2**53 - 1)]

Limit = Annotated[int, Query(ge=1, le=1000, description="most items on the page")]
After = Annotated[
    str | None, Query(min_length=1, max_length=2 * ID_LENGTH + 1, description="`next` of the page before")
]
