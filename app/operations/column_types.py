"""Whether each value is of its column's type: SQLite stores whatever it is given."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from app.database.tables import ApiKey, Base, Catalog

_CHECKED_AT_ONCE = 10_000
_LISTS = {Catalog.__table__.c.dimensions, ApiKey.__table__.c.scopes}
_WORDS = {
    "null": "nothing",
    "integer": "an integer",
    "real": "a number",
    "text": "text",
    "blob": "bytes",
    "boolean": "true or false",
    "object": "a JSON object",
    "false": "a JSON truth value",
    "true": "a JSON truth value",
    "array": "a JSON list",
    "texts": "a JSON list of texts",
}


def check_types(connection: Connection) -> Iterator[str]:
    """Yield a sentence for every value that is not of its column's type."""
    for table in Base.metadata.sorted_tables:
        yield from _check_table(connection, table)


def _check_table(connection: Connection, table: Table) -> Iterator[str]:
    columns: Sequence[Column[Any]] = list(table.columns)
    types = [_type_of(column) for column in columns]
    wrong = [kind.not_in(_allowed(column)) for column, kind in zip(columns, types, strict=True)]
    keys = [type_coerce(key, String) for key in table.primary_key]
    rows = connection.execute(
        select(*keys, *types).where(or_(*wrong)).execution_options(yield_per=_CHECKED_AT_ONCE)
    )
    for row in rows:
        row_name = ", ".join(str(key) for key in row[: len(keys)])
        for column, kind in zip(columns, row[len(keys) :], strict=True):
            if kind not in _allowed(column):
                expected, actual = _WORDS[_kind(column)], _WORDS.get(kind, kind)
                yield f"{column.name} of a row of {table.name} ({row_name}) is {actual}, not {expected}"


def _kind(column: Column[Any]) -> str:
    """Return the type of what a column holds, as `_type_of` names it."""
    kinds = {Boolean: "boolean", Integer: "integer", Float: "real", LargeBinary: "blob", String: "text"}
    if isinstance(column.type, JSON):
        return "texts" if column in _LISTS else "object"
    return next(kind for column_type, kind in kinds.items() if isinstance(column.type, column_type))


def _allowed(column: Column[Any]) -> set[str]:
    return {_kind(column), "null"} if column.nullable else {_kind(column)}


def _type_of(column: Column[Any]) -> ColumnElement[str]:
    """Return the type of a value, in a word; what stands for JSON is looked into."""
    kind: ColumnElement[str] = func.typeof(column)
    if isinstance(column.type, JSON):
        return case(
            (kind != "text", kind), (func.json_valid(column) == 0, "no JSON"), else_=_json_type(column)
        )
    if isinstance(column.type, Boolean):
        number = type_coerce(column, Integer)
        return case((and_(kind == "integer", number.in_((0, 1))), "boolean"), else_=kind)
    return kind


def _json_type(column: Column[Any]) -> ColumnElement[str]:
    kind: ColumnElement[str] = func.json_type(column)
    if column not in _LISTS:
        return kind
    elements = func.json_each(column).table_valued("type")
    wrong_elements = select(literal(1)).select_from(elements).where(elements.c.type != "text").exists()
    return case((and_(kind == "array", ~wrong_elements), "texts"), else_=kind)
