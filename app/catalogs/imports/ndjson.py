"""NDJSON imports: a JSON object a line, checked by the same strict rules as the JSON bodies."""

from collections.abc import Iterator
from typing import Annotated, NotRequired, TypeVar

import polars as pl
from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from app.catalogs.catalogs import CatalogRow
from app.catalogs.ids import Id, Title
from app.catalogs.imports.csv_text import Block
from app.catalogs.imports.validation import (
    EXPECTED,
    MOST_BAD_ROWS,
    NUMBER,
    RESPONSE,
    TIMESTAMP,
    Batch,
    joined,
    shown,
    wrong,
)
from app.catalogs.movies import in_order
from app.database import vectors
from app.errors import BadInput, Conflict, Place

Number = Annotated[float, Field(ge=NUMBER.low, le=NUMBER.high, allow_inf_nan=False)]

_STRICT = ConfigDict(strict=True, extra="forbid")
_SHAPES: dict[type, str] = {list: "list", dict: "object"}


def _shape(value: object) -> str | None:
    return _SHAPES.get(type(value))


class ResponseLine(TypedDict):
    """A line of a responses file."""

    __pydantic_config__ = _STRICT  # type: ignore[misc] # pydantic's own name for it

    user: Id
    movie: Id
    response: Annotated[float, Field(ge=RESPONSE.low, le=RESPONSE.high, allow_inf_nan=False)]
    timestamp: NotRequired[
        Annotated[float, Field(ge=TIMESTAMP.low, le=TIMESTAMP.high, allow_inf_nan=False)] | None
    ]


class MovieLine(TypedDict):
    """A line of a movies file; the vector in the order of the catalog's dimensions, or by their names."""

    __pydantic_config__ = _STRICT  # type: ignore[misc] # pydantic's own name for it

    movie: Id
    title: NotRequired[Title | None]
    vector: Annotated[
        Annotated[list[Number], Tag("list")] | Annotated[dict[str, Number], Tag("object")],
        Discriminator(_shape),
    ]


_RESPONSE: TypeAdapter[ResponseLine] = TypeAdapter(ResponseLine)
_MOVIE: TypeAdapter[MovieLine] = TypeAdapter(MovieLine)

_MOST_MISTAKES = 100  # in one line, above which they are only counted
_INSIDE_VECTOR = 2  # a mistake's place is then ("vector", the shape, the position or dimension)

Row = TypeVar("Row")


def read_response_lines(blocks: Iterator[Block]) -> Iterator[Batch]:
    """Read responses, a batch a block."""
    for block in blocks:
        lines, rows, bad = _read(block, _RESPONSE)
        frame = pl.DataFrame(
            [
                pl.Series("line", lines, dtype=pl.Int64),
                pl.Series("user", [row["user"] for row in rows], dtype=pl.String),
                pl.Series("movie", [row["movie"] for row in rows], dtype=pl.String),
                pl.Series("response", [row["response"] for row in rows], dtype=pl.Float64),
                pl.Series("timestamp", [row.get("timestamp") for row in rows], dtype=pl.Float64),
            ]
        )
        yield Batch(frame, bad)


def read_movie_lines(blocks: Iterator[Block], catalog: CatalogRow) -> Iterator[Batch]:
    """Read movies of the catalog, a batch a block."""
    for block in blocks:
        lines, rows, bad = _read(block, _MOVIE)
        good_rows: list[tuple[int, str, str, bytes]] = []
        for line, row in zip(lines, rows, strict=True):
            try:
                vector = in_order(catalog, row["vector"])
            except (BadInput, Conflict) as problem:
                bad.append(Place(_vector_message(problem), line=line))
                continue
            good_rows.append((line, row["movie"], row.get("title") or row["movie"], vectors.to_bytes(vector)))
        schema = {"line": pl.Int64, "movie": pl.String, "title": pl.String, "vector": pl.Binary}
        bad.sort(key=lambda place: place.line or 0)
        yield Batch(pl.DataFrame(good_rows, schema=schema, orient="row"), bad[: MOST_BAD_ROWS + 1])


def _vector_message(problem: BadInput | Conflict) -> str:
    messages = [place.detail for place in problem.places]
    return f"vector: {joined(messages)}"


def _read(block: Block, adapter: TypeAdapter[Row]) -> tuple[list[int], list[Row], list[Place]]:
    lines: list[int] = []
    rows: list[Row] = []
    bad: list[Place] = []
    for line, text in enumerate(block.text.split("\n"), block.line):
        if not text or text.isspace():
            continue
        try:
            rows.append(adapter.validate_json(text))
            lines.append(line)
        except ValidationError as error:
            bad.append(Place(_message(error), line=line))
            if len(bad) > MOST_BAD_ROWS:
                break
    return lines, rows, bad


def _message(error: ValidationError) -> str:
    if error.error_count() > _MOST_MISTAKES:
        return f"the line has {error.error_count()} mistakes"
    return joined([_mistake(mistake) for mistake in error.errors(include_url=False)])


def _mistake(mistake: ErrorDetails) -> str:
    """Reword pydantic's message as for the other formats: the field, its value, what would be right."""
    place, value = mistake["loc"], mistake["input"]
    match mistake["type"]:
        case "json_invalid":
            reason = str(mistake["ctx"]["error"]).replace("at line 1 column", "at character")
            return f"the line is no JSON: {reason}"
        case "missing":
            return f"{place[0]} is missing; {EXPECTED[str(place[0])]}"
        case "extra_forbidden":
            return f"{shown(place[0])} is no field of these rows"
    if not place:
        return f"the line is {shown(value)}; expected an object"
    field = str(place[0])
    if len(place) > _INSIDE_VECTOR:
        return wrong(f"vector[{shown(place[_INSIDE_VECTOR])}]", value, NUMBER.expected)
    return wrong(field, value, EXPECTED[field])
