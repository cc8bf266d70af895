"""The parameters of an operation, written as in Python, and the binding of a call's arguments to them.

`input, dim|axis=None, keepdim|keepdims=False`: other spellings of a parameter follow `|`; `*shape` takes all
remaining arguments, or one list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.values import Listing, Value

_DEFAULTS: Mapping[str, Value] = MappingProxyType(
    {"None": None, "False": False, "True": True, "0": 0, "1": 1, "2": 2, "0.0": 0.0, "1.0": 1.0, "100": 100}
)


@dataclass(frozen=True)
class Parameter:
    """One parameter: its spellings, whether it is required, and its default."""

    names: tuple[str, ...]
    required: bool
    default: Value
    takes_rest: bool


@dataclass(frozen=True)
class Signature:
    """The parameters of an operation, in order."""

    text: str
    parameters: tuple[Parameter, ...]

    @classmethod
    def read(cls, text: str) -> "Signature":
        """Read a signature from its text."""
        return cls(text, tuple(_parameter(part.strip()) for part in text.split(",") if part.strip()))

    def bind(
        self, name: str, positional: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Mapping[str, Value]:
        """Return a call's arguments by their parameter's first name; raises `OperationError`."""
        remaining = list(positional)
        unknown = dict(keywords)
        bound: dict[str, Value] = {}
        for parameter in self.parameters:
            spellings = [spelling for spelling in parameter.names if spelling in unknown]
            if spellings and (remaining or len(spellings) > 1) and not parameter.takes_rest:
                raise OperationError(f"{name} got {spellings[0]} twice")
            bound[parameter.names[0]] = self._argument(
                name, parameter, remaining, [unknown.pop(spelling) for spelling in spellings]
            )
        if remaining or unknown:
            extra = next(iter(unknown), f"{len(positional)} arguments")
            raise OperationError(f"{name} does not take {extra}: {name}({self.text.replace('|', ' or ')})")
        return bound

    def _argument(
        self, name: str, parameter: Parameter, remaining: list[Value], keywords: Sequence[Value]
    ) -> Value:
        if keywords:
            return keywords[0]
        if parameter.takes_rest and remaining:
            rest, remaining[:] = tuple(remaining), []
            return rest[0] if len(rest) == 1 and isinstance(rest[0], Listing) else Listing(rest, "tuple")
        if remaining:
            return remaining.pop(0)
        if parameter.required:
            raise OperationError(
                f"{name} lacks {parameter.names[0]}: {name}({self.text.replace('|', ' or ')})"
            )
        return parameter.default


def _parameter(text: str) -> Parameter:
    spellings, equals, default = text.partition("=")
    names = tuple(spellings.removeprefix("*").split("|"))
    return Parameter(names, not equals, _DEFAULTS[default] if equals else None, spellings.startswith("*"))
