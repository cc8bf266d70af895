"""What a program is given: its text, its variables, a seed and a precision.

Does not know what is computed with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, to_json
from torch import Tensor
from typing_extensions import TypeAliasType

from app.errors import BadInput, Place, TooLarge, pointer
from app.settings import Settings
from models.errors import DivergedError
from models.notebook.autograd.gradient import GradientOptionError
from models.notebook.neuron import BadNetworkError
from models.notebook.tensor_language.runtime.errors import LanguageError, LimitError, OperationError
from models.notebook.tensor_language.runtime.limits import Budget, Limits
from models.notebook.tensor_language.runtime.values import PlainValue, Value, value_of
from models.options import LARGEST_SEED

# A program may go on to another tensor of the largest size this often, what it no longer uses counted too.
_TENSORS = 20


class ComputeLimits(BaseModel):
    """The limits of one computation, from the settings; travels to the process that computes."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    memory_bytes: int
    body_bytes: int
    program_bytes: int
    nesting: int
    operations: int
    elements: int
    epochs: int
    parameters: int

    @classmethod
    def of(cls, settings: Settings) -> "ComputeLimits":
        """Return the limits that the settings say."""
        return cls(**{name: getattr(settings, f"compute_{name}") for name in cls.model_fields})

    @property
    def language(self) -> Limits:
        """What a program of the tensor language may use."""
        return Limits(
            self.program_bytes, self.nesting, self.operations, self.elements, _TENSORS * self.elements
        )


if TYPE_CHECKING:
    from models.notebook.tensor_language.runtime.values import Nested

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
    Numbers = PlainValue
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


# The settings say how long a program may be; this bound makes pydantic see halves of surrogate pairs.
Text = Annotated[str, Field(max_length=2**20)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
_MOST_VARIABLES = 100


def _few(variables: object) -> object:
    """Refuse too many variables before each is looked at: pydantic counts when it has looked."""
    if isinstance(variables, dict) and len(variables) > _MOST_VARIABLES:
        raise PydanticCustomError(
            "too_many",
            "{count} variables; {most} are allowed",
            {"count": len(variables), "most": _MOST_VARIABLES},
        )
    return variables


Variables = Annotated[
    dict[Name, Numbers],
    BeforeValidator(_few),
    Field(
        max_length=_MOST_VARIABLES,
        description="variables by name: numbers, or nested lists, which become tensors",
    ),
]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Precision = Annotated[Literal["float32", "float64"], Field(description="what floating-point tensors are")]

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""torch's types by the names that a precision has."""


def variable_of(name: str, numbers: PlainValue, dtype: torch.dtype, limits: ComputeLimits) -> Value:
    """Return a variable: a number as it is, nested lists as a tensor."""
    try:
        value = value_of(numbers)
    except OperationError as error:
        raise misplaced(error.message, "variables", name) from error
    if not isinstance(value, Tensor):
        return value
    try:
        Budget(limits.language).reserve(value.shape)
    except LanguageError as error:
        detail = f"variable {name}: {error.message}"
        raise TooLarge(detail, [Place(error.message, pointer("variables", name))]) from error
    return torch.tensor(numbers, dtype=dtype) if value.is_floating_point() else value


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception is torch's way to say that there is no memory left."""
    return "allocate memory" in str(error)


@contextmanager
def placed(*where: str) -> Iterator[None]:
    """Word what the language refuses as a problem at this place of the body, with line and column if it has.

    Raises `BadInput`, `TooLarge`; `MemoryError` where torch had none left.
    """
    try:
        yield
    except LanguageError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        at = pointer(*where)
        detail = f"{at}: {error.message}" if at and error.line is None else str(error)
        place = Place(error.message, at, line=error.line, column=error.column)
        raise (TooLarge if isinstance(error, LimitError) else BadInput)(detail, [place]) from error


@contextmanager
def placed_in_gradient() -> Iterator[None]:
    """Word what a gradient refuses: of the expression, or of the field that asks for more than it has."""
    try:
        with placed("expression"):
            yield
    except GradientOptionError as error:
        with placed(error.field):
            raise error.refusal from error


@contextmanager
def placed_in_network() -> Iterator[None]:
    """Word what networks refuse as problems at their place in the body."""
    try:
        yield
    except BadNetworkError as error:
        where = pointer(*error.place)
        raise BadInput(f"{where or 'the body'}: {error.message}", [Place(error.message, where)]) from error
    except DivergedError as error:
        raise BadInput(str(error), [Place(str(error), pointer("learning_rate"))]) from error


def misplaced(detail: str, *parts: str | int) -> BadInput:
    """Return what is wrong at a place of the body."""
    return BadInput(f"{pointer(*parts)}: {detail}", [Place(detail, pointer(*parts))])
