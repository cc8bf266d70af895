"""Messages for text that does not parse: the mistake, its position, and what to write instead.

They cover what users bring from Python, from papers and from word processors.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from models.notebook.tensor_language.runtime.errors import ProgramSyntaxError

# Characters that look like operators: the character's name, and what to write.
_TYPOGRAPHIC: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "\u2212": ("minus sign", "-"),
        "\u2013": ("dash", "-"),
        "\u2014": ("dash", "-"),
        "\u2010": ("hyphen", "-"),
        "\u2011": ("hyphen", "-"),
        "\u00d7": ("multiplication sign", "*"),
        "\u00b7": ("middle dot", "*"),
        "\u22c5": ("dot operator", "*"),
        "\u2217": ("asterisk operator", "*"),
        "\u2219": ("bullet operator", "*"),
        "\u00f7": ("division sign", "/"),
        "\u2215": ("division slash", "/"),
        "\u2044": ("fraction slash", "/"),
        "\u00b2": ("superscript", "**2"),
        "\u00b3": ("superscript", "**3"),
        "\u2264": ("less-or-equal sign", "<="),
        "\u2265": ("greater-or-equal sign", ">="),
        "\u2260": ("not-equal sign", "!="),
        "\u221a": ("root sign", "sqrt(...)"),
        "\u03c0": ("letter pi", "pi"),
        "\u2026": ("ellipsis", "..."),
        "\u00a0": ("no-break space", "a plain space"),
        "^": ("caret", "** for powers"),
    }
)

_QUOTES = frozenset("\"'\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb")

_NO_IF = "there is no if; choose elements with a comparison, as in a[a > 3]"
_NO_LOGIC = "there is no and, or, not; write (a > 1) * (a < 3) for both"
_NO_LOOP = "there are no loops but in a list: [i**2 for i in range(9)]"
_NO_FUNCTION = "there are no functions of your own; write the expression out"
_NO_IMPORT = "nothing needs importing: torch, np and math are there; leave the line out"

# Words of Python that the language lacks, by the word that does not parse or the one before it.
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "import": _NO_IMPORT,
        "from": _NO_IMPORT,
        "if": _NO_IF,
        "elif": _NO_IF,
        "else": _NO_IF,
        "and": _NO_LOGIC,
        "or": _NO_LOGIC,
        "not": _NO_LOGIC,
        "for": _NO_LOOP,
        "while": _NO_LOOP,
        "def": _NO_FUNCTION,
        "lambda": _NO_FUNCTION,
        "return": _NO_FUNCTION,
    }
)


def syntax_error(program: str, error: UnexpectedInput) -> ProgramSyntaxError:
    """Return the error of a text at the position where the parser stopped."""
    lines = program.split("\n")
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return ProgramSyntaxError("the program ends too early", len(lines), len(lines[-1]) + 1)
    line, column = max(error.line, 1), max(error.column, 1)
    if isinstance(error, UnexpectedToken):
        before = lines[line - 1][: column - 1] if line <= len(lines) else ""
        return ProgramSyntaxError(_of_word(error, before), line, column)
    if isinstance(error, UnexpectedCharacters):
        return ProgramSyntaxError(_of_character(error.char), line, column)
    return ProgramSyntaxError("this cannot be read", line, column)


def _of_word(error: UnexpectedToken, before: str) -> str:
    """Return the message for a word that does not parse, given what precedes it on its line."""
    word = str(error.token)
    if error.token.type == "COMPARISON" and "NAME" not in error.accepts:
        return "comparisons cannot be chained; write (1 < a) * (a < 3) for 1 < a < 3"
    previous = re.search(r"([A-Za-z]+)\s*$", before)
    for candidate in (word, previous[1] if previous else ""):
        if candidate in _WORDS:
            return _WORDS[candidate]
    quoted_word = "end of line" if error.token.type == "_SEPARATOR" else f"'{word}'"
    return f"{quoted_word} cannot stand here"


def _of_character(character: str) -> str:
    if character in _QUOTES:
        return "there are no strings in the language; leave labels out: print(a), not print('a:', a)"
    if character in _TYPOGRAPHIC:
        name, replacement = _TYPOGRAPHIC[character]
        return f"the {name} {character!a} is not part of the language; write {replacement}"
    return f"{character!a} is not part of the language"
