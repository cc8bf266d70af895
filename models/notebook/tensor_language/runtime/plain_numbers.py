"""Python's own numbers, bounded: integers of 64 bits at most, and powers bounded before they are computed."""

import operator
from collections.abc import Callable

from models.notebook.tensor_language.runtime.errors import LimitError, OperationError
from models.notebook.tensor_language.runtime.values import Number

_BITS = 63  # and a sign

_OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check_integer(number: int) -> int:
    """Return the integer if it has 64 bits at most."""
    if not -(1 << _BITS) <= number < 1 << _BITS:
        raise LimitError("an integer has more than the 64 bits allowed")
    return number


def check_number(number: Number) -> Number:
    """Return the number; an integer of at most 64 bits, and any float."""
    return number if isinstance(number, bool | float) else check_integer(number)


def arithmetic(symbol: str, first: Number, second: Number) -> Number:
    """Compute `first symbol second` as Python does."""
    try:
        if symbol == "**":
            return check_number(_power(first, second))
        return check_number(_OPERATORS[symbol](first, second))
    except KeyError:
        raise OperationError(f"{symbol} takes tensors, not numbers") from None
    except ZeroDivisionError:
        raise OperationError("division by zero") from None
    except OverflowError:
        raise OperationError("the result is too large for a float") from None


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        # |base| ≥ 2 has at least bit_length - 1 doublings a factor, so this bounds the work, not only the
        # result.
        if (abs(base).bit_length() - 1) * exponent > _BITS:
            raise LimitError("an integer has more than the 64 bits allowed")
        if abs(base) <= 1:
            return int(base) if exponent % 2 or not base else 1
        return int(base**exponent)
    result = base**exponent
    if isinstance(result, complex):
        raise OperationError("a negative number has no real root")
    return float(result) if isinstance(exponent, float) or isinstance(base, float) or exponent < 0 else result
