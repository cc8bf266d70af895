"""What programs and networks are refused for, worded as problems at their place in the body.

Does not know how a problem travels to the caller.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import BadInput, Place, TooLarge, pointer
from models.errors import DivergedError
from models.notebook.autograd.gradient import AskedError
from models.notebook.neuron import BadNetworkError
from models.notebook.tensor_language.runtime.errors import LanguageError, LimitError


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
    except AskedError as error:
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
