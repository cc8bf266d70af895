"""The grammar of the language, and the parser made of it.

LALR(1): the time is linear in the program's length, and nothing in the parser recurses. Chains such as
`a + b + c` and `a.T[0].sum()` are flat, so that only brackets and `**` make a tree deep.
"""

from collections.abc import Iterator
from functools import cache

from lark import Lark, Token
from lark.lark import PostLex

from models.notebook.tensor_language.runtime.errors import LimitError

GRAMMAR = r"""
start: (statement (_SEPARATOR statement)*)?
statement: expression ((ASSIGN | UPDATE) expression)?

expression: sum (COMPARISON sum)?
?sum: product (SIGN product)*
?product: unary (TIMES unary)*
?unary: SIGN+ power -> signed
      | power
?power: postfix (POWER unary)?
?postfix: atom trailer*
trailer: "(" [arguments] ")"              -> call
       | "[" index ("," index)* [","] "]" -> subscript
       | "." NAME                         -> attribute
?atom: NAME                               -> name
     | INTEGER                            -> integer
     | FLOAT                              -> float
     | "True"                             -> true
     | "False"                            -> false
     | "None"                             -> none
     | "(" expression ")"                 -> bracketed
     | "(" ")"                            -> tuple
     | "(" expression "," [expression ("," expression)* [","]] ")"  -> tuple
     | "[" "]"                            -> list
     | "[" expression ("," expression)* [","] "]"  -> list
     | "[" expression "for" NAME "in" expression "]" -> comprehension

arguments: argument ("," argument)* [","]
argument: expression | NAME ASSIGN expression -> keyword
        | expression "for" NAME "in" expression -> comprehension
index: expression
     | [expression] ":" [expression] [":" [expression]] -> slice
     | "..."                                            -> ellipsis

COMPARISON.2: "==" | "!=" | "<=" | ">=" | "<" | ">"
UPDATE.2: "+=" | "-=" | "*=" | "/="
ASSIGN: "="
POWER.2: "**"
TIMES: "*" | "//" | "/" | "%" | "@"
SIGN: "+" | "-"
FLOAT.2: /([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][+-]?[0-9]+|[0-9]+\.[0-9]*|\.[0-9]+/
INTEGER: /[0-9]+/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
_SEPARATOR: /(\r?\n|;)/
%ignore /[ \t\f]+/
%ignore /#[^\n]*/
%ignore /\\\r?\n/
"""

SEPARATOR = "_SEPARATOR"
_OPENING, _CLOSING = frozenset({"LPAR", "LSQB"}), frozenset({"RPAR", "RSQB"})


class _Lines(PostLex):
    """Drops ends of lines inside brackets and empty statements; raises for brackets that nest too deep."""

    always_accept = (SEPARATOR,)

    def __init__(self, nesting: int) -> None:
        self._nesting = nesting

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        has_words = False
        pending: Token | None = None
        for word in stream:
            if word.type == SEPARATOR:
                if depth == 0 and has_words:
                    pending = pending or word
                elif word == ";" and depth:
                    yield word  # a syntax error, at its own position
                continue
            if word.type in _OPENING:
                depth += 1
                if depth > self._nesting:
                    raise LimitError(
                        f"brackets nest deeper than the {self._nesting} allowed", word.line, word.column
                    )
            elif word.type in _CLOSING:
                depth -= 1
            if pending is not None:
                yield pending
            pending, has_words = None, True
            yield word


@cache
def parser(nesting: int) -> Lark:
    """Return the parser, which is made at the first call."""
    return Lark(
        GRAMMAR,
        parser="lalr",
        lexer="basic",
        postlex=_Lines(nesting),
        propagate_positions=True,
        maybe_placeholders=True,
    )
