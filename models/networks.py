"""What the problems of small networks share: numbers that float32 computes with, and what is refused where.

Does not know any network; `models.neuron` and `models.mlp` are two.
"""

from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from models.options import Options

LARGEST = 1e6

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""An input, weight or target: far enough from float32's 3e38 for products and squares."""


class BadNetworkError(ValueError):
    """A problem that no network can be trained on.

    message   a sentence that says what there is
    place     the field's path in the problem, for example ("inputs", 3)
    """

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


class NetworkProblem(Options):
    """Options whose lists keep the place of the element that is refused."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _say_the_range(
        cls,
        value: Any,  # noqa: ANN401 - any field's
        handler: ValidatorFunctionWrapHandler,
        info: ValidationInfo,
    ) -> Any:  # noqa: ANN401 - likewise
        try:
            return handler(value)
        except ValidationError as error:
            if error.errors()[0]["loc"]:
                raise
            return super()._say_the_range(value, handler, info)
