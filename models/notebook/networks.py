"""What the problems of small networks share: numbers that float32 computes with, and what is refused where.

Does not know any network; `models.notebook.neuron` and `models.notebook.mlp` are two.
"""

from typing import Annotated

from pydantic import Field

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
