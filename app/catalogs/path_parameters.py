"""The ids that stand in a path: of a catalog, a movie, a user."""

from typing import Annotated

from fastapi import Path

from app.catalogs.ids import ID_PATTERN, ID_RULE
from app.database.tables import ID_LENGTH

_ID = Path(min_length=1, max_length=ID_LENGTH, pattern=ID_PATTERN, description=ID_RULE)

CatalogId = Annotated[str, _ID]
MovieId = Annotated[str, _ID]
UserId = Annotated[str, _ID]
