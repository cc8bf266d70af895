"""What a program is given: its text, its variables, a seed and a precision.

Does not know what is computed with them.
"""

from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor

from app.compute.limits import ComputeLimits
from app.compute.numbers import Numbers
from app.compute.refusals import misplaced
from app.errors import Place, TooLarge, pointer
from models.notebook.tensor_language.runtime.errors import LanguageError, OperationError
from models.notebook.tensor_language.runtime.limits import Budget
from models.notebook.tensor_language.runtime.values import Given, Value, value_of
from models.options import LARGEST_SEED

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


def variable_of(name: str, given: Given, dtype: torch.dtype, limits: ComputeLimits) -> Value:
    """Return a variable: a number as it is, nested lists as a tensor."""
    try:
        value = value_of(given)
    except OperationError as error:
        raise misplaced(error.message, "variables", name) from error
    if not isinstance(value, Tensor):
        return value
    try:
        Budget(limits.language).reserve(value.shape)
    except LanguageError as error:
        detail = f"variable {name}: {error.message}"
        raise TooLarge(detail, [Place(error.message, pointer("variables", name))]) from error
    return torch.tensor(given, dtype=dtype) if value.is_floating_point() else value
