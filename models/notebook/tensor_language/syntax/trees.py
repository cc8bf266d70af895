"""The nodes of the parse tree and their positions."""

from typing import NamedTuple

from lark import Token, Tree

from models.notebook.tensor_language.runtime.errors import UnknownNameError

Node = Tree[Token] | Token | None


class Place(NamedTuple):
    """A position in the program, from 1."""

    line: int
    column: int


def check_name(name: Token) -> None:
    """Raise `UnknownNameError` for the names that Python reserves."""
    if name.startswith("__"):
        raise UnknownNameError("names that begin with two underscores are not there", *place_of(name))


def place_of(node: Node) -> Place:
    """Return line and column of a word or a tree."""
    if isinstance(node, Token):
        return Place(node.line or 1, node.column or 1)
    if node is None or node.meta.empty:
        return Place(1, 1)
    return Place(node.meta.line, node.meta.column)


def tree_of(node: Node) -> Tree[Token]:
    """Return a node that the grammar says is a tree."""
    if not isinstance(node, Tree):
        raise TypeError(f"the grammar and its reader disagree about {node!r}")
    return node


def token_of(node: Node) -> Token:
    """Return a node that the grammar says is a word."""
    if not isinstance(node, Token):
        raise TypeError(f"the grammar and its reader disagree about {node!r}")
    return node
