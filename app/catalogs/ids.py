"""What a caller's ids, titles and dimension names may look like; one rule for JSON, CSV, Parquet and paths.

The patterns are understood alike by pydantic, by polars and by readers of the OpenAPI document.
Does not know what the names stand for.
"""

from typing import Annotated
from urllib.parse import quote

from pydantic import StringConstraints

from app.database.tables import ID_LENGTH, TITLE_LENGTH

# Also what turns the direction of text: whatever stands behind such a name would read backwards.
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffd"

# A slash would end a path segment, and clients drop the segments "." and "..". U+FFFD stands where a
# client sent bytes that are no UTF-8: two different ids would become one.
ID_PATTERN = rf"^[^{_CONTROL}/]*[^{_CONTROL}/.\s][^{_CONTROL}/]*$"
ID_RULE = (
    f"1 to {ID_LENGTH} characters without control or direction characters or slashes, not only dots or spaces"
)

TITLE_PATTERN = rf"^[^{_CONTROL}]*$"
TITLE_RULE = f"at most {TITLE_LENGTH} characters without control or direction characters"

DIMENSION_PATTERN = rf"^[^{_CONTROL}]*[^{_CONTROL}\s][^{_CONTROL}]*$"

Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH, pattern=ID_PATTERN)]
Title = Annotated[str, StringConstraints(max_length=TITLE_LENGTH, pattern=TITLE_PATTERN)]
Dimension = Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH, pattern=DIMENSION_PATTERN)]


def in_path(name: str) -> str:
    """Return an id as it stands in a path, so that a path in a problem's advice can be used as it is."""
    return quote(name, safe="")
