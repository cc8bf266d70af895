"""What arguments an operation takes, written as Python writes them, and how a call's are put in their places.

`input, dim|axis=None, keepdim|keepdims=False`: other spellings of one parameter stand behind `|`; `*shape`
takes all that is left, or one list. Does not know what the arguments mean.
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
    """One parameter: its spellings, whether it must be given, what it is if it is not."""

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
        waiting = list(positional)
        unknown = dict(keywords)
        bound: dict[str, Value] = {}
        for parameter in self.parameters:
            given = [spelling for spelling in parameter.names if spelling in unknown]
            if given and (waiting or len(given) > 1) and not parameter.takes_rest:
                raise OperationError(f"{name} got {given[0]} twice")
            bound[parameter.names[0]] = self._argument(
                name, parameter, waiting, [unknown.pop(g) for g in given]
            )
        if waiting or unknown:
            extra = next(iter(unknown), f"{len(positional)} arguments")
            raise OperationError(f"{name} does not take {extra}: {name}({self.text.replace('|', ' or ')})")
        return bound

    def _argument(
        self, name: str, parameter: Parameter, waiting: list[Value], given: Sequence[Value]
    ) -> Value:
        if given:
            return given[0]
        if parameter.takes_rest and waiting:
            rest, waiting[:] = tuple(waiting), []
            return rest[0] if len(rest) == 1 and isinstance(rest[0], Listing) else Listing(rest, "tuple")
        if waiting:
            return waiting.pop(0)
        if parameter.required:
            raise OperationError(
                f"{name} lacks {parameter.names[0]}: {name}({self.text.replace('|', ' or ')})"
            )
        return parameter.default


def _parameter(text: str) -> Parameter:
    spelled, equals, default = text.partition("=")
    names = tuple(spelled.removeprefix("*").split("|"))
    return Parameter(names, not equals, _DEFAULTS[default] if equals else None, spelled.startswith("*"))
