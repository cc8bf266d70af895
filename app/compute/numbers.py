"""Numbers in nested lists, as requests give them and as answers show them. Does not know what they mean."""

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, to_json
from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    from models.notebook.tensor_language.runtime.values import Given, Nested

_LARGEST_WHOLE = 2**63 - 1  # torch's own int64


def _kind(value: object) -> str:
    """Return which branch a value belongs to; what belongs to none is refused as no number."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "whole number"
    return "list" if isinstance(value, list) else "number"


class _AnyOf:
    """Writes a union's schema as anyOf: 1 is an integer and a number, which oneOf would refuse."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        return {("anyOf" if name == "oneOf" else name): part for name, part in schema.items()}


if TYPE_CHECKING:  # mypy knows recursive types, but not when they are made by calling TypeAliasType
    Numbers = Given
    ShownNumbers = Nested
else:
    Numbers = TypeAliasType(
        "Numbers",
        Annotated[
            Annotated[bool, Tag("boolean")]
            | Annotated[int, Field(ge=-_LARGEST_WHOLE - 1, le=_LARGEST_WHOLE), Tag("whole number")]
            | Annotated[float, Field(allow_inf_nan=False), Tag("number")]
            # A million wrong elements make one error, not a million.
            | Annotated[list["Numbers"], Field(fail_fast=True), Tag("list")],
            Discriminator(_kind),
            _AnyOf(),
        ],
    )
    """A number, or lists of numbers in each other."""

    ShownNumbers = TypeAliasType("ShownNumbers", bool | int | float | list["ShownNumbers"] | None)
    """The same in an answer; null stands for what JSON has no number for: nan and the infinities."""


def stated(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return the fields of an answer that are not None, by name; so too of answers that are such fields."""
    return {
        name: stated(part) if is_dataclass(part) else part
        for name, part in vars(answer).items()
        if part is not None
    }


def as_json(answer: Any) -> bytes:  # noqa: ANN401 - dataclasses and dicts of several forms
    """Return an answer as JSON, nan and the infinities as null."""
    return to_json(answer, inf_nan_mode="null")
