"""The table of all operations, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.notebook.tensor_language.operations import (
    arithmetic,
    conversions,
    creation,
    elementwise,
    reductions,
    shaping,
)
from models.notebook.tensor_language.operations.table import Specification

TABLE: Mapping[str, Specification] = MappingProxyType(
    {
        specification.name: specification
        for group in (creation, arithmetic, elementwise, reductions, shaping, conversions)
        for specification in group.OPERATIONS
    }
)
"""Functions, methods and operators by name."""

ATTRIBUTES: Mapping[str, Specification] = MappingProxyType(
    {specification.name: specification for specification in shaping.ATTRIBUTES}
)
"""Attributes, without brackets: `a.shape`, `a.T`."""

# Creation has no receiver: `a.zeros(3)` is nothing.
NOT_METHODS = frozenset(specification.name for specification in creation.OPERATIONS) | {"len"}

# Only methods of a tensor: `type(a)` would mean Python's own.
ONLY_METHODS = frozenset({"type", "to", "astype", "item", "double", "long", "tolist", "size"})


@dataclass(frozen=True)
class Described:
    """An operation as a list of them shows it; the example is a whole program."""

    name: str
    arguments: str
    description: str
    example: str


def list_operations() -> tuple[Described, ...]:
    """Return every operation with an example, in the order of the table."""
    return tuple(
        Described(row.name, row.signature.text.replace("|", " or "), row.description, row.example)
        for row in (*TABLE.values(), *ATTRIBUTES.values())
    )
