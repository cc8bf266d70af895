"""A small language that reads like the class notebook: its lines run, and nothing else does.

    a = torch.tensor([i for i in range(25)]).reshape(5, 5)
    a[1:4, 1:4] = 5
    a.sum(axis=1)

A program is text that a grammar turns into a flat list of operations from one fixed table. There is no eval,
no attribute of Python's own, no string; time and memory are bounded before they are spent.

grammar.py         the grammar, and the parser made of it
parsing.py         text to a program, statement by statement
syntax_errors.py   what is said of a text that is no program
lowering.py        expressions to operations
trees.py           the nodes of the tree between the two
program.py         what a program is: operations, loops, references
names.py           constants, dtypes and the prefixes torch. and np.
operations.py      the table of all operations
  creation.py        tensors from lists, ranges and random numbers
  arithmetic.py      operators and matrix products
  elementwise.py     exp, sigmoid and the like
  reductions.py      sums, extremes, norms
  shaping.py         shapes, and what is asked without brackets
  conversions.py     between tensors and plain numbers, and element types
table.py           the form of a line of the table
signature.py       an operation's parameters
calls.py           one call's arguments, and what a run shares
indexing.py        parts of tensors and lists
plain_numbers.py   Python's numbers, bounded to 64 bits
interpreter.py     runs a program
limits.py          what a program may use
values.py          what values there are, and how they are shown
errors.py          what a program is refused for
"""

from collections.abc import Mapping

from torch import Tensor

from models.notebook.tensor_language.operations.operations import Described, list_operations
from models.notebook.tensor_language.runtime.errors import (
    LanguageError,
    LimitError,
    OperationError,
    ProgramSyntaxError,
    UnknownNameError,
)
from models.notebook.tensor_language.runtime.interpreter import Outcome, execute
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import Given, Shown, Value, show, value_of
from models.notebook.tensor_language.syntax.parsing import parse
from models.notebook.tensor_language.syntax.program import Program

__all__ = [
    "Described",
    "Given",
    "LanguageError",
    "LimitError",
    "Limits",
    "OperationError",
    "Outcome",
    "Program",
    "ProgramSyntaxError",
    "Shown",
    "UnknownNameError",
    "Value",
    "execute",
    "list_operations",
    "parse",
    "run",
    "show",
    "value_of",
]

_LIMITS = Limits()


def run(program: str, variables: Mapping[str, Value], seed: int, limits: Limits = _LIMITS) -> Outcome:
    """Parse and run a program; raises `LanguageError` with the position.

    ``variables`` are there under their names and stay as they are. Random operations draw what torch draws
    after `torch.manual_seed(seed)`, 0 ≤ seed < 2⁶³.
    """
    own = {name: value.clone() if isinstance(value, Tensor) else value for name, value in variables.items()}
    return execute(parse(program, limits), own, seed, limits)
