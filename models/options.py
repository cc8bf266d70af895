"""Options of trainers and splits: strict, frozen, and with errors that name the range of a number."""

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

LARGEST_SEED = 2**53 - 1
"""Every JSON reader keeps whole numbers up to here."""

_UNKNOWN_FIELDS = 100  # more are not named one by one
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
_OUTSIDE = {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}


class Closed(BaseModel):
    """Input from outside: no unknown fields, no conversions, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_very_many(cls, data: object) -> object:
        """Raise one error for hundreds of unknown fields, instead of one each, which takes seconds."""
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + _UNKNOWN_FIELDS:
            raise PydanticCustomError(
                "too_many_fields",
                "there are {count} fields here; expected at most {fields}",
                {"count": len(data), "fields": ", ".join(cls.model_fields)},
            )
        return data


class Options(Closed):
    """Options, checked when they are made."""

    model_config = ConfigDict(frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _name_the_range(
        cls,
        value: Any,  # noqa: ANN401 - any field's
        handler: ValidatorFunctionWrapHandler,
        info: ValidationInfo,
    ) -> Any:  # noqa: ANN401 - likewise
        try:
            return handler(value)
        except ValidationError as error:
            # A location leads to an element of a list, whose bounds are not the field's.
            first = error.errors()[0]
            if first["type"] not in _OUTSIDE or first["loc"] or info.field_name is None:
                raise
            bounds = cls._range(info.field_name)
            if not bounds:  # they are the type's, and pydantic's own message names the one that counts
                raise
            raise PydanticCustomError(
                "outside_range", "expected a number {range}", {"range": bounds}
            ) from error

    @classmethod
    def _range(cls, name: str) -> str:
        """Return a field's bounds in words, for example "above 0 to 0.1"."""
        bounds = {
            bound: getattr(metadata, bound)
            for metadata in cls.model_fields[name].metadata
            for bound in _BOUNDS
            if hasattr(metadata, bound)
        }
        return " ".join(
            phrase.format(f"{bounds[bound]:,}") for bound, phrase in _BOUNDS.items() if bound in bounds
        )
